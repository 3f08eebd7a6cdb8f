//! The way back: whether what serves now could be started again. Nobody notices while it runs that a path of the host which it
//! mounts is gone; Docker does when it starts it, or makes an empty folder in its place. `CodeDeploy`'s own Install takes such
//! paths away: it deletes what the last bundle's `files` had put there (`installer.rb`), and brings this bundle's. So this is looked at
//! after Install, right before live is stopped.

use std::path::Path;

use super::{Found, Live};

/// `exists` says whether there is something at a path of the host.
pub(super) fn check(live: &Live, exists: impl Fn(&Path) -> bool, found: &mut Found) {
    for container in live.values() {
        for mount in container.mounts.iter().filter(|mount| {
            let source = Path::new(&mount.source);
            source.is_absolute() && !exists(source)
        }) {
            let what = format!(
                "'{}' could not be put back: '{}' of this host, which it mounts at '{}', is gone",
                container.name, mount.source, mount.target
            );
            // One of ours may be the very one that a deployment is to get rid of, and nothing else can.
            if container.labels.is_some() {
                found.note(what);
            } else {
                found.finding(
                    what,
                    "put it back; if the last bundle's 'files' in appspec.yml had brought it, this bundle has to bring it, too, until \
                     the container is not needed any more",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::container;
    use super::*;

    fn found(labels: &serde_json::Value, there: &[&str]) -> Found {
        let live = container(json!({
            "Name": "/statuspage", "State": { "Running": true }, "Config": { "Labels": labels },
            "Mounts": [
                { "Type": "bind", "Source": "/opt/status-page/app.env", "Destination": "/app.env" },
                { "Type": "volume", "Name": "media", "Source": "/var/lib/docker/volumes/media/_data", "Destination": "/media" },
            ],
        }));
        let mut found = Found::default();
        let live = [("web".parse().unwrap(), live)].into();
        check(&live, |path| there.iter().any(|other| Path::new(other) == path), &mut found);
        found
    }

    #[test]
    fn a_container_of_others_that_lost_what_it_mounts_is_not_stopped() {
        assert_eq!(found(&json!({}), &["/opt/status-page/app.env"]), Found::default());
        let lost = found(&json!({}), &[]);
        assert!(lost.notes.is_empty() && lost.findings.len() == 1, "{lost:?}");
        let what = &lost.findings[0].what;
        assert!(what.contains("'/opt/status-page/app.env'") && what.contains("'/app.env'"), "{what}");
    }

    #[test]
    fn of_our_own_it_is_a_note() {
        let ours = json!({
            "handover.app": "status-page", "handover.process": "web", "handover.kind": "serve",
            "handover.release": "1", "handover.deployment": "d-1",
        });
        let lost = found(&ours, &[]);
        assert!(lost.findings.is_empty() && lost.notes.len() == 1, "{lost:?}");
    }
}
