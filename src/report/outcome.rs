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
