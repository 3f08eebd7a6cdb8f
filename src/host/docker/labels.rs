//! The labels by which our own containers are found. They hold what never changes; the role is in the name.

use std::collections::HashMap;

use crate::model::{AppName, DeploymentId, ProcessName, ReleaseNumber};

// All of them begin with `container_label::PREFIX`, so that nobody else's label is taken for one.
/// The label with the app of a container; also the filter that finds all of an app's.
pub const APP: &str = "handover.app";
const PROCESS: &str = "handover.process";
const RELEASE: &str = "handover.release";
const DEPLOYMENT: &str = "handover.deployment";
/// What a service's container was made of when it was made.
pub const MADE_OF: &str = "handover.made-of";
const KIND: &str = "handover.kind";

/// What a container is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It serves, or did.
    Serve,
    /// It takes the traffic of its release while the published port moves to another container.
    Bridge,
    /// It runs a command once, such as a migration.
    Task,
    /// It runs an operator's command.
    Run,
    /// It is a server beside the app, which outlives releases.
    Service,
    /// A kind of another version.
    Other(String),
}

impl Kind {
    fn as_str(&self) -> &str {
        match self {
            Self::Serve => "serve",
            Self::Bridge => "bridge",
            Self::Task => "task",
            Self::Run => "run",
            Self::Service => "service",
            Self::Other(kind) => kind,
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "serve" => Self::Serve,
            "bridge" => Self::Bridge,
            "task" => Self::Task,
            "run" => Self::Run,
            "service" => Self::Service,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The labels of one of our containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The app.
    pub app: AppName,
    /// The process.
    pub process: ProcessName,
    /// The release.
    pub release: ReleaseNumber,
    /// The deployment that created it.
    pub deployment: DeploymentId,
    /// What it is for.
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

    /// Those of its release.
    pub(super) fn release(&self) -> ReleaseLabels {
        let Self { app, release, deployment, .. } = self.clone();
        ReleaseLabels { app, release, deployment }
    }

    /// From Docker's labels; `None` when the container is not ours.
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

/// The labels of what the containers of a release share: its network, its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseLabels {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseNumber,
    /// The deployment that created it.
    pub deployment: DeploymentId,
}

impl ReleaseLabels {
    /// As Docker takes them.
    pub fn to_map(&self) -> HashMap<String, String> {
        [
            (APP, self.app.to_string()),
            (RELEASE, self.release.0.to_string()),
            (DEPLOYMENT, self.deployment.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// From Docker's labels; `None` when it is not ours.
    pub fn of(map: &HashMap<String, String>) -> Option<Self> {
        let of = |key| map.get(key).map(String::as_str);
        Some(Self {
            app: of(APP)?.parse().ok()?,
            release: ReleaseNumber(of(RELEASE)?.parse().ok()?),
            deployment: of(DEPLOYMENT)?.parse().ok()?,
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
