//! What an image says of itself, once it is here: what would show only when live is down, or when it is too late.

use super::{Found, Live};
use crate::config::Settings;
use crate::config::settings::{Workload, is_same_path};
use crate::host::docker::LocalImage;
use crate::model::{ImageName, Probe, ProcessName, container_name};

/// Looks at an image for every process and service that is made of it.
pub(in crate::deploy) fn check(
    name: &ImageName,
    image: &LocalImage,
    settings: &Settings,
    live: &Live,
    found: &mut Found,
) {
    for (process, its) in settings.processes.iter().filter(|(_, its)| its.workload.image == *name) {
        if its.health.probe == Probe::Docker && image.healthcheck.is_none() {
            found.finding(
                format!("[process.{process}.health] asks for docker, and the image has no HEALTHCHECK"),
                "add one to the image, or write http, tcp or command instead of docker",
            );
        }
        for path in image.volumes.iter().filter(|path| !is_covered(path, &its.workload, settings)) {
            volume(process, path, &its.workload, settings, live, found);
        }
    }
    check_services(name, image, settings, found);
}

/// The same for every service that is made of it: what it keeps has to outlive its container.
fn check_services(name: &ImageName, image: &LocalImage, settings: &Settings, found: &mut Found) {
    for (service, its) in settings.services.iter().filter(|(_, its)| its.workload.image == *name) {
        if its.health.probe == Probe::Docker && image.healthcheck.is_none() {
            found.finding(
                format!("[service.{service}.health] asks for docker, and the image has no HEALTHCHECK"),
                "write tcp or command instead of docker",
            );
        }
        let is_covered =
            |path: &&String| is_covered(path, &its.workload, settings) || its.workload.may_lose(path);
        if let Some(path) = image.volumes.iter().find(|path| !is_covered(path)) {
            let container = container_name::service(&settings.app, service);
            found.finding(
                format!(
                    "the image declares VOLUME '{path}', and [service.{service}] mounts nothing there: what it keeps goes with its container"
                ),
                format!(
                    "keep it: volumes = [\"{container}:{path}\"]; or, if it may be lost: anonymous-volumes = [\"{path}\"]"
                ),
            );
        }
    }
}

/// Docker makes an anonymous volume wherever nothing is mounted at the very path.
fn is_covered(path: &str, its: &Workload, settings: &Settings) -> bool {
    let volumes = its.options.volumes.iter().map(|volume| &volume.target);
    let tmpfs = its.options.tmpfs.iter().map(|tmpfs| &tmpfs.target);
    let files = settings.files_of(its).into_keys();
    let mut targets = volumes.chain(tmpfs).map(String::as_str).chain(files);
    targets.any(|target| is_same_path(target, path))
}

