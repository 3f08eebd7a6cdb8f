//! What is known of a release: its record, as it stands in `record.json`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::digest::sha256;
use crate::journal::{Header, PhaseTime, TaskRun};
use crate::model::{DeploymentId, ImageName, ImageRef, ProcessName, ReleaseNumber, Revision};

/// The format of `record.json`. `tests/fixtures/record-v*.json` pin it.
pub const RECORD_FORMAT: u32 = 1;

/// What a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_FORMAT`].
    pub format: u32,
    /// Its number.
    pub release: ReleaseNumber,
    /// The deployment that made it.
    pub deployment: DeploymentId,
    /// The deployment group, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The earlier release that it is made like, where somebody went back to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<ReleaseNumber>,
    /// Whether that release was live then, and is made again with the secrets of now: the same code, not another way to go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// The bundle that `CodeDeploy` took it from, as far as it says.
    #[serde(default, skip_serializing_if = "Revision::is_unknown")]
    pub revision: Revision,
    /// Its images, by their names in the configuration, once they were resolved.
    #[serde(default)]
    pub images: BTreeMap<ImageName, ImageRef>,
    /// The tags that their digests came from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<ImageName, String>,
    /// The platform of the instance: `linux/amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The names that its containers have when they do not serve.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<ProcessName, String>,
    /// The versions of the secrets that it saw, by their names in the configuration. Never restored: an old password is a
    /// dead one.
    #[serde(default)]
    pub secret_versions: BTreeMap<String, String>,
    /// The secrets that AWS did not give it: it has what was kept of an earlier release, of no known version.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kept_secrets: BTreeSet<String>,
    /// How its tasks went.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<ProcessName, TaskRun>,
    /// Stands for everything that its containers are made of; contains no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How long its phases took, once its run is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseTime>,
    /// How it went.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// When this was written.
    pub at: Timestamp,
}

/// How a release went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Its deployment is not over.
    Unproven,
    /// It was deployed and healthy.
    Good,
    /// Nothing was to be done: this one served already, and was what was asked for.
    Unchanged {
        /// Its number.
        same_as: ReleaseNumber,
    },
    /// It was turned down.
    Refused {
        /// Why.
        cause: String,
    },
    /// What another version says. It is nothing to go back to.
    #[serde(other)]
    Unknown,
}

impl Record {
    /// The record of a run that begins.
    pub fn of_run(header: &Header) -> Self {
        Self {
            format: RECORD_FORMAT,
            release: header.release,
            deployment: header.deployment.clone(),
            group: header.group.clone(),
            rollback_to: header.rollback.as_ref().map(|rollback| rollback.to),
            refresh: header.rollback.as_ref().is_some_and(|rollback| rollback.refresh),
            revision: Revision::default(),
            images: BTreeMap::default(),
            tags: BTreeMap::default(),
            platform: None,
            containers: BTreeMap::default(),
            secret_versions: BTreeMap::default(),
            kept_secrets: BTreeSet::default(),
            tasks: BTreeMap::default(),
            fingerprint: None,
            phases: vec![],
            verdict: Verdict::Unproven,
            at: header.began,
        }
    }

    /// The releases that a good refresh has taken the place of: those that were refreshed.
    pub fn superseded<'r>(records: impl IntoIterator<Item = &'r Self>) -> BTreeSet<ReleaseNumber> {
        let refreshed =
            records.into_iter().filter(|record| record.refresh && record.verdict == Verdict::Good);
        refreshed.filter_map(|record| record.rollback_to).collect()
    }

    /// The tasks of it that have moved the schema of a database.
    pub fn moved_schema(&self) -> impl Iterator<Item = &ProcessName> {
        self.tasks.iter().filter(|(_, run)| run.has_moved_schema()).map(|(task, _)| task)
    }
}

/// Stands for everything that the containers of a release are made of. Secrets count by their versions, never by their
/// values: a digest of a short password gives it away.
pub fn fingerprint(
    settings: &Settings,
    images: &BTreeMap<ImageName, ImageRef>,
    secret_versions: &BTreeMap<String, String>,
) -> String {
    let Settings { secrets, environment, files, processes, tasks, services, .. } = settings;
    // A service is made once: what it is made of is no part of a release, only that it is found on its network.
    let images: BTreeMap<_, _> = images.iter().filter(|(name, _)| !settings.is_of_services(name)).collect();
    let made_of = (&images, secrets, environment, files, processes, secret_versions);
    let mut text = serde_json::to_vec(&made_of).expect("settings are plain data");
    if !tasks.is_empty() {
        // What a task does is part of what a release is: a changed migration is to run.
        text.extend(serde_json::to_vec(tasks).expect("settings are plain data"));
    }
    if !services.is_empty() {
        let names: Vec<_> = services.keys().collect();
        text.extend(serde_json::to_vec(&names).expect("names are plain data"));
    }
    format!("sha256:{}", sha256(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// A newer version with more keys must not take every release for a changed one: an upgrade would deploy them all anew.
    #[test]
    fn the_fingerprint_of_a_release_stays_what_it_was() {
        let digest = format!("sha256:{}", "0af".repeat(22).get(..64).unwrap()).parse().unwrap();
        let image = ImageRef { repository: "registry/status-page".to_owned(), digest };
        let images = BTreeMap::from([(ImageName::default_image(), image)]);
        let of = |text: &str| {
            fingerprint(&config::parse(text, "handover.toml").unwrap(), &images, &BTreeMap::default())
        };
        let full = include_str!("../../tests/fixtures/config-full.toml");
        assert_eq!(of(full), "sha256:d198c7222220d57df185700bb519a54bf7237bacfa9bd7e284eb2fcff89da65d");
        let key = "stop-timeout = \"35s\"";
        assert!(full.contains(key));
        for more in ["read-only = true", "cpus = 1", "log = { max-file = 2 }", "ulimits = { nofile = 1024 }"]
        {
            assert_ne!(of(full), of(&full.replace(key, &format!("{key}\n{more}"))), "{more}");
        }
    }
}
