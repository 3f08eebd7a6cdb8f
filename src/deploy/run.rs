//! A run: one process at work on one deployment, with everything that its steps need.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::live::live;
use super::plan;
use super::registry::Registry;
use super::step::Step;
use crate::config::Config;
use crate::config::settings::{Health, Process};
use crate::environment::{self, Secrets};
use crate::host::Host;
use crate::host::docker::{Container, DockerError};
use crate::journal::{Fact, Header, Journal};
use crate::printer::Talk;
use crate::redact::Redactor;
use crate::release::{ProcessName, ReleaseNumber, container_name};
use crate::signal::Termination;
use crate::state::{self, RECORD_FORMAT, Record, Releases, Verdict};

/// How much time there is. A hook that is still at work at its timeout is killed, so what it may have to put back has to
/// fit in before.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    deadline: Option<Instant>,
}

impl Clock {
    /// As much as is needed: an operator watches.
    pub fn unlimited() -> Self {
        Self { deadline: None }
    }

    /// Until `timeout` after `start`.
    pub fn until(start: Instant, timeout: Duration) -> Self {
        Self { deadline: Some(start + timeout) }
    }

    /// What is left, if `reserve` is kept for putting the old release back. Nothing when there is no limit.
    pub fn left(&self, reserve: Duration) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()).saturating_sub(reserve))
    }
}

/// A process at work on a deployment.
pub struct Run<'a> {
    /// The outside world.
    pub host: &'a Host,
    /// What was asked for.
    pub config: Config,
    /// What was done.
    pub journal: Journal,
    /// What is to be done.
    pub plan: Vec<Step>,
    /// What is kept.
    pub releases: Releases,
    /// Whether to stop.
    pub termination: Termination,
    /// How much time there is.
    pub clock: Clock,
    /// Where progress is told.
    pub talk: &'a dyn Talk,
    /// What must not be told.
    pub redactor: Redactor,
    /// The registry, with its password, once this process has asked it.
    pub registry: Option<Registry<'a>>,
    /// The secrets, once this process has them.
    pub secrets: Option<Secrets>,
    /// When live was stopped, while nothing is known to answer in its place.
    pub down_since: Option<Instant>,
    /// How long nothing answered.
    pub gap: Option<Duration>,
    /// How long each step took.
    pub timings: Vec<(String, Duration)>,
    /// What could not be undone.
    pub left_over: Vec<String>,
    /// What was noticed that keeps nothing from going on.
    pub notes: Vec<String>,
}

