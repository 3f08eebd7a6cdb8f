//! Which container serves for a process. Its name says so; but people rename containers, and before the first handover it
//! may be one that a team's own script made, under a name of its own (`replaces`). So a name is not simply believed: what
//! has our labels and runs, while nothing has the live name, is what serves.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, Docker, DockerError};
use crate::journal::{Fact, LiveContainer};
use crate::model::{AppName, Finding, ProcessName, ReleaseNumber, container_name};

/// The containers that serve now, by their processes.
pub type Live = BTreeMap<ProcessName, Container>;

/// The container that serves now, running or not.
pub async fn live(
    docker: &Docker,
    settings: &Settings,
    process: &ProcessName,
) -> Result<Option<Container>, DockerError> {
    let named = docker.inspect(&container_name::live(&settings.app, process)).await?;
    if named.is_some() {
        return Ok(named);
    }
    let ours = docker.containers_of(&settings.app).await?;
    if let Some(renamed) = under_another_name(&ours, process) {
        return Ok(Some(renamed.clone()));
    }
    match &settings.processes.get(process).and_then(|process| process.replaces.as_ref()) {
        // One that handover made is not moved over from: it has its own app.
        Some(name) => Ok(docker.inspect(name).await?.filter(|container| container.labels.is_none())),
        None => Ok(None),
    }
}

/// The same of every process, also of one that the configuration does not name any more.
pub async fn live_of_all(docker: &Docker, settings: &Settings) -> Result<Live, DockerError> {
    let mut all = leaving(docker, settings).await?;
    for process in settings.processes.keys() {
        if let Some(container) = live(docker, settings, process).await? {
            all.insert(process.clone(), container);
        }
    }
    Ok(all)
}

/// What is live of processes that the configuration does not name any more.
pub async fn leaving(docker: &Docker, settings: &Settings) -> Result<Live, DockerError> {
    let containers = docker.containers_of(&settings.app).await?;
    let live = containers.iter().filter(|container| is_live_among(&containers, container));
    let named = live.filter_map(|live| Some((live.labels.as_ref()?.process.clone(), live.clone())));
    Ok(named.filter(|(process, _)| !settings.processes.contains_key(process)).collect())
}

/// Among an app's containers, the one that serves for a process though it has not the live name: it runs, and nothing
/// has that name.
pub fn under_another_name<'c>(containers: &'c [Container], process: &ProcessName) -> Option<&'c Container> {
    let of_process = |container: &&Container| {
        container.labels.as_ref().is_some_and(|l| l.process == *process && l.kind == Kind::Serve)
    };
    if containers.iter().filter(of_process).any(Container::is_live) {
        return None;
    }
    let running = containers.iter().filter(of_process).filter(|container| container.running);
    running.max_by_key(|container| container.labels.as_ref().map(|labels| labels.release))
}

/// Whether a container is the live one of its process, by all containers of its app alone.
pub fn is_live_among(containers: &[Container], container: &Container) -> bool {
    let process = container.labels.as_ref().map(|labels| &labels.process);
    let renamed = process.and_then(|process| under_another_name(containers, process));
    container.is_live() || renamed.is_some_and(|renamed| renamed.id == container.id)
}

/// The live container of each process of an app.
fn live_among(containers: &[Container]) -> impl Iterator<Item = &Container> {
    containers.iter().filter(|container| is_live_among(containers, container))
}

/// Whether a live container of an app runs: as far as can be seen without asking it.
pub fn something_runs(containers: &[Container]) -> bool {
    live_among(containers).any(|container| container.running)
}

/// Whether every live container of an app runs, and there is one.
pub fn everything_runs(containers: &[Container]) -> bool {
    something_runs(containers) && live_among(containers).all(|container| container.running)
}

/// The command that heals an app that does not run; nothing when it does, or when no release was ever good.
pub fn remedy(app: &AppName, containers: &[Container], has_good_release: bool) -> Option<String> {
    if everything_runs(containers) || !has_good_release {
        return None;
    }
    // What passed a gate once, and is only down, comes up faster than a deployment.
    match containers.iter().find(|container| container.is_live() && !container.running) {
        Some(down) => Some(format!("docker start {}", down.name)),
        None => Some(format!("handover deploy --app {app}")),
    }
}

/// What is live, as the journal keeps it.
pub fn as_facts(live: &Live) -> impl Iterator<Item = Fact> {
    live.iter().map(|(process, container)| Fact::Live {
        process: process.clone(),
        live: LiveContainer {
            id: container.id.clone(),
            name: container.name.clone(),
            release: container.labels.as_ref().map(|labels| labels.release),
            running: container.running || container.restarting,
        },
    })
}

/// The name of a container that used to serve: of a release of ours, or of somebody else's that `new` replaced.
pub fn parked_name(
    app: &AppName,
    process: &ProcessName,
    old: Option<ReleaseNumber>,
    new: ReleaseNumber,
) -> String {
    match old {
        Some(release) => container_name::of_release(app, process, release),
        None => container_name::predecessor(app, process, new),
    }
}

/// This name, or the first like it that no container has.
pub async fn free_name(docker: &Docker, name: &str) -> Result<String, DockerError> {
    let mut free = name.to_owned();
    for n in 2.. {
        if docker.inspect(&free).await?.is_none() {
            break;
        }
        free = format!("{name}-{n}");
    }
    Ok(free)
}

/// Why a container that serves cannot be handed over from, and the fix.
pub fn obstacle(container: &Container, settings: &Settings, process: &ProcessName) -> Option<Finding> {
    let name = &container.name;
    let replaces = settings.processes.get(process).and_then(|process| process.replaces.as_ref());
    match &container.labels {
        Some(labels) if labels.app == settings.app => None,
        Some(labels) => Some(Finding::new(
            format!("container '{name}' belongs to app '{}'", labels.app),
            "rename or remove it, then deploy again",
        )),
        None if replaces != Some(name) => Some(Finding::new(
            format!("a container that handover did not make has the name '{name}'"),
            format!(
                "rename or remove it, or write replaces = \"{name}\" in [process.{process}] to hand over from it"
            ),
        )),
        None if container.auto_remove => Some(Finding::new(
            format!(
                "container '{name}' was started with --rm: it would be gone once it is stopped and could not be put back"
            ),
            "start it again without --rm, then deploy again",
        )),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, release: u64, running: bool) -> Container {
        let labels = serde_json::json!({
            "handover.app": "status-page", "handover.process": "web", "handover.kind": "serve",
            "handover.release": release.to_string(), "handover.deployment": "d-1",
        });
        let inspect = serde_json::json!({
            "Id": name, "Name": format!("/{name}"), "State": { "Running": running }, "Config": { "Labels": labels },
        });
        Container::of(serde_json::from_value(inspect).unwrap())
    }

    #[test]
    fn what_runs_under_another_name_serves_only_while_nothing_has_the_live_name() {
        let web = "web".parse().unwrap();
        let parked = container("status-page-web.r1", 1, false);
        let renamed = container("web-by-hand", 2, true);
        let named = [parked.clone(), renamed.clone()];
        assert_eq!(under_another_name(&named, &web).map(|c| c.name.as_str()), Some("web-by-hand"));
        assert!(something_runs(&named));
        assert!(under_another_name(std::slice::from_ref(&parked), &web).is_none());
        // In the middle of a switch the one with the live name is stopped, and the other one is on trial.
        let switch = [container("status-page-web", 1, false), container("status-page-web.r2", 2, true)];
        assert!(under_another_name(&switch, &web).is_none() && !something_runs(&switch));
    }
}
