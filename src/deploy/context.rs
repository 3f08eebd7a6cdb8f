//! What a process has at hand while it works on a run: what never changes ([`Context`]), and what it has gathered so far
//! ([`Gathered`]). What was done and found out is in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::Clock;
use super::health::judge::Before;
use super::outage::Outage;
use super::registry::Registry;
use super::secrets::{self, Earlier};
use crate::config::settings::{Process, Service, Task};
use crate::config::{Config, Settings};
use crate::environment::{Secrets, learn_environment, learn_rendered};
use crate::host::Host;
use crate::host::docker::Container;
use crate::host::docker::labels::Kind;
use crate::journal::{Facts, Header, Rollback};
use crate::model::{Failure, ImageName, ProcessName, ReleaseNumber, container_name};
use crate::printer::Talk;
use crate::redact::Redactor;
use crate::report::Waited;
use crate::signal::Termination;
use crate::state::{Record, Releases, Verdict, fingerprint};

/// What a process was called for; it does not change while it works.
#[derive(Clone)]
pub struct Context<'a> {
    /// The outside world.
    pub host: &'a Host,
    /// What was asked for.
    pub config: Config,
    /// Which deployment it is, and the release that it makes.
    pub header: Header,
    /// What is kept of releases.
    pub releases: Releases,
    /// Where progress is reported.
    pub talk: &'a dyn Talk,
    /// How much time there is.
    pub clock: Clock,
    /// Whether to stop.
    pub termination: Termination,
    /// What this process was called as: the event of a hook, or a command.
    pub command: String,
}

impl Context<'_> {
    /// What was asked for.
    pub fn settings(&self) -> &Settings {
        &self.config.settings
    }

    /// The number of the release that is being made.
    pub fn release(&self) -> ReleaseNumber {
        self.header.release
    }

    /// The names of the processes.
    pub fn processes(&self) -> Vec<ProcessName> {
        self.settings().processes.keys().cloned().collect()
    }

    /// A process's settings. A plan that was made from other settings may name one that these do not have.
    pub fn process(&self, name: &ProcessName) -> Result<&Process, Failure> {
        self.settings().processes.get(name).ok_or_else(|| {
            Failure::because(format!("the configuration of {} has no process '{name}'", self.release()))
        })
    }

    /// A task's settings, likewise.
    pub fn task(&self, name: &ProcessName) -> Result<&Task, Failure> {
        self.settings().tasks.get(name).ok_or_else(|| {
            Failure::because(format!("the configuration of {} has no task '{name}'", self.release()))
        })
    }

    /// A service's settings, likewise.
    pub fn service(&self, name: &ProcessName) -> Result<&Service, Failure> {
        self.settings().services.get(name).ok_or_else(|| {
            Failure::because(format!("the configuration of {} has no service '{name}'", self.release()))
        })
    }

    /// The name of the container that serves.
    pub fn live_name(&self, process: &ProcessName) -> String {
        container_name::live(&self.header.app, process)
    }

    /// The name of this release's container before it is live.
    pub fn new_name(&self, process: &ProcessName) -> String {
        container_name::of_release(&self.header.app, process, self.release())
    }

    /// The name of its candidate, which has the traffic while the published port moves.
    pub fn candidate_name(&self, process: &ProcessName) -> String {
        container_name::bridge(&self.header.app, process, self.release())
    }

    /// The record of this run's release, with what is known by now.
    pub fn record(&self, facts: &Facts, verdict: Verdict) -> Record {
        // What was known when the run was opened stands in it already; should it be lost, the rest counts all the same.
        let opened = self.releases.record(self.release()).ok().flatten();
        let name = |process: &ProcessName| (process.clone(), self.new_name(process));
        Record {
            images: facts.images.clone(),
            containers: facts.new.keys().map(name).collect(),
            secret_versions: facts.secret_versions.clone(),
            kept_secrets: self.kept_secrets(facts),
            tasks: facts.tasks.clone(),
            fingerprint: self.fingerprint(facts),
            verdict,
            at: jiff::Timestamp::now(),
            ..opened.unwrap_or_else(|| Record::of_run(&self.header))
        }
    }

    /// The release whose kept secrets may stand in for AWS.
    fn stands_in(&self) -> Option<ReleaseNumber> {
        self.header.rollback.as_ref().and_then(Rollback::stands_in)
    }

    /// The secrets that AWS did not give this run: preflight has noted the version of each that it gave. Only a way back goes on
    /// without one.
    pub fn kept_secrets(&self, facts: &Facts) -> BTreeSet<String> {
        if self.stands_in().is_none() || facts.images.is_empty() {
            return BTreeSet::new();
        }
        let stored = self.settings().secrets.iter().filter(|(_, source)| !source.is_literal());
        let unknown = stored.filter(|(name, _)| !facts.secret_versions.contains_key(*name));
        unknown.map(|(name, _)| name.clone()).collect()
    }

    /// Stands for everything that the containers are made of, once that is known.
    pub fn fingerprint(&self, facts: &Facts) -> Option<String> {
        let known = self.settings().images.keys().all(|name| facts.images.contains_key(name));
        known.then(|| fingerprint(self.settings(), &facts.images, &facts.secret_versions))
    }

    /// Keeps what a container on trial printed, without secrets. It is welcome, but nothing depends on it.
    pub fn keep_log(&self, process: &ProcessName, lines: &[String], redactor: &Redactor) {
        let text: String = lines.iter().map(|line| redactor.redact(line) + "\n").collect();
        let path = self.releases.log(self.release(), process);
        if let Err(error) = crate::fs::write_atomically(&path, text.as_bytes(), 0o600) {
            tracing::warn!("failed to keep the container's log: {error}");
        }
    }
}

