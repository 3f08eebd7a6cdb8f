//! The command: separate processes, JSON, exit codes.

use std::process::{Command, Output, Stdio};

use codedeploy::{DeploymentReport, ErrorCode, Status, Version};

use crate::support::Host;

fn run(host: &Host, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_codedeploy"))
        .arg("--root")
        .arg(host.path("root"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("ran")
}

fn report(output: &Output) -> DeploymentReport {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_deployment_can_be_run_event_by_event_in_separate_processes() {
    for version in Version::ALL {
        let host = Host::new(version);
        let note = host.path("note");
        let bundle =
            host.bundle("b").hook("AfterInstall", &format!("echo $DEPLOYMENT_ID > {}", note.display()));
        let bundle = bundle.write();
        for event in ["DownloadBundle", "BeforeInstall", "Install", "AfterInstall"] {
            let args = [
                "event",
                event,
                "--deployment-id",
                "d-STEPS",
                "--agent",
                version.name(),
                "--json",
                "--bundle",
            ];
            let output = run(&host, &[&args[..], &[bundle.to_str().expect("UTF-8")]].concat());
            let report = report(&output);
            assert!(output.status.success() && report.succeeded() && report.events.len() == 1);
        }
        assert_eq!(host.text("note"), "d-STEPS\n");
    }
}

#[test]
fn exit_codes_tell_failure_from_misuse() {
    let host = Host::new(Version::V1);
    let good = host.bundle("good").hook("ApplicationStart", "exit 0").write();
    let bad = host.bundle("bad").hook("ApplicationStart", "echo why; exit 5").write();
    let (good, bad) = (good.to_str().expect("UTF-8"), bad.to_str().expect("UTF-8"));
    assert_eq!(run(&host, &["deploy", "--bundle", good]).status.code(), Some(0));

    let output = run(&host, &["deploy", "--json", "--bundle", bad]);
    assert_eq!(output.status.code(), Some(1));
    let failed = report(&output);
    let failure = failed.failure().expect("it failed");
    assert_eq!(
        (failed.status, failure.error_code, failure.exit),
        (Status::Failed, ErrorCode::ScriptFailed, Some(5))
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["events"][5]["error_code"], 4, "codes are numbers");

    for wrong in [
        &["deploy"][..],
        &["deploy", "--bundle", good, "--only", "Nonsense"],
        &["deploy", "--bundle", good, "--stop-after", "BlockTraffic"],
        &["event", "Install"],
        &["deploy", "--rollback-to", "d-UNKNOWN"],
    ] {
        assert_eq!(run(&host, wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_person_sees_what_the_console_shows() {
    let host = Host::new(Version::V1);
    let bad = host.bundle("bad").hook("ApplicationStart", "echo why; exit 5").write();
    let output =
        run(&host, &["deploy", "--deployment-id", "d-SHOWN", "--bundle", bad.to_str().expect("UTF-8")]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for part in [
        "Error code   ScriptFailed (4)",
        "Script name  ApplicationStart.sh",
        "failed with exit code 5",
        "[stdout]why",
        "Skipped",
        "d-SHOWN  Failed",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

#[test]
fn parts_of_an_order_and_a_rollback_by_id() {
    let host = Host::new(Version::V1);
    let note = host.path("note");
    let one = host.bundle("one").hook("AfterInstall", &format!("echo one >> {}", note.display())).write();
    let two = host.bundle("two").hook("AfterInstall", &format!("echo two >> {}", note.display())).write();
    let (one, two) = (one.to_str().expect("UTF-8"), two.to_str().expect("UTF-8"));
    let deploy = |args: &[&str]| report(&run(&host, &[&["deploy", "--json"], args].concat()));
    let names = |report: &DeploymentReport| {
        report.events.iter().map(|event| event.event.clone()).collect::<Vec<_>>().join(" ")
    };

    let first = deploy(&["--deployment-id", "d-ONE", "--bundle", one, "--stop-after", "AfterInstall"]);
    assert_eq!(names(&first), "ApplicationStop DownloadBundle BeforeInstall Install AfterInstall");
    assert_eq!(
        names(&deploy(&["--deployment-id", "d-ONE", "--only", "ApplicationStart"])),
        "ApplicationStart"
    );
    let second = deploy(&["--bundle", two, "--events", "DownloadBundle,Install,AfterInstall"]);
    assert_eq!(names(&second), "DownloadBundle Install AfterInstall");
    let back = deploy(&["--rollback-to", "d-ONE", "--load-balancer"]);
    assert!(back.succeeded() && back.deployment_id != "d-ONE");
    assert_eq!(back.events.len(), 13);
    assert_eq!(host.text("note"), "one\ntwo\none\n");
}
