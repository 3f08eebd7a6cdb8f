//! Preflight: whatever would make the deployment fail is looked for before anything is touched, and told all at once, so
//! that people mend it all at once. A deployment and `handover plan` look for the same things.
//!
//! Each check is a pure function over what was seen. What would surely fail is a finding; what only might is a note.

mod clock;
mod disk;
mod engine;
mod memory;
mod names;
mod ports;

use std::collections::BTreeMap;

use futures_util::future::{join, join_all, join3, try_join, try_join_all, try_join3};

use super::live;
use super::registry::Terms;
use super::run::Run;
use super::secrets::{self, Reading};
use super::steps::StepError;
use super::steps::image::{self, Meaning, ToPull};
use crate::config::Settings;
use crate::config::settings::Auth;
use crate::host::Host;
use crate::host::docker::{Container, Docker, DockerError, Engine, Listed};
use crate::journal::Finding;
use crate::redact::Redactor;
use crate::release::{DeploymentId, ProcessName, ReleaseNumber};
use crate::report::text::chain;

/// What is to be deployed.
pub(super) struct Target<'a> {
    /// The configuration.
    pub(super) settings: &'a Settings,
    /// The release that is to be made.
    pub(super) release: ReleaseNumber,
    /// The deployment that makes it, if it has begun.
    pub(super) deployment: Option<&'a DeploymentId>,
    /// The versions of the secrets that it has read before.
    pub(super) versions: BTreeMap<String, String>,
}

/// What a check has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What has to be mended first.
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
pub(super) struct Looked<'a> {
    /// What the tag means, unless that could not be found out.
    pub(super) image: Option<Meaning<'a>>,
    /// The secrets, unless one cannot be had.
    pub(super) secrets: Option<Reading>,
    /// What every check has to say.
    pub(super) found: Found,
}

/// The containers that serve now.
type Live = BTreeMap<ProcessName, Container>;

/// What the Engine was asked.
struct Docked {
    engine: Engine,
    containers: Vec<Listed>,
    live: Live,
    /// Other people's containers that do not run now.
    resting: Vec<Container>,
}

/// Makes every check. What does not depend on each other is asked for side by side.
pub(super) async fn look<'a>(host: &'a Host, target: &Target<'_>, terms: Terms<'_>) -> Looked<'a> {
    let settings = target.settings;
    // On the heap: the states of so many clients are too much for a small stack.
    let (docked, networks, (image, secrets)) = join3(
        Box::pin(ask_docker(&host.docker, settings)),
        Box::pin(check_networks(&host.docker, settings)),
        Box::pin(image_and_secrets(host, target, terms)),
    )
    .await;
    let mut found = Found::default();
    let mut failures: Vec<String> = networks.iter().map(|error| chain(error)).collect();
    match docked {
        Ok(docked) => {
            engine::check(&docked.engine, settings, &mut found);
            names::check(target, &docked.containers, &docked.live, &mut found);
            ports::check(settings, &docked.containers, &docked.live, &host.machine, &mut found);
            ports::check_resting(settings, &docked.resting, &mut found);
            let to_pull = image.as_ref().ok().map(|meaning| &meaning.to_pull);
            disk::check(&disk::needs(&docked.engine.images, to_pull, &host.paths), &host.machine, &mut found);
            memory::check(settings, host.machine.memory(), &docked.live, &mut found);
        }
        Err(error) => failures.push(chain(&error)),
    }
    if let Ok(Meaning { to_pull: ToPull::Unknown(why), .. }) = &image {
        found.note(format!("the size of the image is not known: {why}"));
    }
    let image = image.map_err(|error| failures.extend(error.into_failures())).ok();
    let secrets = secrets.map_err(|several| failures.extend(several)).ok();
    found.findings.extend(findings(failures));
    if let Some(aws) = host.aws.if_used() {
        clock::check(aws.clock().ahead(), &mut found);
    }
    Looked { image, secrets, found }
}

