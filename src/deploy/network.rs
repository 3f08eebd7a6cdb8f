//! The network of a release: it comes and goes with the release, and is made again where somebody's clean-up took it.

use super::services;
use crate::config::Settings;
use crate::config::settings::Workload;
use crate::host::docker::labels::ReleaseLabels;
use crate::host::docker::{Docker, DockerError, Joined, ReleaseNetwork};
use crate::model::{AppName, DeploymentId, Failure, ProcessName, ReleaseNumber, network_name};
use crate::state::Releases;

/// Makes the network of a release, unless it is there, or the release needs none, and puts its services on it.
pub(super) async fn ensure(
    docker: &Docker,
    settings: &Settings,
    release: ReleaseNumber,
    deployment: &DeploymentId,
) -> Result<(), DockerError> {
    make(docker, settings, network_name::of_release(&settings.app, release), release, deployment).await
}

/// The same of the network on which its candidates find each other, while the release's own is that of the containers that stay.
pub(super) async fn ensure_for_candidates(
    docker: &Docker,
    settings: &Settings,
    release: ReleaseNumber,
    deployment: &DeploymentId,
) -> Result<(), DockerError> {
    make(docker, settings, network_name::of_candidates(&settings.app, release), release, deployment).await
}

async fn make(
    docker: &Docker,
    settings: &Settings,
    name: String,
    release: ReleaseNumber,
    deployment: &DeploymentId,
) -> Result<(), DockerError> {
    if !settings.has_network() {
        return Ok(());
    }
    let labels = ReleaseLabels { app: settings.app.clone(), release, deployment: deployment.clone() };
    docker.create_network(&ReleaseNetwork { name: name.clone(), labels }).await?;
    services::join(docker, settings, &name).await
}

/// Removes a network that no container of its release uses any more. Services leave it first: Docker removes none that is in
/// use. Somebody else's container, such as one to look what is wrong, is not cut off for that: then the network stays, and what is
/// returned says so.
pub(super) async fn remove(
    docker: &Docker,
    app: &AppName,
    name: &str,
) -> Result<Option<String>, DockerError> {
    services::leave(docker, app, name).await?;
    if docker.remove_network(name).await? {
        return Ok(None);
    }
    Ok(Some(format!(
        "network {name} stays, because a container of somebody else is on it: docker network inspect {name} says which; \
         docker network rm {name}, when that is gone"
    )))
}

/// Puts a container that does not start on the network of its release again, which is made again if it is gone: a container
/// that has run knows it by its id. Returns whether it is on such a network.
pub(super) async fn mend(docker: &Docker, releases: &Releases, id: &str) -> Result<bool, Failure> {
    let Some(container) = docker.inspect(id).await? else { return Ok(false) };
    let Some(labels) = &container.labels else { return Ok(false) };
    let Some(config) = releases.config(labels.release).ok().flatten() else { return Ok(false) };
    let settings = &config.settings;
    let workload = settings.workload(&labels.process);
    let joined =
        workload.and_then(|workload| joined(settings, labels.release, workload, Some(&labels.process)));
    let Some(joined) = joined else { return Ok(false) };
    ensure(docker, settings, labels.release, &labels.deployment).await?;
    docker.connect(&container.id, &joined).await?;
    Ok(true)
}

/// The network of its release that a container is on, and its name there, if others are to find it; nothing where it says its
/// own network, or needs none.
pub(super) fn joined(
    settings: &Settings,
    release: ReleaseNumber,
    workload: &Workload,
    alias: Option<&ProcessName>,
) -> Option<Joined> {
    let is_on_it = settings.has_network() && workload.options.network.is_none();
    is_on_it.then(|| Joined {
        name: network_name::of_release(&settings.app, release),
        alias: alias.map(ToString::to_string),
    })
}
