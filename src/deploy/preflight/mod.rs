//! Preflight: whatever would make the deployment fail is looked for before anything is touched, and reported all at once, so
//! that people fix it all at once. A deployment and `handover plan` look for the same things.
//!
//! Each check is a pure function over what was seen. What would surely fail is a finding; what only might is a note.

mod beside;
mod blocked;
mod clock;
mod devices;
mod disk;
mod engine;
pub(super) mod image;
mod memory;
mod names;
mod ports;
mod services;
mod way_back;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all, join3, try_join_all, try_join3};

use super::checks;
use super::context::Context;
use super::images::{self, Meaning, ToPull};
use super::plan;
use super::registry::Terms;
use super::secrets::{self, Earlier, Reading};
use super::serving::{self, Live};
use crate::config::Settings;
use crate::environment::Secrets;
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, Docker, DockerError, Engine, Listed};
use crate::host::names as hosts_names;
use crate::journal::Rollback;
use crate::model::{Auth, DeploymentId, Failure, Finding, ImageName, ReleaseNumber};
use crate::redact::Redactor;
use crate::state::Blocked;

/// What is to be deployed.
pub(super) struct Target<'a> {
    /// The configuration.
    pub(super) settings: &'a Settings,
    /// The release that is to be made.
    pub(super) release: ReleaseNumber,
    /// The deployment that makes it, if it has begun.
    pub(super) deployment: Option<&'a DeploymentId>,
    /// The versions of the secrets that it has read before.
    pub(super) versions: &'a BTreeMap<String, String>,
    /// The earlier release that it goes back to.
    pub(super) rollback: Option<&'a Rollback>,
}

/// What a check has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What has to be fixed first.
    pub(super) findings: Vec<Finding>,
    /// What is worth knowing, and keeps nothing from going on.
    pub(super) notes: Vec<String>,
}

