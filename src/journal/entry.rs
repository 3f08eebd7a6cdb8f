//! The journal's lines: a contract with every other version of this program. `tests/fixtures/journal-v*.jsonl` pin it.
//!
//! Another version may write entries, facts, inverses and outcomes that this one does not know: they are read as unknown
//! and never as damage. Such a run is finished by the version that began it, or undone by the inverses that are known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::Fact;
use crate::model::{
    AppName, DeploymentId, Failure, ImageDigest, ImageName, ImageRef, Nature, Phase, ProcessName,
    ReleaseNumber,
};

/// The format of the lines. A reader of another format takes them as far as it knows them, to undo; only the same format
/// is resumed forward.
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
        /// The version of the program.
        version: String,
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
    /// A step failed, or could not even be begun. Before the commit, and where its verdict counts, the run turns back.
    Failed {
        /// Its name.
        step: String,
        /// Why, without secrets.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The run is given up: it turns back.
    Abandoned {
        /// Why.
        cause: String,
        /// Whether a committed run turns back, too: an operator said so, or nobody can finish it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
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
        /// Why it is not.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        why: Vec<String>,
    },
    /// The process rests until `CodeDeploy` runs the next hook.
    Waiting,
    /// The run is over.
    Ended {
        /// How.
        #[serde(flatten)]
        ended: Ended,
    },
    /// Something that another version writes.
    #[serde(other)]
    Unknown,
}

/// What a run is about: the journal's first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the program that opened the run.
    pub version: String,
    /// The copy of the binary that opened it: it can finish it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<PathBuf>,
    /// The app.
    pub app: AppName,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that it makes.
    pub release: ReleaseNumber,
    /// The deployment group, where `CodeDeploy` named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The earlier release that the run goes back to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// What the tags of a revision mean that was deployed here before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
    /// What is to be done, in order.
    pub plan: Vec<Planned>,
    /// Deployments that are over for good: a late hook of one of them must not act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<DeploymentId>,
    /// When it began.
    pub began: Timestamp,
}

/// What a revision that comes back has from the release that it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The earlier release.
    pub to: ReleaseNumber,
    /// What its tags meant then.
    pub images: BTreeMap<ImageName, ImageDigest>,
}

/// What a run towards an earlier release has from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The earlier release.
    pub to: ReleaseNumber,
    /// The release that was live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ReleaseNumber>,
    /// Its images: nobody is asked what a tag means.
    pub images: BTreeMap<ImageName, ImageRef>,
    /// Whether it is live itself, made again for the sake of secrets that have changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// The digests that no later deployment may bring, once this one has come to a good end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<ImageDigest>,
}

impl Rollback {
    /// The release whose kept secrets may stand in for AWS: none where its secrets are what it is about.
    pub fn stands_in(&self) -> Option<ReleaseNumber> {
        (!self.refresh).then_some(self.to)
    }
}

/// One item of a plan, and the phase in which it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The phase.
    pub phase: Phase,
    /// What.
    #[serde(flatten)]
    pub item: PlannedItem,
}

/// What is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "kebab-case")]
pub enum PlannedItem {
    /// A step.
    Step {
        /// Its name: a verb, and what it is about.
        step: String,
        /// What has to be known of it.
        #[serde(default)]
        nature: Nature,
    },
    /// The commit: what stands before it is undone when the run is interrupted, what follows is finished.
    Commit,
    /// Something that another version plans.
    #[serde(other)]
    Unknown,
}

impl Header {
    /// The nature of a step of the plan. One that the plan does not name may have done anything.
    pub fn nature(&self, name: &str) -> Nature {
        let named = self.plan.iter().find_map(|planned| match &planned.item {
            PlannedItem::Step { step, nature } if step == name => Some(*nature),
            _ => None,
        });
        named.unwrap_or(Nature::CHANGES_LIVE)
    }
}

/// What takes a step back. A closed vocabulary: any version undoes any other one's run as far as it knows the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
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
        /// When it had been started, as Docker writes it, before it was stopped: if it still says so, the stop may be
        /// under way.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        started_at: String,
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
    /// Stop a container that may have had traffic: its connections get the time to end.
    Retire {
        /// Its id.
        id: String,
    },
    /// New connections go where they went before the redirect, once what is there is healthy.
    EndRedirect,
    /// Remove what is left of the redirect.
    RemoveRedirect,
    /// Make new connections to a process wait: it gives way once more.
    Stall {
        /// The process.
        process: ProcessName,
    },
    /// Let the clients of a process in that were made to wait, once what served before answers again.
    EndStall {
        /// The process.
        process: ProcessName,
    },
    /// Remove the network of this name, if this deployment made it.
    RemoveNetwork {
        /// Its name.
        name: String,
        /// Its label must say this.
        deployment: DeploymentId,
    },
    /// Remove the volume of this name, with what is in it, if this deployment made it.
    RemoveVolume {
        /// Its name.
        name: String,
        /// Its label must say this.
        deployment: DeploymentId,
    },
    /// Remove the rendered files of a release.
    RemoveFiles {
        /// The release.
        release: ReleaseNumber,
    },
    /// Something that another version can undo.
    #[serde(other)]
    Unknown,
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
    /// In a way that another version knows.
    #[serde(other)]
    Unknown,
}
