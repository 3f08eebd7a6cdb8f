//! The lifecycle events: names, orders, and which revision's hook each of them runs.

use std::path::Path;

use crate::deployment::{Creator, Deployment, DeploymentKind};

/// Events the agent handles itself.
pub const DOWNLOAD_BUNDLE: &str = "DownloadBundle";
/// See [`DOWNLOAD_BUNDLE`].
pub const INSTALL: &str = "Install";

/// In place behind a load balancer, in order (contract 2).
const WITH_LOAD_BALANCER: [&str; 13] = [
    "BeforeBlockTraffic",
    "BlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    DOWNLOAD_BUNDLE,
    "BeforeInstall",
    INSTALL,
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
];

/// The order of an in-place deployment; without a load balancer it lacks the six traffic events.
pub fn in_place(load_balancer: bool) -> Vec<String> {
    WITH_LOAD_BALANCER
        .iter()
        .filter(|event| load_balancer || !event.contains("Traffic"))
        .map(|event| (*event).to_owned())
        .collect()
}

/// Who does an event's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Scripts of the bundle.
    Hook,
    /// The agent: `DownloadBundle`, `Install`.
    Agent,
    /// The service, nothing happens on the host: `BlockTraffic`, `AllowTraffic`.
    Service,
}

/// Who does it; none for a name that is no event.
pub fn actor(event: &str) -> Option<Actor> {
    if !WITH_LOAD_BALANCER.contains(&event) {
        return None;
    }
    Some(match event {
        DOWNLOAD_BUNDLE | INSTALL => Actor::Agent,
        "BlockTraffic" | "AllowTraffic" => Actor::Service,
        _ => Actor::Hook,
    })
}

/// Names the service allows under `hooks:`. It sends the list with the deployment; anything else fails, but only
/// at Install (contract 1.9).
pub(crate) fn allowed_in_appspec(event: &str) -> bool {
    matches!(actor(event), Some(Actor::Hook | Actor::Agent))
}

/// Events whose failure "ignore application stop failures" covers (contract 1.7).
pub(crate) fn failure_can_be_ignored(event: &str) -> bool {
    matches!(event, "ApplicationStop" | "BeforeBlockTraffic" | "AfterBlockTraffic")
}

/// Which deployment's bundle supplies the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    LastSuccessful,
    MostRecent,
    Current,
}

/// The agent's mapping (contract 1.7). `archive` is the current deployment's; once it exists, it is used for all.
pub(crate) fn source(event: &str, deployment: &Deployment, archive: &Path) -> Source {
    if archive.exists() {
        return Source::Current;
    }
    let blue_green_rollback =
        deployment.creator == Creator::CodeDeployRollback && deployment.kind == DeploymentKind::BlueGreen;
    match event {
        "BeforeBlockTraffic" | "AfterBlockTraffic" if blue_green_rollback => Source::MostRecent,
        "BeforeAllowTraffic" | "AfterAllowTraffic" if blue_green_rollback => Source::LastSuccessful,
        "BeforeBlockTraffic" | "AfterBlockTraffic" | "ApplicationStop" => Source::LastSuccessful,
        _ => Source::Current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_load_balancer_the_six_traffic_events_are_missing() {
        assert_eq!(
            in_place(false),
            [
                "ApplicationStop",
                "DownloadBundle",
                "BeforeInstall",
                "Install",
                "AfterInstall",
                "ApplicationStart",
                "ValidateService"
            ]
        );
        assert_eq!(in_place(true).len(), 13);
    }

    #[test]
    fn a_blue_green_rollback_swaps_the_sources() {
        let none = Path::new("/nonexistent/archive");
        let plain = Deployment::of_bundle("/b");
        assert_eq!(source("BeforeBlockTraffic", &plain, none), Source::LastSuccessful);
        assert_eq!(source("AfterAllowTraffic", &plain, none), Source::Current);

        let mut rollback = plain;
        rollback.creator = Creator::CodeDeployRollback;
        assert_eq!(
            source("BeforeBlockTraffic", &rollback, none),
            Source::LastSuccessful,
            "in place: as ever"
        );
        rollback.kind = DeploymentKind::BlueGreen;
        assert_eq!(source("BeforeBlockTraffic", &rollback, none), Source::MostRecent);
        assert_eq!(source("AfterAllowTraffic", &rollback, none), Source::LastSuccessful);
        assert_eq!(source("ApplicationStop", &rollback, none), Source::LastSuccessful);
        assert_eq!(source("ApplicationStop", &rollback, Path::new("/")), Source::Current, "archive is there");
    }
}
