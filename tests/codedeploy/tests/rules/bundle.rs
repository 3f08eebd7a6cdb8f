//! What the agent makes of a bundle and its appspec (contract 1.2, 1.8, 1.9).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use codedeploy::{Deployment, ErrorCode, Status, Version};

use crate::support::Host;

#[test]
fn a_location_cannot_have_arguments() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mut bundle = host.bundle("b").at("AfterInstall", "bin/x --flag");
        bundle.file("bin/x", "exit 0", 0o755);
        let report = host.deploy(&Deployment::of_bundle(bundle.write()));
        let failure = report.failure().expect("it failed");
        assert_eq!((failure.event.as_str(), failure.error_code), ("AfterInstall", ErrorCode::ScriptMissing));
        assert!(failure.message.starts_with("Script does not exist at specified location: "));
        assert_eq!(failure.script, "bin/x --flag");
        assert!(failure.scripts.is_empty());
    }
}

#[test]
fn a_script_that_is_not_executable_becomes_so_in_the_copy() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mut bundle = host.bundle("b").at("AfterInstall", "plain.sh");
        bundle.file("plain.sh", "exit 0", 0o640);
        let deployment = Deployment::of_bundle(bundle.write());
        assert!(host.deploy(&deployment).succeeded());
        let mode = |path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(host.path("b/plain.sh")), 0o640);
        let archive = host.agent.layout.archive_dir(&deployment.group_id, &deployment.id);
        assert_eq!(mode(archive.join("plain.sh")), 0o751);
    }
}

#[test]
fn an_unknown_event_fails_at_install_after_before_install_ran() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mark = host.path("ran");
        let bundle = host
            .bundle("b")
            .hook("BeforeInstall", &format!("touch {}", mark.display()))
            .hook("AfterInstal", "exit 0")
            .write();
        let report = host.deploy(&Deployment::of_bundle(bundle));
        assert!(mark.exists());
        let failure = report.failure().expect("it failed");
        assert_eq!((failure.event.as_str(), failure.error_code), ("Install", ErrorCode::UnknownError));
        let list = if version == Version::V1 { "[\"AfterInstal\"]" } else { "AfterInstal" };
        assert_eq!(failure.message, format!("appspec.yml file contains unknown lifecycle events: {list}"));
    }
}

#[test]
fn a_bad_appspec_fails_at_the_first_hook_of_the_new_bundle() {
    for version in Version::ALL {
        let host = Host::new(version);
        let dir = host.bundle("b").write();
        fs::write(dir.join("appspec.yml"), "version: 1.0\nos: linux\n").expect("written");
        let report = host.deploy(&Deployment::of_bundle(&dir));
        let failure = report.failure().expect("it failed");
        assert_eq!((failure.event.as_str(), failure.error_code), ("BeforeInstall", ErrorCode::UnknownError));
        assert_eq!(report.event("DownloadBundle").map(|event| event.status), Some(Status::Succeeded));
        assert!(failure.message.contains("invalid version value (1.0)"));
    }
}

#[test]
fn one_directory_around_the_bundle_is_stripped() {
    for version in Version::ALL {
        let host = Host::new(version);
        host.bundle("outer/inner").hook("AfterInstall", "exit 0").write();
        let report = host.deploy(&Deployment::of_bundle(host.path("outer")));
        assert!(report.succeeded());
        assert_eq!(report.event("AfterInstall").map(|event| event.noop), Some(false));
    }
}

#[test]
fn a_file_without_an_interpreter_runs_in_v1_alone() {
    for version in Version::ALL {
        let host = Host::new(version);
        let dir = host.bundle("b").at("AfterInstall", "bare").write();
        fs::write(dir.join("bare"), "exit 0\n").expect("written");
        let report = host.deploy(&Deployment::of_bundle(dir));
        assert_eq!(report.succeeded(), version == Version::V1);
        if let Some(failure) = report.failure() {
            assert!(failure.message.contains("failed with error Exec format error"), "{}", failure.message);
        }
    }
}

#[test]
fn runas_goes_through_su_and_is_named_in_the_message() {
    for version in Version::ALL {
        let host = Host::new(version);
        let bundle = host.bundle("b").hook("AfterInstall", "exit 0");
        let dir = bundle.write();
        let appspec = fs::read_to_string(dir.join("appspec.yml")).expect("the appspec");
        fs::write(dir.join("appspec.yml"), format!("{appspec}      runas: no-such-user\n")).expect("written");
        let report = host.deploy(&Deployment::of_bundle(dir));
        let failure = report.failure().expect("it failed");
        assert_eq!(failure.error_code, ErrorCode::ScriptFailed);
        assert!(
            failure.message.contains("run as user no-such-user failed with exit code 1"),
            "{}",
            failure.message
        );
        assert!(failure.log.contains("[stderr]su: "), "{}", failure.log);
    }
}

#[test]
fn a_path_with_a_space_is_two_words_to_v1() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mut bundle = host.bundle("b").at("AfterInstall", "my hook");
        bundle.file("my hook", "exit 0", 0o755);
        let report = host.deploy(&Deployment::of_bundle(bundle.write()));
        assert_eq!(report.succeeded(), version == Version::V2);
    }
}
