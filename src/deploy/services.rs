//! The services of a disposable group: servers that stand in for those of production. Each is made once and left alone; it
//! belongs to the app, not to a release, and is on the network of every release that names it.

use super::containers;
use super::context::{Context, Gathered};
use super::health::judge;
use crate::config::Settings;
use crate::config::settings::Service;
use crate::digest::sha256;
use crate::host::docker::labels::{Kind, MADE_OF};
use crate::host::docker::{Container, Docker, DockerError, Joined};
use crate::journal::Facts;
use crate::model::{AppName, Failure, FailureKind, ProcessName, container_name, network_name};

/// Stands for what a service's container is made of, secrets and the digest of its image left out.
pub(super) fn made_of(settings: &Settings, service: &Service) -> String {
    let what = (service, settings.images.get(&service.workload.image));
    sha256(&serde_json::to_vec(&what).expect("settings are plain data"))
}

/// Makes a service that is not there, starts one that does not run, and waits until it is healthy.
pub(super) async fn start(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
) -> Result<(), Failure> {
    let (docker, app) = (&context.host.docker, &context.header.app);
    let called = container_name::service(app, name);
    let there = docker.inspect(&called).await?;
    let ran = there.as_ref().is_some_and(|there| there.running);
    let id = match there {
        Some(there) => ours(there, app)?.id,
        None => make(context, facts, gathered, name, called.clone()).await?,
    };
    if !ran {
        bring_up(docker, app, &id).await?;
    }
    join_all(context, name, &id).await?;
    let judged = judge::service(context, gathered, name, &id, !ran).await;
    judged.map_err(|failure| match failure.kind {
        FailureKind::Verdict => Failure {
            fix: format!(
                "mend what it says; if that is its configuration, have it made anew: docker rm -f {called}, then deploy again"
            ),
            ..failure
        },
        _ => failure,
    })
}

fn ours(container: Container, app: &AppName) -> Result<Container, Failure> {
    if container.labels.as_ref().is_some_and(|labels| labels.app == *app && labels.kind == Kind::Service) {
        return Ok(container);
    }
    let name = &container.name;
    Err(Failure::with_fix(
        format!("somebody else's container has the name that a service needs, '{name}'"),
        format!("docker rename {name} {name}-old, or remove it"),
    ))
}

async fn make(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
    called: String,
) -> Result<String, Failure> {
    let secrets = gathered.secrets(context, facts).await?;
    let note = format!("service '{name}' was made, and stays whatever becomes of this deployment: {called}");
    let mut spec = containers::spec_of_run(context, facts, name, &secrets, called, Kind::Service)?;
    let made_of = made_of(context.settings(), context.service(name)?);
    spec.options.labels.insert(MADE_OF.to_owned(), made_of);
    let id = context.host.docker.create(&spec).await?;
    gathered.notes.push(note);
    Ok(id)
}

/// Starts a service. It does not start as long as it is to be on a network that somebody's clean-up took.
async fn bring_up(docker: &Docker, app: &AppName, id: &str) -> Result<(), DockerError> {
    match docker.start(id).await {
        Err(error) if error.is_not_found() && leave_the_dead(docker, app, id).await? => {
            docker.start(id).await
        }
        answer => answer,
    }
}

/// Takes a service off the networks of releases that are gone. Whether there was one.
async fn leave_the_dead(docker: &Docker, app: &AppName, id: &str) -> Result<bool, DockerError> {
    let Some(service) = docker.inspect(id).await? else { return Ok(false) };
    let alive = docker.networks_of(app).await?;
    let of_a_release = network_name::prefix(app);
    let mut dead = false;
    for name in service.networks.iter().filter(|name| name.starts_with(&of_a_release)) {
        if !alive.iter().any(|network| network.name == *name) {
            docker.disconnect(id, name).await?;
            dead = true;
        }
    }
    Ok(dead)
}

/// Puts the services of a release on a network of it, as far as they are there.
pub(super) async fn join(docker: &Docker, settings: &Settings, network: &str) -> Result<(), DockerError> {
    for name in settings.services.keys() {
        let there = docker.inspect(&container_name::service(&settings.app, name)).await?;
        if let Some(service) = there.filter(Container::is_service) {
            put_on(docker, &service, name, network.to_owned()).await?;
        }
    }
    Ok(())
}

/// Puts a service on the networks of all releases that name it: one that was made anew may be what live waits for.
async fn join_all(context: &Context<'_>, name: &ProcessName, id: &str) -> Result<(), Failure> {
    let docker = &context.host.docker;
    let Some(service) = docker.inspect(id).await? else { return Ok(()) };
    for network in docker.networks_of(&context.header.app).await? {
        let of = network.labels.release;
        let config = context.releases.config(of).ok().flatten();
        if of == context.release() || config.is_some_and(|its| its.settings.services.contains_key(name)) {
            put_on(docker, &service, name, network.name).await?;
        }
    }
    Ok(())
}

async fn put_on(
    docker: &Docker,
    service: &Container,
    name: &ProcessName,
    network: String,
) -> Result<(), DockerError> {
    // One that does not run may know the network by the id of one that is gone.
    if (service.running || service.restarting) && service.networks.contains(&network) {
        return Ok(());
    }
    docker.connect(&service.id, &Joined { name: network, alias: Some(name.to_string()) }).await
}

/// Takes all services of an app off a network that is to be removed.
pub(super) async fn leave(docker: &Docker, app: &AppName, network: &str) -> Result<(), DockerError> {
    for service in docker.services_of(app).await? {
        if service.networks.iter().any(|name| name == network) {
            docker.disconnect(&service.id, network).await?;
        }
    }
    Ok(())
}

/// A service that is not there, or does not run.
pub(super) async fn one_that_is_down(
    docker: &Docker,
    settings: &Settings,
) -> Result<Option<ProcessName>, DockerError> {
    for name in settings.services.keys() {
        let there = docker.inspect(&container_name::service(&settings.app, name)).await?;
        if !there.is_some_and(|container| container.running) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}
