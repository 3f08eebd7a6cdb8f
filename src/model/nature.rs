//! What a plan records about its steps apart from their names: enough to decide and to replay without knowing any of them.

use serde::{Deserialize, Serialize};

/// The parts of a deployment, in order. `CodeDeploy`'s hooks stop between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Everything that leaves the live containers alone.
    Prepare,
    /// Commands that run once, such as a migration.
    Tasks,
    /// The new release takes the place of live, on trial.
    Switch,
    /// The new release becomes plain Docker, and the old one is parked.
    Settle,
    /// The new release is checked once more, and recorded as good.
    Finish,
    /// A part that another version knows: it comes after all that this one knows.
    #[serde(other)]
    Unknown,
}

/// Whether a boot may take the effect of a step back: it starts and stops containers by their restart policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtBoot {
    /// It stays.
    #[default]
    Stays,
    /// It may be undone as long as the run is not committed.
    UndoneUntilCommit,
    /// It may be undone at any time.
    Undone,
    /// What another version knows: it may be anything.
    #[serde(other)]
    Unknown,
}

/// What the decider and a replay need to know of a step, whatever its name. It is part of the plan in the journal, so that
/// the journal knows no step by name and can also handle another version's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Nature {
    /// It changes nothing, or only what does no harm half done: it is dropped when the process has to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_looks: bool,
    /// There is nothing for it to do when the live release is what is asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub for_a_change: bool,
    /// It touches what serves, or doubts it: after an undo, what serves has to pass its gate again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub touches_live: bool,
    /// Whether it has to be made sure of after a boot.
    #[serde(skip_serializing_if = "is_default")]
    pub at_boot: AtBoot,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default(at_boot: &AtBoot) -> bool {
    *at_boot == AtBoot::Stays
}

impl Nature {
    /// Of a step that only looks.
    pub const LOOKS: Self =
        Self { only_looks: true, for_a_change: false, touches_live: false, at_boot: AtBoot::Stays };
    /// Of a step that prepares a change and leaves live alone.
    pub const PREPARES: Self =
        Self { only_looks: false, for_a_change: true, touches_live: false, at_boot: AtBoot::Stays };
    /// Of a step that changes what serves.
    pub const CHANGES_LIVE: Self = Self { touches_live: true, ..Self::PREPARES };

    /// The same, of a step whose effect a boot may take back.
    #[must_use]
    pub const fn at_boot(self, at_boot: AtBoot) -> Self {
        Self { at_boot, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it stands in journals.
    #[test]
    fn only_what_is_not_the_rule_is_written() {
        for (nature, text) in [
            (Nature::default(), "{}"),
            (Nature::LOOKS, r#"{"only-looks":true}"#),
            (Nature::PREPARES, r#"{"for-a-change":true}"#),
            (Nature::CHANGES_LIVE, r#"{"for-a-change":true,"touches-live":true}"#),
            (
                Nature::LOOKS.at_boot(AtBoot::UndoneUntilCommit),
                r#"{"only-looks":true,"at-boot":"undone-until-commit"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&nature).unwrap(), text);
            assert_eq!(serde_json::from_str::<Nature>(text).unwrap(), nature);
        }
    }
}
