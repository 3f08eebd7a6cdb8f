//! Which container serves for a process. Its name says so; before the first handover it may be one that a team's own
//! script made, under a name of its own (`replaces`).

use crate::config::Settings;
use crate::host::docker::{Container, Docker, DockerError};
use crate::release::{ProcessName, container_name};

/// The container that serves now, running or not.
pub async fn live(
    docker: &Docker,
    settings: &Settings,
    process: &ProcessName,
) -> Result<Option<Container>, DockerError> {
    let live = docker.inspect(&container_name::live(&settings.app, process)).await?;
    match &settings.processes[process].replaces {
        Some(name) if live.is_none() => predecessor(docker, name).await,
        _ => Ok(live),
    }
}

/// What `replaces` names, as long as it is there. One that handover made is not moved over from: it has its own app.
async fn predecessor(docker: &Docker, name: &str) -> Result<Option<Container>, DockerError> {
    Ok(docker.inspect(name).await?.filter(|container| container.labels.is_none()))
}

/// Why a container under the live name, or the one to replace, cannot be handed over from; with the way out.
pub fn obstacle(container: &Container, settings: &Settings, process: &ProcessName) -> Option<String> {
    let name = &container.name;
    match &container.labels {
        Some(labels) if labels.app == settings.app => None,
        Some(labels) => Some(format!(
            "container '{name}' belongs to app '{}': rename or remove it, then deploy again",
            labels.app
        )),
        None if settings.processes[process].replaces.as_ref() != Some(name) => Some(format!(
            "a container that handover did not make has the name '{name}': rename or remove it, or write replaces = \"{name}\" in [process.{process}] to hand over from it"
        )),
        None if container.auto_remove => Some(format!(
            "container '{name}' was started with --rm: it would be gone once it is stopped and could not be put back; start it again without --rm, then deploy again"
        )),
        None => None,
    }
}
