//! The steps of a deployment: data, in order. The same words stand in the journal, the log and the report.

use std::fmt;
use std::str::FromStr;

use crate::release::ProcessName;

/// The parts of a deployment, in order. `CodeDeploy`'s hooks stop between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything that leaves the live containers alone.
    Prepare,
    /// Commands that run once, such as a migration.
    Tasks,
    /// Live is stopped and the new release takes its place, on trial.
    Switch,
    /// The new release becomes plain Docker, and the old one is parked.
    Settle,
    /// The new release is looked at once more, and recorded as good.
    Finish,
}

/// One step. Each observes before it acts, may run twice and can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look whether anything would make the deployment fail: the host, the registry, every secret.
    Preflight,
    /// See whether the live release is what is asked for.
    Compare,
    /// Pull the image by its digest.
    PullImage,
    /// Render the files of the release.
    WriteFiles,
    /// Create the new container, not started.
    Create(ProcessName),
    /// Make sure that a reboot brings live back, although it is about to be stopped.
    ProtectLive(ProcessName),
    /// Stop live.
    StopLive(ProcessName),
    /// Start the new container.
    StartNew(ProcessName),
    /// Wait until it is healthy. Its success is the commit.
    Gate(ProcessName),
    /// Make sure that a reboot brings the new container back.
    KeepNew(ProcessName),
    /// Make sure that a reboot does not bring the old one back.
    ReleaseOld(ProcessName),
    /// Give the old container its parked name.
    ParkOld(ProcessName),
    /// Give the new container the name of live.
    Promote(ProcessName),
    /// Gate once more, on the published port.
    Verify(ProcessName),
    /// Record the release as good.
    Record,
}

/// A name in a journal that this version has no step for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not a step that handover {version} knows", version = env!("CARGO_PKG_VERSION"))]
pub struct UnknownStep(String);

impl Step {
    /// Its name in the journal: `stop-live web`.
    pub fn name(&self) -> String {
        match self.process() {
            Some(process) => format!("{} {process}", self.verb()),
            None => self.verb().to_owned(),
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Compare => "compare",
            Self::PullImage => "pull-image",
            Self::WriteFiles => "write-files",
            Self::Create(_) => "create",
            Self::ProtectLive(_) => "protect-live",
            Self::StopLive(_) => "stop-live",
            Self::StartNew(_) => "start-new",
            Self::Gate(_) => "gate",
            Self::KeepNew(_) => "keep-new",
            Self::ReleaseOld(_) => "release-old",
            Self::ParkOld(_) => "park-old",
            Self::Promote(_) => "promote",
            Self::Verify(_) => "verify",
            Self::Record => "record",
        }
    }

    /// What it does, for people.
    pub fn label(&self) -> String {
        let words = match self {
            Self::Preflight => "check the host, the registry and the secrets",
            Self::Compare => "compare with the live release",
            Self::PullImage => "pull the image",
            Self::WriteFiles => "render the files",
            Self::Create(_) => "create the container",
            Self::ProtectLive(_) => "keep the live container safe from a reboot",
            Self::StopLive(_) => "stop the live container",
            Self::StartNew(_) => "start the new container",
            Self::Gate(_) => "wait until the new container is healthy",
            Self::KeepNew(_) => "let a reboot bring the new container back",
            Self::ReleaseOld(_) => "let the old container rest at a reboot",
            Self::ParkOld(_) => "park the old container",
            Self::Promote(_) => "give the new container the live name",
            Self::Verify(_) => "check the new container on its published port",
            Self::Record => "record the release",
        };
        self.process().map_or_else(|| words.to_owned(), |process| format!("{process}: {words}"))
    }

    /// The process it is about.
    pub fn process(&self) -> Option<&ProcessName> {
        match self {
            Self::Preflight | Self::Compare | Self::PullImage | Self::WriteFiles | Self::Record => None,
            Self::Create(p)
            | Self::ProtectLive(p)
            | Self::StopLive(p)
            | Self::StartNew(p)
            | Self::Gate(p)
            | Self::KeepNew(p)
            | Self::ReleaseOld(p)
            | Self::ParkOld(p)
            | Self::Promote(p)
            | Self::Verify(p) => Some(p),
        }
    }

    /// The phase it belongs to.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Preflight | Self::Compare | Self::PullImage | Self::WriteFiles | Self::Create(_) => {
                Phase::Prepare
            }
            Self::ProtectLive(_) | Self::StopLive(_) | Self::StartNew(_) | Self::Gate(_) => Phase::Switch,
            Self::KeepNew(_) | Self::ReleaseOld(_) | Self::ParkOld(_) | Self::Promote(_) => Phase::Settle,
            Self::Verify(_) | Self::Record => Phase::Finish,
        }
    }

    /// Whether it lies behind the commit: an interrupted run is finished from here, not undone.
    pub fn is_after_commit(&self) -> bool {
        self.phase() >= Phase::Settle
    }

    /// Whether there is nothing for it to do when the live release is what is asked for.
    pub fn is_for_a_change(&self) -> bool {
        !matches!(self, Self::Preflight | Self::Compare | Self::Verify(_))
    }

    /// Whether it changes nothing, or only what does no harm half done: then it is dropped when this process has to stop.
    pub fn only_looks(&self) -> bool {
        matches!(self, Self::Preflight | Self::Compare | Self::PullImage)
    }

    /// Whether a boot can take its effect back: it starts and stops containers by their restart policies. What was
    /// started again has to pass the gate again, until it has been committed to.
    pub fn a_boot_may_undo_it(&self, committed: bool) -> bool {
        matches!(self, Self::StopLive(_) | Self::StartNew(_)) || (matches!(self, Self::Gate(_)) && !committed)
    }

    /// Whether it touches what serves, or doubts it, so that what serves afterwards has to be gated.
    pub fn touches_live(&self) -> bool {
        matches!(self.phase(), Phase::Switch | Phase::Settle) || matches!(self, Self::Verify(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;
    fn from_str(name: &str) -> Result<Self, UnknownStep> {
        let unknown = || UnknownStep(name.to_owned());
        let Some((verb, process)) = name.split_once(' ') else {
            return match name {
                "preflight" => Ok(Self::Preflight),
                "compare" => Ok(Self::Compare),
                "pull-image" => Ok(Self::PullImage),
                "write-files" => Ok(Self::WriteFiles),
                "record" => Ok(Self::Record),
                _ => Err(unknown()),
            };
        };
        let process = process.parse().map_err(|_| unknown())?;
        let of: fn(ProcessName) -> Self = match verb {
            "create" => Self::Create,
            "protect-live" => Self::ProtectLive,
            "stop-live" => Self::StopLive,
            "start-new" => Self::StartNew,
            "gate" => Self::Gate,
            "keep-new" => Self::KeepNew,
            "release-old" => Self::ReleaseOld,
            "park-old" => Self::ParkOld,
            "promote" => Self::Promote,
            "verify" => Self::Verify,
            _ => return Err(unknown()),
        };
        Ok(of(process))
    }
}