/// Side by side, unless the registry's password is one of the secrets: each of them is read once.
async fn image_and_secrets<'a>(
    host: &'a Host,
    target: &Target<'_>,
    mut terms: Terms<'_>,
) -> (Result<Meaning<'a>, StepError>, Result<Reading, Vec<String>>) {
    let settings = target.settings;
    if let Auth::Secret(_) = settings.image.auth {
        let secrets = Box::pin(secrets::read(settings, &target.versions, host, terms.redactor)).await;
        let known = secrets.as_ref().ok().map(|reading| &reading.secrets);
        let image = Box::pin(image::resolve(host, settings, known, terms.again())).await;
        return (image, secrets);
    }
    let mut learnt = Redactor::default();
    let both = join(
        Box::pin(image::resolve(host, settings, None, Terms { redactor: &mut learnt, ..terms })),
        Box::pin(secrets::read(settings, &target.versions, host, terms.redactor)),
    )
    .await;
    terms.redactor.learn_all(learnt);
    both
}

/// Look-ups that failed, as findings. One cause is told once, however many of them fail for it. Our errors say what is
/// wrong first, then the way out.
pub(super) fn findings(failures: impl IntoIterator<Item = String>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = vec![];
    for failure in failures {
        let (what, fix) = failure.split_once("; ").unwrap_or((&failure, ""));
        let finding = Finding::new(what, fix);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

async fn ask_docker(docker: &Docker, settings: &Settings) -> Result<Docked, DockerError> {
    let (engine, containers, live) =
        try_join3(docker.engine(), docker.everything(), live_of(docker, settings)).await?;
    let resting = containers.iter().filter(|container| !container.up && container.labels.is_none());
    let resting = try_join_all(resting.map(|container| docker.inspect(&container.id))).await?;
    // One that went between the list and the look is not there.
    let resting = resting.into_iter().flatten().collect();
    Ok(Docked { engine, containers, live, resting })
}

async fn live_of(docker: &Docker, settings: &Settings) -> Result<Live, DockerError> {
    let of = async |process: &ProcessName| {
        let live = live::live(docker, settings, process).await?;
        Ok(live.map(|live| (process.clone(), live)))
    };
    let live = try_join_all(settings.processes.keys().map(of)).await?;
    Ok(live.into_iter().flatten().collect())
}

/// A network that is asked for and is not there would show when live is down already.
async fn check_networks(docker: &Docker, settings: &Settings) -> Vec<DockerError> {
    let networks = settings.processes.values().map(|process| process.options.network.as_ref());
    let checked = join_all(networks.map(|network| docker.check_network(network))).await;
    checked.into_iter().filter_map(Result::err).collect()
}

/// Looks at a process's ports once more, right before live is stopped: hooks may be minutes apart.
pub(super) async fn recheck_ports(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Finding>, DockerError> {
    let (docker, mut settings) = (&run.host.docker, run.config.settings.clone());
    settings.processes.retain(|name, _| name == process);
    let (containers, live) = try_join(docker.everything(), live_of(docker, &settings)).await?;
    let mut found = Found::default();
    ports::check(&settings, &containers, &live, &run.host.machine, &mut found);
    Ok(found.findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::units::Protocol;
    use crate::host::docker::HostPort;

    #[test]
    fn one_cause_is_one_finding_and_says_the_way_out_last() {
        let told = [
            "no credentials for AWS; give it a role",
            "x is missing",
            "no credentials for AWS; give it a role",
        ];
        let findings = findings(told.map(str::to_owned));
        assert_eq!(
            findings,
            [Finding::new("no credentials for AWS", "give it a role"), Finding::new("x is missing", "")]
        );
    }

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
            id: name.to_owned(),
            name: name.to_owned(),
            labels,
            up: true,
            ports: ports.iter().map(port).collect(),
        }
    }
}
