//! The Engine: whether it can do what is asked of it.

use super::Found;
use crate::config::Settings;
use crate::config::settings::FileSource;
use crate::host::docker::Engine;

/// The oldest API with every call that is made: `GET /distribution/NAME/json` came with 1.30 (Docker 17.06). There is no
/// newest one: calls name no version, so the Engine answers with its own newest.
const NEEDED: (u32, u32) = (1, 30);

pub(super) fn check(engine: &Engine, settings: &Settings, found: &mut Found) {
    let Engine { version, api, os, .. } = engine;
    if *api < NEEDED {
        found.finding(
            format!(
                "Docker {version} speaks API {}.{} at most, and {}.{} is needed",
                api.0, api.1, NEEDED.0, NEEDED.1
            ),
            "install Docker 17.06 or newer",
        );
    }
    if os != "linux" {
        found.finding(
            format!("this Docker runs containers for '{os}', and Linux is needed"),
            "let it run Linux containers",
        );
    }
    // Its numbers mean other users inside: only what all may read is read.
    let for_some = |file: &FileSource| file.owner.is_some() || file.mode & 0o004 == 0;
    if let Some(file) = settings.templates().find(|file| engine.remaps_users && for_some(file)) {
        found.finding(
            format!(
                "this Docker gives the users of a container other numbers (userns-remap), and the file of '{}' is for one user",
                file.template
            ),
            "leave out 'owner' and let all read it (mode = \"0444\"): on the host only root gets into its folder; or take userns-remap out of /etc/docker/daemon.json",
        );
    }
    for (name, process) in &settings.processes {
        if process.workload.memory.is_some() && !engine.limits_memory {
            found.note(format!(
                "[process.{name}] memory has no effect: this kernel gives Docker no memory limit (cgroup)"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn found(api: (u32, u32), os: &str, limits_memory: bool) -> Found {
        let engine = Engine {
            version: "1.13.1".to_owned(),
            api,
            os: os.to_owned(),
            limits_memory,
            remaps_users: false,
            images: "/var/lib/docker".into(),
        };
        let mut found = Found::default();
        check(&engine, &settings("memory = \"512m\""), &mut found);
        found
    }

    #[test]
    fn an_engine_that_is_too_old_is_told_with_its_version() {
        assert_eq!(found((1, 30), "linux", true), Found::default());
        assert_eq!(found((1, 52), "linux", true), Found::default());
        let old = found((1, 26), "linux", true).findings;
        assert_eq!(old[0].what, "Docker 1.13.1 speaks API 1.26 at most, and 1.30 is needed");
    }

    #[test]
    fn a_file_for_one_user_and_users_that_are_remapped_do_not_go_together() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("templates")).unwrap();
        crate::fs::write_atomically(&dir.path().join("templates/x"), b"x", 0o600).unwrap();
        for (keys, remaps_users, findings) in
            [("owner = 999", true, 1), ("mode = '0440'", true, 1), ("", true, 0), ("owner = 999", false, 0)]
        {
            let text = format!(
                "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n[file.'/x']\ntemplate = 'templates/x'\n{keys}\n"
            );
            let settings = crate::config::parse_in(dir.path(), &text, "f").unwrap();
            let engine = Engine {
                version: "28.0".to_owned(),
                api: (1, 48),
                os: "linux".to_owned(),
                limits_memory: true,
                remaps_users,
                images: "/var/lib/docker".into(),
            };
            let mut found = Found::default();
            check(&engine, &settings, &mut found);
            assert_eq!(found.findings.len(), findings, "{keys}: {found:?}");
        }
    }

    #[test]
    fn windows_is_a_finding_and_a_limit_without_effect_a_note() {
        assert_eq!(found((1, 41), "windows", true).findings.len(), 1);
        let note = found((1, 41), "linux", false);
        assert!(note.findings.is_empty() && note.notes[0].contains("[process.web] memory"), "{note:?}");
    }
}
