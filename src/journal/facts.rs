//! What a run has found out so far: facts as they stand in the journal, and what they add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ImageName, ImageRef, ProcessName, ReleaseNumber};

/// What a step found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// What the tag of an image means.
    Image {
        /// The image's name in the configuration.
        name: ImageName,
        /// The image.
        #[serde(flatten)]
        image: ImageRef,
    },
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
    /// The container that is live as the run finds it.
    Live {
        /// The process.
        process: ProcessName,
        /// The container.
        #[serde(flatten)]
        live: LiveContainer,
    },
    /// The new container.
    New {
        /// The process.
        process: ProcessName,
        /// The container's id.
        id: String,
    },
    /// The candidate.
    Candidate {
        /// The process.
        process: ProcessName,
        /// The container's id.
        id: String,
    },
    /// A task has come to its end.
    Task {
        /// The task.
        task: ProcessName,
        /// How.
        #[serde(flatten)]
        run: TaskRun,
    },
    /// Something that another version finds out.
    #[serde(other)]
    Unknown,
}

/// A container that serves when the switch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its release; nothing when somebody else made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    /// Whether it was running.
    pub running: bool,
}

/// How a task went that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskRun {
    /// How it ended.
    pub ended: TaskEnd,
    /// Whether it changes the schema of a database.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schema: bool,
}

impl TaskRun {
    /// Whether the schema of a database is now another one.
    pub fn has_moved_schema(self) -> bool {
        self.schema && self.ended != TaskEnd::NotNeeded
    }
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// It ran, and succeeded.
    Done,
    /// There was nothing for it to do.
    NotNeeded,
    /// In a way that another version knows.
    #[serde(other)]
    Unknown,
}

/// What the facts of a run add up to. Of two about one thing the later counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The images, by their names in the configuration.
    pub images: BTreeMap<ImageName, ImageRef>,
    /// The versions of the secrets that were read, by their names in the configuration.
    pub secret_versions: BTreeMap<String, String>,
    /// The live release, if it is what was asked for.
    pub unchanged: Option<ReleaseNumber>,
    /// What was live when the switch began; nothing on a first deployment.
    pub live: BTreeMap<ProcessName, LiveContainer>,
    /// The ids of the containers that this run has made.
    pub new: BTreeMap<ProcessName, String>,
    /// The ids of the candidates that this run has made.
    pub candidates: BTreeMap<ProcessName, String>,
    /// The tasks that have come to their ends.
    pub tasks: BTreeMap<ProcessName, TaskRun>,
}

impl Facts {
    /// Takes one more fact in.
    pub fn learn(&mut self, fact: &Fact) {
        match fact.clone() {
            Fact::Image { name, image } => drop(self.images.insert(name, image)),
            Fact::SecretVersion { secret, version } => drop(self.secret_versions.insert(secret, version)),
            Fact::Unchanged { release } => self.unchanged = Some(release),
            Fact::Live { process, live } => drop(self.live.insert(process, live)),
            Fact::New { process, id } => drop(self.new.insert(process, id)),
            Fact::Candidate { process, id } => drop(self.candidates.insert(process, id)),
            Fact::Task { task, run } => drop(self.tasks.insert(task, run)),
            Fact::Unknown => {}
        }
    }
}
