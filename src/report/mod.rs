//! How a run went, as plain data that `deploy` fills: for people ([`tail`]), for machines ([`runs`]) and as an exit code.

mod next;
mod outcome;
pub mod runs;
pub mod tail;

use std::path::PathBuf;

use serde::Serialize;

use crate::exit::ExitStatus;
use crate::host::docker::BoundPort;
use crate::model::{AppName, DeploymentId, Failure, FailureKind, Finding, ProcessName, ReleaseNumber};
pub use outcome::Outcome;

/// How one process of ours left a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The app.
    pub app: AppName,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that it makes.
    pub release: ReleaseNumber,
    /// Its images, once they are known.
    pub images: Vec<String>,
    /// Where the run was left.
    pub outcome: Outcome,
    /// Whether an operator asked for nothing but an end, whichever way.
    pub recovered: bool,
    /// Why it turned back, or does not go on.
    pub failure: Option<Failure>,
    /// The folder of the bundle, where one was read.
    pub bundle: Option<PathBuf>,
    /// The deployment group, where one is known.
    pub group: Option<String>,
    /// Where the last lines of a container that failed are kept, without secrets.
    pub log: Option<PathBuf>,
    /// What serves now.
    pub serving: Vec<Serving>,
    /// How long nothing healthy answered, in milliseconds, when a process of ours stopped what served.
    pub unhealthy_ms: Option<u64>,
    /// For how much of that nothing answered at all, in milliseconds.
    pub silent_ms: Option<u64>,
    /// How long new connections were made to wait, where they were.
    pub waited: Option<Waited>,
    /// What has become of the schema of a database, where a task has moved it or may have.
    pub schema: Option<String>,
    /// What could not be undone, or is not healthy.
    pub left_over: Vec<String>,
    /// What was noticed, or went wrong without harm.
    pub notes: Vec<String>,
    /// How long each step of this process took, in milliseconds.
    pub steps: Vec<(String, u64)>,
}

/// What became of the clients that were made to wait while a process gave way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// How long those waited that came first, in milliseconds.
    pub longest_ms: u64,
    /// Whether their time ran out, so that whoever came later was refused.
    pub ran_out: bool,
}

/// The live container of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The process.
    pub process: ProcessName,
    /// The container's name.
    pub container: String,
    /// Its release.
    pub release: Option<ReleaseNumber>,
    /// Whether it runs.
    pub running: bool,
    /// Its ports that Docker has picked a port of the host for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub picked_ports: Vec<BoundPort>,
}

impl Report {
    /// Everything that has to be fixed, where a step looked for more than one thing.
    pub fn findings(&self) -> &[Finding] {
        let found = self.failure.as_ref().filter(|failure| failure.kind == FailureKind::Findings);
        found.map(|failure| failure.findings.as_slice()).unwrap_or_default()
    }

    /// What was seen, such as the last lines of a container that failed.
    pub fn evidence(&self) -> &[String] {
        self.failure.as_ref().map(|failure| failure.evidence.as_slice()).unwrap_or_default()
    }

    /// The number that the shell and `CodeDeploy` see.
    pub fn exit(&self) -> ExitStatus {
        self.outcome.exit(self.recovered)
    }
}

/// As it stands in JSON.
pub fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