/// A finding the first time; a note once somebody has said that it may be so, or where it has been so all along.
fn volume(
    process: &ProcessName,
    path: &str,
    its: &Workload,
    settings: &Settings,
    live: &Live,
    found: &mut Found,
) {
    let what = format!(
        "the image declares VOLUME '{path}', and [process.{process}] mounts nothing there: each release begins with an empty one"
    );
    let is_said = its.may_lose(path);
    let live = live.get(process);
    let there = live.and_then(|live| live.mounts.iter().find(|mount| is_same_path(&mount.target, path)));
    let has_been_so =
        live.is_some_and(|live| live.labels.is_some()) && there.is_some_and(|mount| mount.is_anonymous);
    if is_said || has_been_so {
        found.note(what);
        return;
    }
    let (source, of) = match (there, live) {
        (Some(mount), Some(live)) => {
            (mount.source.clone(), format!(", which is what '{}' has there", live.name))
        }
        _ => (format!("{}-{process}-data", settings.app), String::new()),
    };
    found.finding(
        what,
        format!(
            "keep it: volumes = [\"{source}:{path}\"]{of}; or, if it may be lost with each release: anonymous-volumes = [\"{path}\"]"
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, settings};
    use super::*;
    use crate::host::docker::HealthCommand;

    fn found(lines: &str, image: &LocalImage, live: Option<serde_json::Value>) -> Found {
        let live = live.map(|inspect| ("web".parse().unwrap(), container(inspect))).into_iter().collect();
        let mut found = Found::default();
        check(&ImageName::default_image(), image, &settings(lines), &live, &mut found);
        found
    }

    #[test]
    fn a_health_check_that_is_not_there_is_found() {
        let bare = LocalImage::default();
        assert_eq!(found("health.docker = true", &bare, None).findings.len(), 1);
        assert_eq!(found("health.command = [\"/check\"]", &bare, None), Found::default());
    }

    #[test]
    fn a_volume_that_nothing_covers_is_a_finding_until_somebody_has_said_so() {
        let image = LocalImage { volumes: vec!["/data".to_owned()], ..LocalImage::default() };
        let first = found("", &image, None);
        assert!(first.findings[0].fix.contains("volumes = [\"status-page-web-data:/data\"]"), "{first:?}");
        assert!(first.findings[0].fix.contains("anonymous-volumes = [\"/data\"]"), "{first:?}");
        for covered in
            ["volumes = [\"media:/data\"]", "volumes = [\"/srv:/data/\"]", "tmpfs = [\"/data:size=1m\"]"]
        {
            assert_eq!(found(covered, &image, None), Found::default(), "{covered}");
        }
        // Something that is mounted above it does not keep Docker from making one.
        assert_eq!(found("volumes = [\"media:/dat\"]", &image, None).findings.len(), 1);
        let said = found("anonymous-volumes = [\"/data/\"]", &image, None);
        assert_eq!((said.findings.len(), said.notes.len()), (0, 1), "{said:?}");
    }

    /// What is found of a service with these keys, made of an image.
    fn of_service(lines: &str, image: &LocalImage) -> Found {
        let text = format!(
            "app = 'status-page'\ndisposable = true\n[image]\nrepository = 'x'\ntag = 't'\n\
             [image.side]\nrepository = 'y'\ntag = 't'\n[process.web]\n[service.database]\nimage = 'side'\n{lines}\n"
        );
        let settings = crate::config::parse(&text, "handover.toml").unwrap();
        let mut found = Found::default();
        check(&"side".parse().unwrap(), image, &settings, &Live::new(), &mut found);
        assert!(found.notes.is_empty(), "{found:?}");
        found
    }

    #[test]
    fn a_service_without_the_health_check_that_it_asks_for_is_found() {
        let bare = LocalImage::default();
        let asks = of_service("health.docker = true", &bare);
        let [finding] = asks.findings.as_slice() else { panic!("{asks:?}") };
        assert!(finding.what.contains("[service.database.health] asks for docker"), "{finding}");
        assert!(finding.fix.contains("tcp or command"), "{finding}");
        assert_eq!(of_service("health.tcp = true\nhealth.port = 1", &bare), Found::default());
        let checked = LocalImage {
            healthcheck: Some(HealthCommand { argv: vec!["/check".to_owned()], timeout: None }),
            ..LocalImage::default()
        };
        assert_eq!(of_service("health.docker = true", &checked), Found::default());
    }

    /// What it keeps would go with its container, and nobody could say that it was so all along.
    #[test]
    fn a_service_that_mounts_nothing_where_its_image_declares_a_volume_is_found() {
        let image =
            LocalImage { volumes: vec!["/data".to_owned(), "/log".to_owned()], ..LocalImage::default() };
        let first = of_service("", &image);
        let [finding] = first.findings.as_slice() else { panic!("{first:?}") };
        assert!(
            finding.what.contains("VOLUME '/data', and [service.database] mounts nothing there"),
            "{finding}"
        );
        assert!(finding.fix.contains("volumes = [\"status-page-service-database:/data\"]"), "{finding}");
        assert!(finding.fix.contains("anonymous-volumes = [\"/data\"]"), "{finding}");
        let second = of_service("volumes = ['database:/data/']", &image);
        assert!(second.findings[0].what.contains("VOLUME '/log'"), "{second:?}");
        for covered in [
            "volumes = ['database:/data', '/srv/log:/log']",
            "volumes = ['database:/data']\ntmpfs = ['/log:size=1m']",
            "volumes = ['database:/data']\nanonymous-volumes = ['/log']",
        ] {
            assert_eq!(of_service(covered, &image), Found::default(), "{covered}");
        }
        // That of another image is none of its own.
        let mut found = Found::default();
        check(
            &ImageName::default_image(),
            &image,
            &settings("anonymous-volumes = ['/data', '/log']"),
            &Live::new(),
            &mut found,
        );
        assert!(found.findings.is_empty(), "{found:?}");
    }

    #[test]
    fn what_live_has_there_decides_and_is_named() {
        let image = LocalImage { volumes: vec!["/data".to_owned()], ..LocalImage::default() };
        let live = |name: &str, labels: serde_json::Value| {
            Some(serde_json::json!({
                "Name": "/old-web", "Config": { "Labels": labels },
                "Mounts": [{ "Type": "volume", "Name": name, "Destination": "/data" }],
            }))
        };
        let ours = serde_json::json!({
            "handover.app": "status-page", "handover.process": "web", "handover.kind": "serve",
            "handover.release": "1", "handover.deployment": "d-1",
        });
        let anonymous = "4e9d".repeat(16);
        let so_far = found("", &image, live(&anonymous, ours.clone()));
        assert_eq!((so_far.findings.len(), so_far.notes.len()), (0, 1), "{so_far:?}");
        // It had a name: it would be left behind.
        for labels in [ours, serde_json::json!({})] {
            let named = found("", &image, live("media", labels));
            assert!(
                named.findings[0].fix.contains("volumes = [\"media:/data\"], which is what 'old-web'"),
                "{named:?}"
            );
        }
        assert_eq!(found("", &image, live(&anonymous, serde_json::json!({}))).findings.len(), 1);
    }
}
