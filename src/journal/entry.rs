//! The journal's lines: a contract with every other version of this program. `tests/fixtures/journal-v*.jsonl` pin it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::release::{AppName, DeploymentId, ImageRef, ProcessName, ReleaseNumber};

/// The format of the lines. Any version undoes any format, because the inverses are a closed vocabulary; only the same
/// format is resumed, because steps are not.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Counted from 0 without gaps: a missing line is damage.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins: the first line, and only that.
    Opened(Box<Header>),
    /// Another process takes the run up.
    Resumed {
        /// Its process id.
        pid: u32,
        /// What it was called as.
        by: String,
    },
    /// A step is about to be made.
    Began {
        /// Its name.
        step: String,
        /// What takes it back, in order.
        inverse: Vec<Inverse>,
    },
    /// A step was made.
    Done {
        /// Its name.
        step: String,
        /// What was learnt that later steps need.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        facts: Vec<Fact>,
    },
    /// A step failed. Before the commit, and where its verdict counts, the run turns back.
    Failed {
        /// Its name.
        step: String,
        /// Why, in one line without secrets.
        cause: String,
        /// What was seen, such as the container's last lines; without secrets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<String>,
        /// What has to be mended, all of it, where the step looked for more than one thing; without secrets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        findings: Vec<Finding>,
        /// Whether its failure turns the run back even after the commit.
        verdict: bool,
    },
    /// The run is given up: it turns back.
    Abandoned {
        /// Why.
        cause: String,
    },
    /// The new release has passed its gate: from here an interrupted run is finished, not undone.
    Committed,
    /// A step was taken back.
    Undone {
        /// Its name.
        step: String,
    },
    /// A step could not be taken back now. The next process tries again.
    UndoFailed {
        /// Its name.
        step: String,
        /// Why.
        cause: String,
    },
    /// The release that was put back has been gated.
    Regated {
        /// Whether it is healthy.
        healthy: bool,
    },
    /// The process rests until `CodeDeploy` runs the next hook.
    Waiting,
    /// The run is over.
    Ended {
        /// How.
        #[serde(flatten)]
        ended: Ended,
    },
}

/// What a run is about: the journal's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the program that opened the run.
    pub version: String,
    /// The app.
    pub app: AppName,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that it makes.
    pub release: ReleaseNumber,
    /// The deployment group, where `CodeDeploy` named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The names of the steps, in order.
    pub plan: Vec<String>,
    /// Deployments that are over for good: a late hook of one of them must not act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<DeploymentId>,
    /// When it began.
    pub began: Timestamp,
}

/// What a step found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The image that the tag meant.
    Image(ImageRef),
    /// The version of a secret that was read; never its value.
    SecretVersion {
        /// The secret's name in the configuration.
        secret: String,
        /// Secrets Manager's `VersionId`.
        version: String,
    },
    /// The live release is what was asked for: nothing has to change.
    Unchanged {
        /// Its number.
        release: ReleaseNumber,
    },
    /// The container that was live when the run began.
    Live {
        /// The process.
        process: ProcessName,
        /// The release it belongs to.
        release: ReleaseNumber,
        /// The container's id.
        id: String,
        /// Whether it was running.
        running: bool,
    },
    /// The new container.
    New {
        /// The process.
        process: ProcessName,
        /// The container's id.
        id: String,
    },
}

/// Something that would make a deployment fail, and the way out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong: it names the place.
    pub what: String,
    /// What to do about it; empty where what is wrong says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl Finding {
    /// What is wrong, and what to do about it.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// In one sentence.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fix.is_empty() { f.write_str(&self.what) } else { write!(f, "{}; {}", self.what, self.fix) }
    }
}

/// What takes a step back. Closed on purpose: a new kind needs a new [`FORMAT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inverse {
    /// Remove the container of this name, if this deployment made it.
    RemoveContainer {
        /// Its name: the id is not known when the step begins.
        name: String,
        /// Its label must say this.
        deployment: DeploymentId,
    },
    /// Start a container.
    Start {
        /// Its id.
        id: String,
    },
    /// Stop a container.
    Stop {
        /// Its id.
        id: String,
    },
    /// Give a container its name back.
    Rename {
        /// Its id.
        id: String,
        /// The name.
        to: String,
    },
    /// Give a container its restart policy back.
    SetRestartPolicy {
        /// Its id.
        id: String,
        /// Docker's name of the policy.
        policy: String,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Ended {
    /// The new release serves.
    Deployed,
    /// The release that serves was already what was asked for.
    Unchanged,
    /// It was undone.
    Reverted {
        /// Why.
        cause: String,
        /// Whether a healthy release serves.
        serving: bool,
    },
}
