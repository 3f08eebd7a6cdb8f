//! What an image says of itself, once it is here: what would show only when live is down, or when it is too late.

use super::{Found, Live};
use crate::config::Settings;
use crate::config::settings::{Process, is_same_path};
use crate::host::docker::LocalImage;
use crate::model::{ImageName, Probe, ProcessName};

/// Looks at an image for every process that is made of it.
pub(in crate::deploy) fn check(
    name: &ImageName,
    image: &LocalImage,
    settings: &Settings,
    live: &Live,
    found: &mut Found,
) {
    for (process, its) in settings.processes.iter().filter(|(_, its)| its.image == *name) {
        if its.health.probe == Probe::Docker && image.healthcheck.is_none() {
            found.finding(
                format!("[process.{process}.health] asks for docker, and the image has no HEALTHCHECK"),
                "add one to the image, or write http, tcp or command instead of docker",
            );
        }
        for path in image.volumes.iter().filter(|path| !is_covered(path, its, settings)) {
            volume(process, path, its, settings, live, found);
        }
    }
}

/// Docker makes an anonymous volume wherever nothing is mounted at the very path.
fn is_covered(path: &str, process: &Process, settings: &Settings) -> bool {
    let volumes = process.options.volumes.iter().map(|volume| &volume.target);
    let tmpfs = process.options.tmpfs.iter().map(|tmpfs| &tmpfs.target);
    volumes.chain(tmpfs).chain(settings.files.keys()).any(|target| is_same_path(target, path))
}

/// A finding the first time; a note once somebody has said that it may be so, or where it has been so all along.
fn volume(
    process: &ProcessName,
    path: &str,
    its: &Process,
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
