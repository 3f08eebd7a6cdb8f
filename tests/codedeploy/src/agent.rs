//! The agent: takes a deployment through its events, one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::appspec;
use crate::bundle;
use crate::cwd::WorkingDirectory;
use crate::deployment::{Deployment, Revision, random};
use crate::hook::{self, millis};
use crate::install;
use crate::layout::{Layout, archive_in, read_pointer, write_pointer};
use crate::lifecycle::{self, Actor, Source};
use crate::report::{DeploymentReport, ErrorCode, EventReport, Status};
use crate::tracking::{self, Tracking};

/// v2 keeps the `ETag` of what it downloaded here (contract 0).
const ETAG_FILE: &str = ".bundle-etag";

/// Which of the two agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Ruby, 1.8.1.
    V1,
    /// Rust, 2.1.0.
    V2,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// As the command line and the JSON have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// An agent on one host. The fields are its configuration; [`Agent::new`] has the defaults of a real one.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Whose rules.
    pub version: Version,
    /// Where it keeps things.
    pub layout: Layout,
    /// The directory it happens to be in.
    pub cwd: WorkingDirectory,
    /// Its own environment, which hooks inherit. No HOME, USER or SHELL under systemd (contract 1.1).
    pub env: BTreeMap<String, String>,
    /// How many revisions stay on disk.
    pub max_revisions: usize,
    /// v2: from TERM to KILL.
    pub kill_grace: Duration,
    /// v1 waits for ever for a hook that ignores TERM; after this long the simulation kills it and says so.
    pub hang_limit: Option<Duration>,
    /// v2's opt-in `restrict_hook_env_to_allowlist`.
    pub restrict_hook_env: bool,
    /// v2's opt-in `strip_loader_env_in_hooks`.
    pub strip_loader_env: bool,
}

impl Agent {
    /// An agent with a deployment root.
    pub fn new(version: Version, root: impl Into<PathBuf>) -> Self {
        let env =
            [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];
        Self {
            version,
            layout: Layout::new(root),
            cwd: WorkingDirectory::Path("/".into()),
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            max_revisions: 5,
            kill_grace: Duration::from_secs(5),
            hang_limit: None,
            restrict_hook_env: false,
            strip_loader_env: false,
        }
    }

    /// What a start of the agent does first: fail the events that a crash interrupted (code 7).
    pub fn recover(&self) -> Result<Vec<EventReport>> {
        tracking::recover(self.version, &self.layout).context("reading the tracking files")
    }

    /// Start, and run `events` until one fails. `observe` sees each report as soon as it is known.
    pub fn deploy(
        &self,
        deployment: &Deployment,
        events: &[String],
        observe: &mut dyn FnMut(&EventReport),
    ) -> Result<DeploymentReport> {
        if let Some(unknown) = events.iter().find(|event| lifecycle::actor(event).is_none()) {
            bail!("{unknown} is no lifecycle event");
        }
        let recovered = self.recover()?;
        recovered.iter().for_each(&mut *observe);
        // The service has been told that it failed and sends nothing more for it.
        let mut failed = recovered.iter().any(|report| report.deployment_id == deployment.id);
        let mut reports = Vec::new();
        for event in events {
            let report = if failed {
                EventReport::skipped(event, &deployment.id)
            } else {
                self.event(deployment, event)?
            };
            failed |= report.is_fatal();
            observe(&report);
            reports.push(report);
        }
        Ok(DeploymentReport {
            agent: self.version,
            deployment_id: deployment.id.clone(),
            application: deployment.application.clone(),
            group: deployment.group.clone(),
            group_id: deployment.group_id.clone(),
            status: if failed { Status::Failed } else { Status::Succeeded },
            recovered,
            events: reports,
        })
    }

    /// Run one event. An error is the simulator's own trouble; a failed event is a report.
    fn event(&self, deployment: &Deployment, event: &str) -> Result<EventReport> {
        let begun = Instant::now();
        let mut report = EventReport::new(event, &deployment.id);
        let done = match lifecycle::actor(event) {
            Some(Actor::Agent) => self.tracked(deployment, event, |agent| match event {
                lifecycle::DOWNLOAD_BUNDLE => agent.download(deployment),
                _ => agent.install(deployment),
            })?,
            Some(Actor::Hook) => self.hook(deployment, event, &mut report)?,
            Some(Actor::Service) | None => Ok(()),
        };
        if let Err(error) = done {
            // What is no script's failure has neither script nor log.
            report.fail(ErrorCode::UnknownError, format!("{error:#}"));
        }
        report.ignored = report.status == Status::Failed
            && deployment.ignore_stop_failures
            && lifecycle::failure_can_be_ignored(event);
        report.duration_ms = millis(begun);
        Ok(report)
    }

