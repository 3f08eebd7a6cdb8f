//! What the service would have been told, as data and as the console shows it.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::agent::Version;

/// The agent's error codes (contract 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum ErrorCode {
    /// All scripts of the event exited 0.
    Success = 0,
    /// The appspec names a script the bundle lacks.
    ScriptMissing = 1,
    /// The script could not be made executable.
    ScriptNotExecutable = 2,
    /// The script outlived its `timeout:`.
    ScriptTimedOut = 3,
    /// The script exited with something else than 0, by a signal, or its output broke the agent.
    ScriptFailed = 4,
    /// Whatever is no script's fault: appspec, Install, missing previous bundle.
    UnknownError = 5,
    /// The script ended but something it started keeps stdout or stderr open.
    OutputsLeftOpen = 6,
    /// The agent found its own tracking file at start.
    FailedAfterRestart = 7,
}

impl ErrorCode {
    /// The name the public API has for it; it knows nothing of 6 and 7 (contract 1.3).
    pub fn public_name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::ScriptMissing => "ScriptMissing",
            Self::ScriptNotExecutable => "ScriptNotExecutable",
            Self::ScriptTimedOut => "ScriptTimedOut",
            Self::ScriptFailed => "ScriptFailed",
            Self::UnknownError | Self::OutputsLeftOpen | Self::FailedAfterRestart => "UnknownError",
        }
    }
}

impl From<ErrorCode> for u8 {
    fn from(code: ErrorCode) -> Self {
        code as Self
    }
}

impl TryFrom<u8> for ErrorCode {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        [
            Self::Success,
            Self::ScriptMissing,
            Self::ScriptNotExecutable,
            Self::ScriptTimedOut,
            Self::ScriptFailed,
            Self::UnknownError,
            Self::OutputsLeftOpen,
            Self::FailedAfterRestart,
        ]
        .into_iter()
        .find(|code| *code as u8 == number)
        .ok_or_else(|| format!("{number} is no error code of the agent"))
    }
}

/// How an event or a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It went well.
    Succeeded,
    /// It did not.
    Failed,
    /// It never ran, an earlier event had failed.
    Skipped,
}

/// One script that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptReport {
    /// As the appspec has it.
    pub location: String,
    /// Exit code, none when a signal ended it or it was never seen to end.
    pub exit: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// From spawn to verdict.
    pub duration_ms: u64,
}

/// One lifecycle event.
#[expect(clippy::struct_excessive_bools, reason = "a flat record, easy to read as JSON")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReport {
    /// Its name.
    pub event: String,
    /// The deployment it was part of.
    pub deployment_id: String,
    /// How it ended.
    pub status: Status,
    /// The agent's code.
    pub error_code: ErrorCode,
    /// The script that failed, else empty.
    pub script: String,
    /// Exit code of the last script started, none without one or when a signal ended it.
    pub exit: Option<i32>,
    /// Signal that ended the last script.
    pub signal: Option<i32>,
    /// The agent's message.
    pub message: String,
    /// The log tail as `CodeDeploy` would show it: empty unless a script failed (contract 1.3).
    pub log: String,
    /// How long the agent was busy with it.
    pub duration_ms: u64,
    /// Never ran, since an earlier event had failed.
    pub skipped: bool,
    /// There was nothing to run.
    pub noop: bool,
    /// The failure does not end the deployment (`ignore application stop failures`).
    pub ignored: bool,
    /// The agent would still be waiting (v1 has no limit); the simulator's own limit ended it.
    pub agent_hung: bool,
    /// The deployment whose bundle supplied the hook.
    pub revision: Option<String>,
    /// The scripts that were started, in order.
    pub scripts: Vec<ScriptReport>,
}

impl EventReport {
    pub(crate) fn new(event: &str, deployment_id: &str) -> Self {
        Self {
            event: event.to_owned(),
            deployment_id: deployment_id.to_owned(),
            status: Status::Succeeded,
            error_code: ErrorCode::Success,
            script: String::new(),
            exit: None,
            signal: None,
            message: "Succeeded".to_owned(),
            log: String::new(),
            duration_ms: 0,
            skipped: false,
            noop: false,
            ignored: false,
            agent_hung: false,
            revision: None,
            scripts: Vec::new(),
        }
    }

    pub(crate) fn skipped(event: &str, deployment_id: &str) -> Self {
        Self {
            status: Status::Skipped,
            skipped: true,
            message: String::new(),
            ..Self::new(event, deployment_id)
        }
    }

    pub(crate) fn fail(&mut self, code: ErrorCode, message: impl Into<String>) {
        self.status = Status::Failed;
        self.error_code = code;
        self.message = message.into();
    }

    /// Whether it ends the deployment.
    pub fn is_fatal(&self) -> bool {
        self.status == Status::Failed && !self.ignored
    }
}

impl fmt::Display for EventReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = match (self.skipped, self.ignored, self.noop) {
            (true, ..) => "Skipped",
            (_, true, _) => "Failed (ignored)",
            (_, _, true) => "Succeeded (nothing to run)",
            _ if self.status == Status::Failed => "Failed",
            _ => "Succeeded",
        };
        if self.skipped {
            return write!(f, "  {:<20} {:>10}  {note}", self.event, "-");
        }
        let took = format!("{}.{:03} s", self.duration_ms / 1000, self.duration_ms % 1000);
        write!(f, "  {:<20} {took:>10}  {note}", self.event)?;
        if self.status != Status::Failed {
            return Ok(());
        }
        let mut details = String::new();
        write!(details, "Error code   {} ({})", self.error_code.public_name(), self.error_code as u8)?;
        write!(details, "\nScript name  {}", self.script)?;
        write!(details, "\nMessage      {}", self.message)?;
        if self.agent_hung {
            details.push_str("\nNote         the agent would still be waiting for this script to exit");
        }
        details.push_str("\nLog tail");
        let mut gap = "     ";
        for line in self.log.lines() {
            write!(details, "{gap}{line}")?;
            gap = "\n             ";
        }
        for line in details.lines() {
            write!(f, "\n      {line}")?;
        }
        Ok(())
    }
}

/// A deployment on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentReport {
    /// Which agent's rules were used.
    pub agent: Version,
    /// Its id.
    pub deployment_id: String,
    /// Application name.
    pub application: String,
    /// Deployment group name.
    pub group: String,
    /// Deployment group id.
    pub group_id: String,
    /// Failed as soon as one event failed.
    pub status: Status,
    /// Events a crashed agent left behind, reported by this start of the agent (code 7).
    pub recovered: Vec<EventReport>,
    /// All events of the order, the skipped ones too.
    pub events: Vec<EventReport>,
}

impl DeploymentReport {
    /// Whether every event went well.
    pub fn succeeded(&self) -> bool {
        self.status == Status::Succeeded
    }

    /// The report of one event, if it was in the order.
    pub fn event(&self, name: &str) -> Option<&EventReport> {
        self.events.iter().find(|event| event.event == name)
    }

    /// The first event that failed the deployment.
    pub fn failure(&self) -> Option<&EventReport> {
        self.events.iter().find(|event| event.is_fatal())
    }
}
