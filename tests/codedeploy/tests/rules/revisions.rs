//! Which revision's hook runs, and what stays on disk (contract 1.7, 1.8).

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use codedeploy::{Creator, Deployment, DeploymentReport, ErrorCode, Status, Version};

use crate::support::Host;

/// A bundle whose hooks note who they are; `failing` exits 1.
fn noting(host: &Host, name: &str, failing: Option<&str>) -> PathBuf {
    let say = format!("echo {name} $DEPLOYMENT_ID $LIFECYCLE_EVENT >> {}", host.path("notes").display());
    ["ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"]
        .into_iter()
        .fold(host.bundle(name), |bundle, event| {
            let end = if failing == Some(event) { "; exit 1" } else { "" };
            bundle.hook(event, &format!("{say}{end}"))
        })
        .write()
}

fn run(host: &Host, id: &str, bundle: PathBuf) -> DeploymentReport {
    host.deploy(&Deployment::of_bundle(bundle).id(id))
}

fn stopped_by(report: &DeploymentReport) -> Option<&str> {
    report.event("ApplicationStop").and_then(|event| event.revision.as_deref())
}

#[test]
fn a_revision_that_failed_after_install_is_the_last_successful_one() {
    for version in Version::ALL {
        let host = Host::new(version);
        assert!(run(&host, "d-ONE", noting(&host, "one", None)).succeeded());
        let report = run(&host, "d-TWO", noting(&host, "two", Some("ApplicationStart")));
        assert_eq!((report.status, stopped_by(&report)), (Status::Failed, Some("d-ONE")));
        let report = run(&host, "d-THREE", noting(&host, "three", None));
        assert_eq!(stopped_by(&report), Some("d-TWO"));
    }
}

#[test]
fn one_that_failed_before_the_end_of_install_is_not() {
    for version in Version::ALL {
        let host = Host::new(version);
        assert!(run(&host, "d-ONE", noting(&host, "one", None)).succeeded());
        assert!(!run(&host, "d-TWO", noting(&host, "two", Some("BeforeInstall"))).succeeded());
        let layout = &host.agent.layout;
        let group = Deployment::without_bundle().group_id;
        let recent = fs::read_to_string(layout.most_recent_pointer(&group)).expect("a pointer");
        assert_eq!(recent, layout.deployment_dir(&group, "d-TWO").to_str().expect("UTF-8"));
        let report = run(&host, "d-THREE", noting(&host, "three", None));
        assert_eq!(stopped_by(&report), Some("d-ONE"));
    }
}

#[test]
fn a_rollback_runs_the_broken_releases_stop_and_then_the_good_bundle_under_a_new_id() {
    for version in Version::ALL {
        let host = Host::new(version);
        let good = noting(&host, "good", None);
        assert!(run(&host, "d-ONE", good.clone()).succeeded());
        assert!(!run(&host, "d-TWO", noting(&host, "bad", Some("ValidateService"))).succeeded());
        let before = host.text("notes").lines().count();
        let mut rollback = Deployment::of_bundle(good).id("d-THREE");
        rollback.creator = Creator::CodeDeployRollback;
        assert!(host.deploy(&rollback).succeeded());
        let notes = host.text("notes");
        assert_eq!(
            notes.lines().skip(before).collect::<Vec<_>>(),
            [
                "bad d-THREE ApplicationStop",
                "good d-THREE BeforeInstall",
                "good d-THREE AfterInstall",
                "good d-THREE ApplicationStart",
                "good d-THREE ValidateService"
            ]
        );
    }
}

#[test]
fn a_deleted_previous_directory_fails_v1_and_is_nothing_to_v2() {
    for version in Version::ALL {
        let host = Host::new(version);
        let one = Deployment::of_bundle(noting(&host, "one", None)).id("d-ONE");
        assert!(host.deploy(&one).succeeded());
        let layout = &host.agent.layout;
        fs::remove_dir_all(layout.deployment_dir(&one.group_id, "d-ONE")).expect("deleted");

        let two = noting(&host, "two", None);
        let report = run(&host, "d-TWO", two.clone());
        let stop = report.event("ApplicationStop").expect("in the order");
        if version == Version::V2 {
            assert_eq!((stop.status, stop.noop), (Status::Succeeded, true));
            assert!(report.succeeded());
            continue;
        }
        assert_eq!((stop.error_code, stop.script.as_str()), (ErrorCode::UnknownError, ""));
        assert!(stop.message.contains("did not find an AppSpec file"), "{}", stop.message);

        // The two repairs of contract 1.7: ignore it, or delete the pointer.
        let mut ignoring = Deployment::of_bundle(&two).id("d-THREE");
        ignoring.ignore_stop_failures = true;
        let events = ["ApplicationStop".to_owned()];
        let report = host.agent.deploy(&ignoring, &events, &mut |_| {}).expect("the agent works");
        assert!(report.succeeded() && report.events[0].ignored);
        fs::remove_file(layout.last_successful_pointer(&one.group_id)).expect("deleted");
        assert!(run(&host, "d-FOUR", two).succeeded());
    }
}

#[test]
fn a_renamed_appspec_is_not_found_in_the_old_bundle_by_v1() {
    for version in Version::ALL {
        let host = Host::new(version);
        assert!(run(&host, "d-ONE", noting(&host, "one", None)).succeeded());
        let mut two = Deployment::of_bundle(host.bundle("two").write_as("other.yml")).id("d-TWO");
        two.appspec = "other.yml".into();
        let report = host.deploy(&two);
        let stop = report.event("ApplicationStop").expect("in the order");
        assert_eq!(stop.status == Status::Failed, version == Version::V1, "{}", stop.message);
    }
}

#[test]
fn max_revisions_keeps_the_newest_and_the_last_successful() {
    for version in Version::ALL {
        let mut host = Host::new(version);
        host.agent.max_revisions = 3;
        let good = host.bundle("good").write();
        let bad = host.bundle("bad").hook("BeforeInstall", "exit 1").write();
        let group = Deployment::without_bundle().group_id;
        assert!(run(&host, "d-1", good).succeeded());
        for id in ["d-2", "d-3"] {
            assert!(!run(&host, id, bad.clone()).succeeded());
        }
        // Age is the modification time; the oldest but one here, as the oldest is the last successful one.
        for (id, seconds) in [("d-1", 1), ("d-3", 2)] {
            let dir = File::open(host.agent.layout.deployment_dir(&group, id)).expect("a directory");
            dir.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).expect("aged");
        }
        assert!(!run(&host, "d-4", bad).succeeded());
        let kept = |id: &str| host.agent.layout.archive_dir(&group, id).exists();
        assert_eq!(["d-1", "d-2", "d-3", "d-4"].map(kept), [true, true, false, true]);
    }
}