    /// With the tracking file there while `work` is done.
    fn tracked<T>(
        &self,
        deployment: &Deployment,
        event: &str,
        work: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<Result<T>> {
        let tracking =
            Tracking::start(&self.layout, &deployment.id, event).context("writing the tracking file")?;
        let result = work(self);
        tracking.finish().context("removing the tracking file")?;
        Ok(result)
    }

    fn hook(
        &self,
        deployment: &Deployment,
        event: &str,
        report: &mut EventReport,
    ) -> Result<Result<(), anyhow::Error>> {
        let scripts = match self.scripts_of(deployment, event) {
            Err(error) => return Ok(Err(error)),
            Ok(scripts) => scripts,
        };
        let Some((dir, scripts)) = scripts else {
            report.noop = true;
            if self.version == Version::V1 {
                "Succeeded: CompletedNoopCommand".clone_into(&mut report.message);
            }
            return Ok(Ok(()));
        };
        report.revision = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        self.tracked(deployment, event, |agent| {
            hook::run(agent, deployment, &archive_in(&dir), &scripts, report)
        })
    }

    /// The deployment directory whose hook runs, and its scripts. None: nothing to do.
    fn scripts_of(
        &self,
        deployment: &Deployment,
        event: &str,
    ) -> Result<Option<(PathBuf, Vec<appspec::Script>)>> {
        let group = &deployment.group_id;
        let current = self.layout.deployment_dir(group, &deployment.id);
        let chosen = match lifecycle::source(event, deployment, &archive_in(&current)) {
            Source::Current => Some(current),
            Source::LastSuccessful => read_pointer(&self.layout.last_successful_pointer(group)),
            Source::MostRecent => read_pointer(&self.layout.most_recent_pointer(group)),
        };
        // The first deployment has no previous one.
        let Some(dir) = chosen else { return Ok(None) };
        let archive = archive_in(&dir);
        // A pointer to what is gone: v1 goes on and misses the appspec, v2 has nothing to do (contract 0, 1.7).
        if self.version == Version::V2 && !archive.exists() {
            return Ok(None);
        }
        let mut spec = appspec::read(self.version, &archive, &deployment.appspec)?;
        let scripts = spec.hooks.remove(event).unwrap_or_default();
        Ok((!scripts.is_empty()).then_some((dir, scripts)))
    }

    fn download(&self, deployment: &Deployment) -> Result<()> {
        let bundle = deployment.bundle.as_ref().context("DownloadBundle needs a bundle")?;
        let group = &deployment.group_id;
        let dir = self.layout.deployment_dir(group, &deployment.id);
        self.layout.clean(group, &dir, self.max_revisions).context("removing old revisions")?;
        bundle::unpack(bundle, &archive_in(&dir))
            .with_context(|| format!("unpacking {}", bundle.display()))?;
        if self.version == Version::V2 && matches!(deployment.revision, Revision::S3 { .. }) {
            fs::write(dir.join(ETAG_FILE), format!("{:016x}{:016x}", random(), random()))?;
        }
        write_pointer(&self.layout.most_recent_pointer(group), &dir)?;
        Ok(())
    }

    fn install(&self, deployment: &Deployment) -> Result<()> {
        let group = &deployment.group_id;
        let dir = self.layout.deployment_dir(group, &deployment.id);
        let archive = archive_in(&dir);
        let spec = appspec::read(self.version, &archive, &deployment.appspec)?;
        self.check_events(&spec, &deployment.appspec)?;
        let copied =
            install::run(&self.layout.instructions_dir(), group, &archive, &spec, deployment.file_exists);
        match self.version {
            Version::V1 => copied?,
            Version::V2 => copied.map_err(|error| anyhow!("Install failed for group {group}: {error:#}"))?,
        }
        // Here, not at the end of the deployment: what fails from now on is "last successful" next time
        // (contract 1.7).
        write_pointer(&self.layout.last_successful_pointer(group), &dir)?;
        Ok(())
    }

    /// Unknown names under `hooks:` fail at Install, after `BeforeInstall` has run (contract 1.9).
    fn check_events(&self, spec: &appspec::AppSpec, appspec: &str) -> Result<()> {
        let unknown: Vec<&str> = spec
            .hooks
            .keys()
            .map(String::as_str)
            .filter(|name| !lifecycle::allowed_in_appspec(name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let list = match self.version {
            Version::V1 => format!("{unknown:?}"),
            Version::V2 => unknown.join(", "),
        };
        bail!("{appspec} file contains unknown lifecycle events: {list}")
    }

    /// The whole environment of a hook (contract 1.1). The deployment is always the current one, also for the old
    /// bundle's hooks.
    pub(crate) fn hook_env(&self, deployment: &Deployment, event: &str) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        if self.version == Version::V2 && self.restrict_hook_env {
            env.retain(|key, _| matches!(key.as_str(), "PATH" | "HOME" | "USER"));
        }
        let dir = self.layout.deployment_dir(&deployment.group_id, &deployment.id);
        env.extend(deployment.hook_env(event, self.downloaded_etag(&dir).as_ref()));
        env.retain(|key, _| {
            !matches!(key.as_str(), "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_CREDENTIAL_FILE")
        });
        if self.version == Version::V2 && self.strip_loader_env {
            env.retain(|key, _| !matches!(key.as_str(), "LD_PRELOAD" | "LD_LIBRARY_PATH" | "LD_AUDIT"));
        }
        env
    }

    fn downloaded_etag(&self, deployment_dir: &Path) -> Option<String> {
        (self.version == Version::V2)
            .then(|| fs::read_to_string(deployment_dir.join(ETAG_FILE)).ok())
            .flatten()
    }
}