impl<'a> Run<'a> {
    /// A process that takes up the run of a journal.
    pub fn new(
        host: &'a Host,
        config: Config,
        journal: Journal,
        talk: &'a dyn Talk,
        termination: Termination,
        clock: Clock,
    ) -> Self {
        let releases = Releases::of(&host.paths.app(&config.settings.app));
        Self {
            host,
            plan: plan::plan(&config.settings),
            config,
            journal,
            releases,
            termination,
            clock,
            talk,
            redactor: Redactor::default(),
            registry: None,
            secrets: None,
            down_since: None,
            gap: None,
            timings: Vec::new(),
            left_over: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Something answers again, and has done so for this long.
    pub fn answers_again(&mut self, answering: Duration) {
        if let Some(since) = self.down_since.take() {
            self.gap = Some(since.elapsed().saturating_sub(answering));
        }
    }

    /// What the run is about.
    pub fn header(&self) -> &Header {
        self.journal.history().header().expect("a journal is created with its header")
    }

    /// The number of the release that is being made.
    pub fn release(&self) -> ReleaseNumber {
        self.header().release
    }

    /// The names of the processes.
    pub fn processes(&self) -> Vec<ProcessName> {
        self.config.settings.processes.keys().cloned().collect()
    }

    /// A process's settings.
    pub fn process(&self, name: &ProcessName) -> &Process {
        &self.config.settings.processes[name]
    }

    /// The name of the container that serves.
    pub fn live_name(&self, process: &ProcessName) -> String {
        container_name::live(&self.config.settings.app, process)
    }

    /// The name of this release's container before it is live.
    pub fn new_name(&self, process: &ProcessName) -> String {
        container_name::of_release(&self.config.settings.app, process, self.release())
    }

    /// The container that serves now.
    pub async fn live(&self, process: &ProcessName) -> Result<Option<Container>, DockerError> {
        live(&self.host.docker, &self.config.settings, process).await
    }

    /// The id of the container that was live when the switch began, and its release; nothing on a first deployment.
    pub fn old(&self, process: &ProcessName) -> Option<(String, ReleaseNumber)> {
        self.journal.history().facts().iter().find_map(|fact| match fact {
            Fact::Live { process: p, id, release, .. } if p == process => Some((id.clone(), *release)),
            _ => None,
        })
    }

    /// The id of the container that this run has made.
    pub fn new_id(&self, process: &ProcessName) -> Option<String> {
        self.journal.history().facts().iter().find_map(|fact| match fact {
            Fact::New { process: p, id } if p == process => Some(id.clone()),
            _ => None,
        })
    }

    /// The gate of the release that is put back: its own, where its configuration is still there.
    pub fn health_of_old(&self, process: &ProcessName, live: &Container) -> Health {
        let process_now = self.process(process);
        let Some(labels) = &live.labels else {
            return process_now.health.clone().of_a_stranger(&process_now.publish);
        };
        let its_own = self.releases.config(labels.release).ok().flatten();
        its_own
            .and_then(|config| config.settings.processes.get(process).map(|p| p.health.clone()))
            .unwrap_or_else(|| process_now.health.clone())
    }

    /// Masks what a container was given, which it may print: in its environment and in its files.
    pub fn learn_what_it_knows(&mut self, container: &Container) {
        let release = container.labels.as_ref().map_or(self.release(), |labels| labels.release);
        let kept = self.releases.config(release).ok().flatten();
        let settings = kept.as_ref().map_or(&self.config.settings, |config| &config.settings);
        environment::learn_environment(&mut self.redactor, &container.environment, settings);
        for (path, source) in &settings.files {
            if let Ok(Some(rendered)) = crate::fs::read_if_there(&self.releases.file(release, path)) {
                environment::learn_rendered(&mut self.redactor, &source.text, &rendered);
            }
        }
    }

    /// The record of this run's release, with what is known by now.
    pub fn record(&self, verdict: Verdict) -> Record {
        let header = self.header();
        Record {
            format: RECORD_FORMAT,
            release: header.release,
            deployment: header.deployment.clone(),
            group: header.group.clone(),
            image: self.journal.history().image().cloned(),
            secret_versions: self.secret_versions(),
            fingerprint: self.fingerprint(),
            verdict,
            at: jiff::Timestamp::now(),
        }
    }

    /// Stands for everything that the containers are made of, once that is known.
    pub fn fingerprint(&self) -> Option<String> {
        let image = self.journal.history().image()?;
        Some(state::fingerprint(&self.config.settings, image, &self.secret_versions()))
    }

    /// The versions of the secrets that this deployment has read, by their names in the configuration.
    pub fn secret_versions(&self) -> BTreeMap<String, String> {
        let facts = self.journal.history().facts().iter();
        facts
            .filter_map(|fact| match fact {
                Fact::SecretVersion { secret, version } => Some((secret.clone(), version.clone())),
                _ => None,
            })
            .collect()
    }

    /// Keeps what a container on trial printed, without secrets. It is welcome, but nothing depends on it.
    pub fn keep_log(&self, process: &ProcessName, lines: &[String]) {
        let text: String = lines.iter().map(|line| self.redactor.redact(line) + "\n").collect();
        let path = self.releases.log(self.release(), process);
        if let Err(error) = crate::fs::write_atomically(&path, text.as_bytes(), 0o600) {
            tracing::warn!("failed to keep the container's log: {error}");
        }
    }

    /// Records that the release was turned down. The journal has the truth, so a failure here changes nothing.
    pub fn refuse_release(&self, cause: &str) {
        if let Err(error) = self.releases.write(&self.record(Verdict::Refused { cause: cause.to_owned() })) {
            tracing::warn!("failed to record the refused release: {error}");
        }
    }
}