impl Found {
    fn finding(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding::new(what, fix));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// What was looked up on the way.
pub(super) struct Looked {
    /// What each tag means, as far as that could be found out.
    pub(super) images: Vec<(ImageName, Meaning)>,
    /// The secrets, unless one cannot be read.
    pub(super) secrets: Option<Reading>,
    /// What every check has to say.
    pub(super) found: Found,
}

/// What the Engine was asked.
struct Docked {
    engine: Engine,
    containers: Vec<Listed>,
    live: Live,
    /// The app's services.
    services: Vec<Container>,
    /// Other people's containers that do not run now.
    resting: Vec<Container>,
}

/// Makes every check. What does not depend on each other is asked for side by side.
pub(super) async fn look(host: &Host, target: &Target<'_>, terms: Terms<'_>) -> Looked {
    let settings = target.settings;
    // On the heap: the states of so many clients are too much for a small stack.
    let (docked, networks, (images, secrets)) = join3(
        Box::pin(ask_docker(&host.docker, settings)),
        Box::pin(check_networks(&host.docker, settings)),
        Box::pin(images_and_secrets(host, target, terms)),
    )
    .await;
    let mut found = Found::default();
    let mut failures: Vec<Finding> = networks.iter().map(Finding::of).collect();
    let mut meanings = Vec::new();
    for (name, meaning) in images {
        match meaning {
            Ok(meaning) => meanings.push((name, meaning)),
            Err(failure) => failures.extend(failure.into_findings()),
        }
    }
    devices::check(settings, std::path::Path::exists, &mut found);
    match docked {
        Ok(docked) => {
            engine::check(&docked.engine, settings, &mut found);
            names::check(target, &docked.containers, &docked.live, &mut found);
            let secrets = secrets.as_ref().ok().map(|reading| &reading.secrets);
            services::check(settings, &docked.services, &docked.containers, secrets, &mut found);
            ports::check(settings, &docked.containers, &docked.live, &host.machine, &mut found);
            ports::check_resting(settings, &docked.resting, &mut found);
            let to_pull = meanings.iter().map(|(_, meaning)| &meaning.to_pull);
            disk::check(&disk::needs(&docked.engine.images, to_pull, &host.paths), &host.machine, &mut found);
            memory::check(settings, host.machine.memory(), &docked.live, &mut found);
            let candidates = plan::candidates(settings, &docked.live);
            beside::check_memory(settings, &candidates, &docked.live, &host.machine, &mut found);
            beside::check_redirect(&candidates, &host.tables, &mut found).await;
            beside::check_stall(settings, &host.tables, &mut found).await;
            for (name, meaning) in &meanings {
                if let Some(local) = &meaning.local {
                    image::check(name, local, settings, &docked.live, &mut found);
                }
            }
        }
        Err(error) => failures.push(Finding::of(&error)),
    }
    for (_, meaning) in &meanings {
        if let ToPull::Unknown(why) = &meaning.to_pull {
            found.note(format!("the size of the image is not known: {why}"));
        }
    }
    let secrets = secrets.map_err(|failure| failures.extend(failure.into_findings())).ok();
    failures.extend(secrets.iter().flat_map(|reading| {
        let mut settings = settings.clone();
        // Of a secret that AWS does not give, only what a container was given is known.
        settings
            .checks
            .retain(|_, check| check.needed.secret().is_none_or(|name| !reading.kept.contains(name)));
        checks::mistakes(&settings, &reading.secrets)
    }));
    found.notes.extend(secrets.iter().flat_map(|reading| reading.notes.clone()));
    blocked::check(&Blocked::of(&host.paths.app(&settings.app)), &meanings, &mut found);
    // One cause is reported once, however many look-ups fail for it.
    for failure in failures {
        if !found.findings.contains(&failure) {
            found.findings.push(failure);
        }
    }
    for line in hosts_names::ignored_lines(&host.paths.resolv_conf) {
        found.note(line);
    }
    if let Some(aws) = host.aws.if_used() {
        clock::check(aws.clock().ahead(), &mut found);
    }
    Looked { images: meanings, secrets, found }
}

type Images = Vec<(ImageName, Result<Meaning, Failure>)>;

/// Side by side, unless a registry's password is one of the secrets: each of them is read once.
async fn images_and_secrets(
    host: &Host,
    target: &Target<'_>,
    mut terms: Terms<'_>,
) -> (Images, Result<Reading, Failure>) {
    let settings = target.settings;
    if settings.images.values().any(|image| matches!(image.auth, Auth::Secret(_))) {
        let secrets = Box::pin(read_secrets(host, target, terms.redactor)).await;
        let known = secrets.as_ref().ok().map(|reading| &reading.secrets);
        let images = Box::pin(resolve_all(host, target, known, terms.again())).await;
        return (images, secrets);
    }
    let mut learnt = Redactor::default();
    let both = join(
        Box::pin(resolve_all(host, target, None, Terms { redactor: &mut learnt, ..terms })),
        Box::pin(read_secrets(host, target, terms.redactor)),
    )
    .await;
    terms.redactor.learn_all(learnt);
    both
}

async fn read_secrets(host: &Host, target: &Target<'_>, redactor: &mut Redactor) -> Result<Reading, Failure> {
    let none = BTreeSet::new();
    let earlier = target.rollback.and_then(Rollback::stands_in).map(|to| Earlier { to, kept: &none });
    secrets::read_or_keep(target.settings, target.versions, host, redactor, earlier).await
}

async fn resolve_all(
    host: &Host,
    target: &Target<'_>,
    secrets: Option<&Secrets>,
    terms: Terms<'_>,
) -> Images {
    let (talk, clock, settings) = (terms.talk, terms.clock, target.settings);
    let asked = join_all(settings.images.keys().map(|name| async move {
        let mut redactor = Redactor::default();
        let terms = Terms { talk, redactor: &mut redactor, clock };
        let meaning = match target.rollback {
            Some(rollback) => Box::pin(images::of_earlier(host, settings, name, rollback, secrets)).await,
            None => Box::pin(images::resolve(host, settings, name, secrets, terms)).await,
        };
        (name.clone(), meaning, redactor)
    }));
    let mut images = Vec::new();
    for (name, meaning, learnt) in asked.await {
        terms.redactor.learn_all(learnt);
        images.push((name, meaning));
    }
    images
}

async fn ask_docker(docker: &Docker, settings: &Settings) -> Result<Docked, DockerError> {
    let (engine, containers, live) =
        try_join3(docker.engine(), docker.everything(), serving::live_of_all(docker, settings)).await?;
    let is_service = |container: &&Listed| {
        container.labels.as_ref().is_some_and(|l| l.app == settings.app && l.kind == Kind::Service)
    };
    let services = containers.iter().filter(is_service);
    let services = try_join_all(services.map(|container| docker.inspect(&container.id))).await?;
    let services = services.into_iter().flatten().collect();
    let resting = containers.iter().filter(|container| !container.up && container.labels.is_none());
    let resting = try_join_all(resting.map(|container| docker.inspect(&container.id))).await?;
    // One that went between the list and the look is not there.
    let resting = resting.into_iter().flatten().collect();
    Ok(Docked { engine, containers, live, services, resting })
}

/// A network that is asked for and is not there would show when live is down already.
async fn check_networks(docker: &Docker, settings: &Settings) -> Vec<DockerError> {
    let networks = settings.workloads().map(|(_, workload)| workload.options.network.as_ref());
    let checked = join_all(networks.map(|network| docker.check_network(network))).await;
    checked.into_iter().filter_map(Result::err).collect()
}

/// Looks once more, right before live is stopped, at what somebody may have taken since: names, ports, and what the way back
/// needs.
pub(super) async fn recheck(context: &Context<'_>, live: &Live) -> Result<Vec<Finding>, DockerError> {
    let docker = &context.host.docker;
    let containers = docker.everything().await?;
    let target = Target {
        settings: context.settings(),
        release: context.release(),
        deployment: Some(&context.header.deployment),
        versions: &BTreeMap::new(),
        rollback: None,
    };
    let mut found = Found::default();
    names::check(&target, &containers, live, &mut found);
    ports::check(context.settings(), &containers, live, &context.host.machine, &mut found);
    way_back::check(live, std::path::Path::exists, &mut found);
    Ok(found.findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::host::docker::HostPort;
    use crate::model::Protocol;

    /// One process `web`, with these lines.
    pub(super) fn settings(lines: &str) -> Settings {
        let text = format!(
            "app = \"status-page\"\n[image]\nrepository = \"status-page\"\ntag = \"1\"\n\
             [process.web]\norder = \"stop-first\"\n{lines}\n"
        );
        config::parse(&text, "handover.toml").unwrap_or_else(|e| panic!("{e}"))
    }

    /// A container as inspect shows it.
    pub(super) fn container(inspect: serde_json::Value) -> Container {
        Container::of(serde_json::from_value(inspect).unwrap())
    }

    /// A container that is up: with the app and deployment of its labels, and its ports.
    pub(super) fn listed(name: &str, ours: Option<(&str, &str)>, ports: &[&str]) -> Listed {
        let port = |text: &&str| {
            let socket: std::net::SocketAddr = text.parse().unwrap();
            HostPort { protocol: Protocol::Tcp, address: socket.ip(), port: socket.port() }
        };
        let labels = ours.map(|(app, deployment)| crate::host::docker::labels::Labels {
            app: app.parse().unwrap(),
            process: "web".parse().unwrap(),
            release: ReleaseNumber(1),
            deployment: deployment.parse().unwrap(),
            kind: crate::host::docker::labels::Kind::Serve,
        });
        Listed {
            image_id: String::new(),
            id: name.to_owned(),
            name: name.to_owned(),
            labels,
            up: true,
            ports: ports.iter().map(port).collect(),
        }
    }
}
