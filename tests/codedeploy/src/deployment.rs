//! What the service tells the agent about a deployment.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

use crate::install::FileExists;

/// Who asked for the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creator {
    /// A person or a pipeline.
    User,
    /// `CodeDeploy` itself, after a failure.
    CodeDeployRollback,
}

/// In place or blue/green.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentKind {
    /// `IN_PLACE`
    InPlace,
    /// `BLUE_GREEN`
    BlueGreen,
}

/// Where the revision came from, which decides the `BUNDLE_*` variables. None in here is UNSET in a hook, never
/// empty (contract 1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Revision {
    /// A local bundle: no `BUNDLE_*` at all.
    #[default]
    Local,
    /// An object in S3.
    S3 {
        /// `BUNDLE_BUCKET`
        bucket: String,
        /// `BUNDLE_KEY`
        key: String,
        /// `BUNDLE_VERSION`; absent on an unversioned bucket.
        version: Option<String>,
        /// `BUNDLE_ETAG`; v2 fills it in from the download when the service sent none.
        etag: Option<String>,
    },
    /// A commit on GitHub.
    GitHub {
        /// `BUNDLE_COMMIT`
        commit: String,
    },
}

/// One deployment to this host.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// `d-XXXXXXXXX`
    pub id: String,
    /// Application name.
    pub application: String,
    /// Deployment group name.
    pub group: String,
    /// Deployment group id: the key of everything the agent keeps on disk.
    pub group_id: String,
    /// The unpacked bundle. Only `DownloadBundle` needs it.
    pub bundle: Option<PathBuf>,
    /// Where the bundle "came from".
    pub revision: Revision,
    /// Who asked.
    pub creator: Creator,
    /// In place or blue/green.
    pub kind: DeploymentKind,
    /// What Install does with files it did not make.
    pub file_exists: FileExists,
    /// Go on after a failed `ApplicationStop`, `BeforeBlockTraffic` or `AfterBlockTraffic`.
    pub ignore_stop_failures: bool,
    /// Name of the appspec file in the bundle.
    pub appspec: String,
}

impl Deployment {
    /// A deployment of `bundle` with a fresh id and everything else at its default.
    pub fn of_bundle(bundle: impl Into<PathBuf>) -> Self {
        Self { bundle: Some(bundle.into()), ..Self::without_bundle() }
    }

    /// For single events after `DownloadBundle`.
    pub fn without_bundle() -> Self {
        let group = "DeploymentGroup".to_owned();
        Self {
            id: generated_id(),
            application: "Application".to_owned(),
            group_id: group_id_of(&group),
            group,
            bundle: None,
            revision: Revision::default(),
            creator: Creator::User,
            kind: DeploymentKind::InPlace,
            file_exists: FileExists::default(),
            ignore_stop_failures: false,
            appspec: "appspec.yml".to_owned(),
        }
    }

    /// The same with another id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// What the agent adds to a hook's environment (contract 1.1). `downloaded_etag` is v2's persisted one.
    pub(crate) fn hook_env(&self, event: &str, downloaded_etag: Option<&String>) -> BTreeMap<String, String> {
        let mut env: BTreeMap<String, String> = [
            ("LIFECYCLE_EVENT", event),
            ("DEPLOYMENT_ID", &self.id),
            ("APPLICATION_NAME", &self.application),
            ("DEPLOYMENT_GROUP_NAME", &self.group),
            ("DEPLOYMENT_GROUP_ID", &self.group_id),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let mut set = |key: &str, value: Option<&String>| {
            if let Some(value) = value {
                env.insert(key.to_owned(), value.clone());
            }
        };
        match &self.revision {
            Revision::Local => {}
            Revision::S3 { bucket, key, version, etag } => {
                set("BUNDLE_BUCKET", Some(bucket));
                set("BUNDLE_KEY", Some(key));
                set("BUNDLE_VERSION", version.as_ref());
                set("BUNDLE_ETAG", etag.as_ref().or(downloaded_etag));
            }
            Revision::GitHub { commit } => set("BUNDLE_COMMIT", Some(commit)),
        }
        env
    }
}

/// Random bits without another dependency: the standard hasher's keys.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new `d-XXXXXXXXX`.
pub fn generated_id() -> String {
    const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut bits = random();
    let mut id = String::from("d-");
    for _ in 0..9 {
        id.push(char::from(LETTERS[usize::try_from(bits % 36).unwrap_or(0)]));
        bits /= 36;
    }
    id
}

/// A stable id for a group name, so that a group's deployments find each other's state (FNV-1a, twice).
pub fn group_id_of(name: &str) -> String {
    let fnv = |seed: u64| {
        name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let (high, low) = (fnv(0xcbf2_9ce4_8422_2325), fnv(0x8422_2325_cbf2_9ce4));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_the_services() {
        let id = generated_id();
        assert_eq!(id.len(), 11, "{id}");
        assert!(id.starts_with("d-"));
        assert_ne!(id, generated_id());
        assert_eq!(group_id_of("production"), group_id_of("production"));
        assert_ne!(group_id_of("production"), group_id_of("test"));
        assert_eq!(group_id_of("production").len(), 36);
    }
}
