//! Names: those that the deployment needs are free or ours.

use super::{Found, Live, Target};
use crate::deploy::serving::{obstacle, parked_name};
use crate::host::docker::Listed;
use crate::model::{ProcessName, container_name};

pub(super) fn check(target: &Target<'_>, containers: &[Listed], live: &Live, found: &mut Found) {
    let app = &target.settings.app;
    let named = |name: &str| containers.iter().find(|container| container.name == name);
    for (process, live) in live {
        found.findings.extend(obstacle(live, target.settings, process));
        // After the commit it would be too late to find that the old container cannot get its name.
        let release = live.labels.as_ref().map(|labels| labels.release);
        let parked = parked_name(app, process, release, target.release);
        if named(&parked).is_some_and(|container| container.id != live.id) {
            found.finding(
                format!("another container has the name '{parked}', under which '{}' is parked", live.name),
                format!("docker rename {parked} {parked}-old, or remove it"),
            );
        }
    }
    for process in target.settings.processes.keys() {
        if let Some(replaced) = gone(target, process, containers, live) {
            found.note(format!(
                "there is no container '{replaced}' for process '{process}' to replace, so nothing can be put back if {} is \
                 refused. The old bundle's ApplicationStop may have removed it",
                target.release
            ));
        }
        let needed = [container_name::of_release, container_name::bridge]
            .map(|name| name(app, process, target.release));
        let is_ours = |container: &Listed| {
            container.labels.as_ref().is_some_and(|labels| Some(&labels.deployment) == target.deployment)
        };
        for new in needed.iter().filter(|name| named(name).is_some_and(|container| !is_ours(container))) {
            found.finding(
                format!("a container that this deployment did not make has the name that it needs, '{new}'"),
                format!("docker rename {new} {new}-old, or remove it"),
            );
        }
    }
}

/// The container that is to be replaced and is not there, where handover has none of its own that served.
fn gone<'t>(
    target: &Target<'t>,
    process: &ProcessName,
    containers: &[Listed],
    live: &Live,
) -> Option<&'t String> {
    let of_the_app = |container: &Listed| {
        container.labels.as_ref().is_some_and(|labels| {
            labels.app == target.settings.app && Some(&labels.deployment) != target.deployment
        })
    };
    if live.contains_key(process) || containers.iter().any(of_the_app) {
        return None;
    }
    target.settings.processes.get(process)?.replaces.as_ref()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, listed, settings};
    use super::*;
    use crate::model::Finding;
    use crate::model::ReleaseNumber;

    fn found(containers: &[Listed], live: &Live) -> Vec<Finding> {
        let settings = settings("");
        let deployment = "d-2".parse().unwrap();
        let target = Target {
            settings: &settings,
            release: ReleaseNumber(2),
            deployment: Some(&deployment),
            versions: &std::collections::BTreeMap::new(),
            rollback: None,
        };
        let mut found = Found::default();
        check(&target, containers, live, &mut found);
        found.findings
    }

    #[test]
    fn the_name_of_the_new_container_is_free_or_ours() {
        for (name, app, refused) in [
            ("status-page-web.r2", None, true),
            ("status-page-web.r2", Some(("status-page", "d-0")), true),
            // A run that is resumed finds its own.
            ("status-page-web.r2", Some(("status-page", "d-2")), false),
            ("status-page-web.r1", Some(("status-page", "d-1")), false),
            ("web", None, false),
        ] {
            let found = found(&[listed(name, app, &[])], &Live::new());
            assert_eq!(found.len(), usize::from(refused), "{name} {app:?}: {found:?}");
            assert!(!refused || found[0].fix.contains("docker rename status-page-web.r2"), "{found:?}");
        }
    }

    #[test]
    fn a_live_container_that_cannot_be_handed_over_from_is_told_before_anything_is_pulled() {
        let live = container(serde_json::json!({ "Name": "/status-page-web", "State": { "Running": true } }));
        let found = found(&[], &[("web".parse().unwrap(), live)].into());
        assert!(found[0].fix.contains("replaces = \"status-page-web\" in [process.web]"), "{found:?}");
    }

    #[test]
    fn what_is_to_be_replaced_and_is_not_there_is_told_the_first_time() {
        let settings = settings("replaces = \"old-web\"");
        let versions = std::collections::BTreeMap::new();
        let target = Target {
            settings: &settings,
            release: ReleaseNumber(1),
            deployment: None,
            versions: &versions,
            rollback: None,
        };
        let notes = |containers: &[Listed], live: &Live| {
            let mut found = Found::default();
            check(&target, containers, live, &mut found);
            found.notes
        };
        let told = notes(&[], &Live::new());
        assert!(told[0].contains("no container 'old-web'"), "{told:?}");
        let ours = listed("status-page-web.r1", Some(("status-page", "d-1")), &[]);
        assert!(notes(&[ours], &Live::new()).is_empty());
        let live = container(serde_json::json!({ "Name": "/old-web", "State": { "Running": true } }));
        assert!(notes(&[], &[("web".parse().unwrap(), live)].into()).is_empty());
    }
}