/// What one process has gathered so far. It ends with the process.
#[derive(Default)]
pub struct Gathered {
    /// What must not be printed.
    pub redactor: Redactor,
    /// The registries that this process has asked, with their passwords, by the names of the images.
    pub registries: BTreeMap<ImageName, Registry>,
    /// The secrets of this deployment, once this process has read them.
    pub secrets: Option<Secrets>,
    /// How long the app did not serve.
    pub outage: Outage,
    /// How long clients were made to wait.
    pub waited: Option<Waited>,
    /// The ids of the containers that were looked at by a gate of this process.
    pub judged: BTreeSet<String>,
    /// Those of them that have passed a probe.
    pub answered: BTreeSet<String>,
    /// What was wrong with what served, right before it was stopped, by process.
    pub before: BTreeMap<ProcessName, Before>,
    /// The steps that this process was the first to begin: whatever was done of them, it knows.
    pub begun_first: BTreeSet<String>,
    /// Whether the command of a task was begun, where this process has seen that.
    pub tasks_begun: BTreeMap<ProcessName, bool>,
    /// How long each step took.
    pub timings: Vec<(String, Duration)>,
    /// What could not be undone.
    pub left_over: Vec<String>,
    /// What was noticed that keeps nothing from going on.
    pub notes: Vec<String>,
}

impl Gathered {
    /// For something that goes on beside others: it knows what is known by now.
    pub(super) fn fork(&self) -> Self {
        Self {
            redactor: self.redactor.clone(),
            secrets: self.secrets.clone(),
            before: self.before.clone(),
            ..Self::default()
        }
    }

    /// Takes in what a fork has gathered.
    pub(super) fn join(&mut self, fork: Self) {
        self.redactor.learn_all(fork.redactor);
        self.outage.join(&fork.outage);
        self.judged.extend(fork.judged);
        self.answered.extend(fork.answered);
        self.notes.extend(fork.notes);
    }

    /// Takes in how long the clients of a process were made to wait: of several the longest counts.
    pub(super) fn waited(&mut self, now: Waited) {
        let before = self.waited.unwrap_or(now);
        self.waited = Some(Waited {
            longest_ms: before.longest_ms.max(now.longest_ms),
            ran_out: before.ran_out || now.ran_out,
        });
    }

    /// Whether a container may have something to finish: not where a gate of this process has looked at it and never saw it
    /// healthy.
    pub(super) fn may_have_served(&self, id: &str) -> bool {
        self.answered.contains(id) || !self.judged.contains(id)
    }

    /// The secrets of this deployment: those that this process has read, or the same versions once more.
    pub(super) async fn secrets(&mut self, context: &Context<'_>, facts: &Facts) -> Result<Secrets, Failure> {
        if let Some(secrets) = &self.secrets {
            return Ok(secrets.clone());
        }
        let (settings, known) = (context.settings(), &facts.secret_versions);
        let kept = context.kept_secrets(facts);
        let earlier = context.stands_in().map(|to| Earlier { to, kept: &kept });
        let read = secrets::read_or_keep(settings, known, context.host, &mut self.redactor, earlier);
        let secrets = read.await?.secrets;
        self.secrets = Some(secrets.clone());
        Ok(secrets)
    }

    /// Sees by the container of a task whether its command was ever begun.
    pub(super) fn learn_of_task(&mut self, container: &Container, context: &Context<'_>) {
        let Some(labels) = container.labels.as_ref().filter(|labels| labels.kind == Kind::Task) else {
            return;
        };
        let of_itself = container_name::task(&labels.app, &labels.process, context.release());
        if container.name == of_itself && container.was_started() {
            self.tasks_begun.insert(labels.process.clone(), true);
        } else if container.name == of_itself {
            self.tasks_begun.entry(labels.process.clone()).or_insert(false);
        }
    }

    /// Masks what a container was given, which it may print: in its environment and in its files.
    pub fn learn_what_it_knows(&mut self, container: &Container, context: &Context<'_>) {
        let release = container.labels.as_ref().map_or(context.release(), |labels| labels.release);
        let kept = context.releases.config(release).ok().flatten();
        let settings = kept.as_ref().map_or(context.settings(), |config| &config.settings);
        let of = container.labels.as_ref().map(|labels| &labels.process);
        let Some((of, workload)) = of.and_then(|of| Some((of, settings.workload(of)?))) else { return };
        learn_environment(&mut self.redactor, &container.environment, settings, workload);
        for (path, source) in settings.files_of(workload) {
            if let Ok(Some(rendered)) = crate::fs::read_if_there(&context.releases.file(release, of, path)) {
                learn_rendered(&mut self.redactor, &source.text, &rendered);
            }
        }
    }
}
