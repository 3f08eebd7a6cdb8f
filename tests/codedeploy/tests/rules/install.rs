//! The Install step's files (contract 1.9).

use std::fs;

use codedeploy::{Deployment, FileExists, Version};

use crate::support::Host;

fn with_file(host: &Host, name: &str, content: &str, section: &str) -> Deployment {
    let section = format!(
        "files:\n  - source: payload\n    destination: {}\n{section}",
        host.path("target/deep").display()
    );
    let dir = host.bundle(name).section(&section).write();
    fs::create_dir_all(dir.join("payload/sub")).expect("a directory");
    fs::write(dir.join("payload/sub/file"), content).expect("a file");
    Deployment::of_bundle(dir)
}

const FILE: &str = "target/deep/sub/file";

#[test]
fn files_of_the_previous_install_go_before_the_new_ones_come() {
    for version in Version::ALL {
        let host = Host::new(version);
        assert!(host.deploy(&with_file(&host, "one", "1", "")).succeeded());
        assert_eq!(host.text(FILE), "1");
        // Its own file does not count as existing.
        assert!(host.deploy(&with_file(&host, "two", "2", "")).succeeded());
        assert_eq!(host.text(FILE), "2");
        let bare = host.bundle("three").write();
        assert!(host.deploy(&Deployment::of_bundle(bare)).succeeded());
        assert!(!host.path("target").exists(), "the directories it made go with the files");
    }
}

#[test]
fn a_file_that_is_not_ours_fails_or_is_overwritten_or_stays() {
    for version in Version::ALL {
        for (option, section, expected) in [
            (FileExists::Disallow, "", None),
            (FileExists::Overwrite, "", Some("new")),
            (FileExists::Retain, "", Some("old")),
            // The appspec's word beats the deployment's.
            (FileExists::Disallow, "file_exists_behavior: RETAIN\n", Some("old")),
        ] {
            let host = Host::new(version);
            fs::create_dir_all(host.path("target/deep/sub")).expect("a directory");
            fs::write(host.path(FILE), "old").expect("a file");
            let mut deployment = with_file(&host, "b", "new", section);
            deployment.file_exists = option;
            let report = host.deploy(&deployment);
            let Some(content) = expected else {
                let failure = report.failure().expect("it failed");
                assert_eq!(failure.event, "Install");
                assert!(failure.message.contains("a specified file already exists at this location"));
                let pointer = host.agent.layout.last_successful_pointer(&deployment.group_id);
                assert!(!pointer.exists(), "a failed Install is not the last successful one");
                continue;
            };
            assert!(report.succeeded(), "{option:?}");
            assert_eq!(host.text(FILE), content, "{option:?} {section}");
        }
    }
}

#[test]
fn permissions_are_refused_by_name() {
    let host = Host::new(Version::V1);
    let dir = host.bundle("b").section("permissions:\n  - object: /x\n    owner: root\n").write();
    let report = host.deploy(&Deployment::of_bundle(dir));
    assert!(report.failure().expect("it failed").message.contains("permissions section"));
}
