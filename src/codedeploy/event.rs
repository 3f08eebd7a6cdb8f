//! `CodeDeploy`'s lifecycle events, and what handover does in each.

use std::fmt;
use std::str::FromStr;

use crate::model::Phase;

/// An event that `appspec.yml` can script on an EC2 instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LifecycleEvent {
    BeforeBlockTraffic,
    AfterBlockTraffic,
    ApplicationStop,
    BeforeInstall,
    AfterInstall,
    ApplicationStart,
    ValidateService,
    BeforeAllowTraffic,
    AfterAllowTraffic,
}

/// Every event, in the order of an in-place deployment.
pub const EVENTS: [(LifecycleEvent, &str); 9] = [
    (LifecycleEvent::BeforeBlockTraffic, "BeforeBlockTraffic"),
    (LifecycleEvent::AfterBlockTraffic, "AfterBlockTraffic"),
    (LifecycleEvent::ApplicationStop, "ApplicationStop"),
    (LifecycleEvent::BeforeInstall, "BeforeInstall"),
    (LifecycleEvent::AfterInstall, "AfterInstall"),
    (LifecycleEvent::ApplicationStart, "ApplicationStart"),
    (LifecycleEvent::ValidateService, "ValidateService"),
    (LifecycleEvent::BeforeAllowTraffic, "BeforeAllowTraffic"),
    (LifecycleEvent::AfterAllowTraffic, "AfterAllowTraffic"),
];

/// What handover has to do in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing, and it must not fail: the OLD bundle's binary runs here, even during its own rollback, and a failure could
    /// not be fixed by any new release.
    Never,
    /// Bring the deployment up to the end of a phase.
    UpTo(Phase),
    /// Nothing yet.
    Nothing,
}

impl LifecycleEvent {
    /// What handover does in it. This is the one table.
    pub fn duty(self) -> Duty {
        match self {
            Self::ApplicationStop | Self::BeforeBlockTraffic | Self::AfterBlockTraffic => Duty::Never,
            Self::BeforeInstall => Duty::UpTo(Phase::Prepare),
            Self::AfterInstall => Duty::UpTo(Phase::Tasks),
            Self::ApplicationStart => Duty::UpTo(Phase::Settle),
            Self::ValidateService => Duty::UpTo(Phase::Finish),
            Self::BeforeAllowTraffic | Self::AfterAllowTraffic => Duty::Nothing,
        }
    }

    /// As `CodeDeploy` spells it.
    pub fn as_str(self) -> &'static str {
        EVENTS.iter().find(|(event, _)| *event == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not an event.
#[derive(Debug, thiserror::Error)]
#[error("'{word}' is not a lifecycle event that appspec.yml can script; those are: {}", EVENTS.map(|(_, name)| name).join(", "))]
pub struct UnknownEvent {
    word: String,
}

impl FromStr for LifecycleEvent {
    type Err = UnknownEvent;
    fn from_str(word: &str) -> Result<Self, UnknownEvent> {
        let known = EVENTS.iter().find(|(_, name)| *name == word);
        known.map(|(event, _)| *event).ok_or_else(|| UnknownEvent { word: word.to_owned() })
    }
}
