//! How a run ended, or was left: the one place where that becomes a word, a sentence and an exit code.

use std::fmt::Display;

use crate::exit::ExitStatus;
use crate::journal::Ended;

/// Where a process leaves a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The new release serves.
    Deployed,
    /// The release that serves was already what was asked for.
    Unchanged,
    /// It waits for the hook of the next phase.
    Waiting,
    /// It was undone.
    Reverted {
        /// Whether a healthy release serves.
        serving: bool,
    },
    /// This process cannot bring it to an end; another one may.
    Unfinished,
    /// It ended in a way that only another version knows.
    Unknown,
}

impl Outcome {
    /// Of a run that is over.
    pub fn of(ended: &Ended) -> Self {
        match ended {
            Ended::Deployed => Self::Deployed,
            Ended::Unchanged => Self::Unchanged,
            Ended::Reverted { serving, .. } => Self::Reverted { serving: *serving },
            Ended::Unknown => Self::Unknown,
        }
    }

    /// One word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::Reverted { .. } => "reverted",
            Self::Unfinished => "unfinished",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the release that was asked for serves.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Deployed | Self::Unchanged)
    }

    /// Whether nothing is left to be done.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Unfinished)
    }

    /// The exit code. Whoever `recovered` asked for nothing but an end with something healthy serving.
    pub fn exit(self, recovered: bool) -> ExitStatus {
        match self {
            Self::Deployed | Self::Unchanged | Self::Waiting => ExitStatus::Done,
            Self::Reverted { serving: true } if recovered => ExitStatus::Done,
            Self::Reverted { serving: true } | Self::Unknown => ExitStatus::Failed,
            Self::Reverted { serving: false } | Self::Unfinished => ExitStatus::Down,
        }
    }

    /// The verdict, the last line of a run. `release` names app and release.
    pub fn verdict(self, recovered: bool, release: &impl Display) -> String {
        let said = match self {
            Self::Deployed if recovered => {
                format!("the interrupted deployment was finished, {release} is serving")
            }
            Self::Deployed => format!("{release} is serving"),
            Self::Unchanged => format!("nothing to change, {release} is serving"),
            Self::Waiting => return format!("handover: done so far: {release} waits for the next hook"),
            Self::Reverted { serving: true } if recovered => {
                format!("the interrupted deployment of {release} was undone, the old release is serving")
            }
            Self::Reverted { serving: true } => format!("{release} was refused, the old release is serving"),
            Self::Reverted { serving: false } => {
                format!("{release} was refused, and NOTHING healthy is serving")
            }
            Self::Unfinished => format!("{release} is unfinished, an operator is needed"),
            Self::Unknown => {
                format!("the deployment of {release} ended in a way that only a newer handover knows")
            }
        };
        match self.exit(recovered) {
            ExitStatus::Done => format!("handover: done: {said}"),
            failed => format!("handover: FAILED (exit {}): {said}", failed.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words and numbers are a contract: scripts read them.
    #[test]
    fn each_outcome_has_its_word_its_code_and_its_sentence() {
        let reverted = |serving| Outcome::Reverted { serving };
        for (outcome, recovered, word, code, verdict) in [
            (Outcome::Deployed, false, "deployed", 0, "handover: done: a r2 is serving"),
            (
                Outcome::Deployed,
                true,
                "deployed",
                0,
                "handover: done: the interrupted deployment was finished, a r2 is serving",
            ),
            (Outcome::Unchanged, false, "unchanged", 0, "handover: done: nothing to change, a r2 is serving"),
            (Outcome::Waiting, false, "waiting", 0, "handover: done so far: a r2 waits for the next hook"),
            (
                reverted(true),
                false,
                "reverted",
                1,
                "handover: FAILED (exit 1): a r2 was refused, the old release is serving",
            ),
            (
                reverted(true),
                true,
                "reverted",
                0,
                "handover: done: the interrupted deployment of a r2 was undone, the old release is serving",
            ),
            (
                reverted(false),
                true,
                "reverted",
                3,
                "handover: FAILED (exit 3): a r2 was refused, and NOTHING healthy is serving",
            ),
            (
                Outcome::Unfinished,
                false,
                "unfinished",
                3,
                "handover: FAILED (exit 3): a r2 is unfinished, an operator is needed",
            ),
            (
                Outcome::Unknown,
                false,
                "unknown",
                1,
                "handover: FAILED (exit 1): the deployment of a r2 ended in a way that only a newer handover knows",
            ),
        ] {
            assert_eq!(outcome.word(), word);
            assert_eq!(outcome.exit(recovered).code(), code, "{outcome:?}");
            assert_eq!(outcome.verdict(recovered, &"a r2"), verdict);
        }
    }

    #[test]
    fn what_is_good_and_what_is_over() {
        for (outcome, good, over) in [
            (Outcome::Deployed, true, true),
            (Outcome::Unchanged, true, true),
            (Outcome::Waiting, false, false),
            (Outcome::Reverted { serving: true }, false, true),
            (Outcome::Unfinished, false, false),
            (Outcome::Unknown, false, true),
        ] {
            assert_eq!((outcome.is_good(), outcome.is_over()), (good, over), "{outcome:?}");
        }
    }

    #[test]
    fn a_run_that_is_over_has_the_outcome_of_its_end() {
        let cause = "it is sick".to_owned();
        for (ended, outcome) in [
            (Ended::Deployed, Outcome::Deployed),
            (Ended::Unchanged, Outcome::Unchanged),
            (Ended::Reverted { cause, serving: false }, Outcome::Reverted { serving: false }),
            (Ended::Unknown, Outcome::Unknown),
        ] {
            assert_eq!(Outcome::of(&ended), outcome);
        }
    }
}
