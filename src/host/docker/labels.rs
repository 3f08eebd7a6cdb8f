//! The labels by which our own containers are found again. They say what never changes; the role is the name.

use std::collections::HashMap;

use crate::model::{AppName, DeploymentId, ProcessName, ReleaseNumber};

/// The label that says whose a container is; also the filter that finds all of an app's.
pub const APP: &str = "handover.app";
const PROCESS: &str = "handover.process";
const RELEASE: &str = "handover.release";
const DEPLOYMENT: &str = "handover.deployment";
const KIND: &str = "handover.kind";

/// What a container is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It serves, or did.
    Serve,
    /// It carries the traffic of another one of its release while the published port changes hands.
    Bridge,
    /// It runs a command once, such as a migration.
    Task,
    /// Something that another version knows.
    Other(String),
}

impl Kind {
    fn as_str(&self) -> &str {
        match self {
            Self::Serve => "serve",
            Self::Bridge => "bridge",
            Self::Task => "task",
            Self::Other(kind) => kind,
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "serve" => Self::Serve,
            "bridge" => Self::Bridge,
            "task" => Self::Task,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the labels of one of our containers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Whose it is.
    pub app: AppName,
    /// Which process.
    pub process: ProcessName,
    /// Which release.
    pub release: ReleaseNumber,
    /// Which deployment made it.
    pub deployment: DeploymentId,
    /// What for.
    pub kind: Kind,
}

impl Labels {
    /// As Docker takes them.
    pub fn to_map(&self) -> HashMap<String, String> {
        [
            (APP, self.app.to_string()),
            (PROCESS, self.process.to_string()),
            (RELEASE, self.release.0.to_string()),
            (DEPLOYMENT, self.deployment.to_string()),
            (KIND, self.kind.as_str().to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// From what Docker says; nothing when the container is not ours.
    pub fn of(map: &HashMap<String, String>) -> Option<Self> {
        let of = |key| map.get(key).map(String::as_str);
        Some(Self {
            app: of(APP)?.parse().ok()?,
            process: of(PROCESS)?.parse().ok()?,
            release: ReleaseNumber(of(RELEASE)?.parse().ok()?),
            deployment: of(DEPLOYMENT)?.parse().ok()?,
            kind: Kind::of(of(KIND)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_another_version_is_kept() {
        let labels = Labels {
            app: "status-page".parse().unwrap(),
            process: "web".parse().unwrap(),
            release: ReleaseNumber(3),
            deployment: "d-1".parse().unwrap(),
            kind: Kind::Other("shadow".to_owned()),
        };
        let mut map = labels.to_map();
        assert_eq!(Labels::of(&map), Some(labels));
        map.remove(PROCESS);
        assert_eq!(Labels::of(&map), None, "it is not ours");
    }
}
