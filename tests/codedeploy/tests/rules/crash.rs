//! The tracking file and a crash of the agent (contract 1.11). The agent is the real command here: it is killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use codedeploy::{DeploymentReport, ErrorCode, EventReport, Status, Version};

use crate::support::{Host, end, pid_in, runs, until};

fn command(host: &Host) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codedeploy"));
    command.args(["--agent", host.agent.version.name(), "--json", "--root"]).arg(host.path("root"));
    command.stdin(Stdio::null());
    command
}

/// An agent in the middle of an event; the hook writes its id to `pid`.
fn running(host: &Host, id: &str, pid: &Path) -> Child {
    let body = format!(
        "echo $$ > {}; while [ ! -e {} ]; do sleep 0.05; done",
        pid.display(),
        host.path("go").display()
    );
    let bundle = host.bundle(id).hook("ApplicationStart", &body).write();
    let child = command(host)
        .args(["deploy", "--deployment-id", id, "--bundle"])
        .arg(bundle)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    pid_in(pid);
    child
}

fn recovered(host: &Host) -> Vec<EventReport> {
    let output = command(host).arg("recover").output().expect("ran");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    serde_json::from_value(value["recovered"].clone()).expect("reports")
}

#[test]
fn an_event_that_a_crash_interrupted_is_reported_failed_while_its_hook_runs_on() {
    for version in Version::ALL {
        let host = Host::new(version);
        let pid = host.path("pid");
        let mut agent = running(&host, "d-CRASH", &pid);
        let tracking = host.agent.layout.ongoing_dir().join("d-CRASH");
        assert!(tracking.exists());
        assert_eq!(recovered(&host), [], "nobody takes it from an agent that lives");
        agent.kill().expect("killed");
        agent.wait().expect("reaped");
        let hook = pid_in(&pid);
        assert!(runs(hook), "an orphan");

        let reports = recovered(&host);
        end(hook);
        assert_eq!(reports.len(), 1);
        assert_eq!(
            (reports[0].event.as_str(), reports[0].deployment_id.as_str()),
            ("ApplicationStart", "d-CRASH")
        );
        assert_eq!(
            (reports[0].status, reports[0].error_code),
            (Status::Failed, ErrorCode::FailedAfterRestart)
        );
        assert_eq!(reports[0].message, "Failed: Failing in-progress lifecycle event after an agent restart.");
        assert!(!tracking.exists());
        assert_eq!(recovered(&host), []);
    }
}

#[test]
fn v1_reports_the_newest_of_several_and_v2_all() {
    for version in Version::ALL {
        let host = Host::new(version);
        for id in ["d-A", "d-B"] {
            let pid = host.path(&format!("pid-{id}"));
            let mut agent = running(&host, id, &pid);
            agent.kill().expect("killed");
            agent.wait().expect("reaped");
            end(pid_in(&pid));
            if id == "d-A" {
                // The next tracking file must be newer, also on a coarse clock; the start of "d-B" would find this.
                fs::rename(host.agent.layout.ongoing_dir().join(id), host.path("kept")).expect("moved");
            }
        }
        fs::rename(host.path("kept"), host.agent.layout.ongoing_dir().join("d-A")).expect("moved back");
        let reports = recovered(&host);
        let ids: Vec<&str> = reports.iter().map(|report| report.deployment_id.as_str()).collect();
        let expected: &[&str] = if version == Version::V1 { &["d-B"] } else { &["d-B", "d-A"] };
        assert_eq!(ids, expected);
        let left = fs::read_dir(host.agent.layout.ongoing_dir()).expect("the directory").count();
        assert_eq!(left, 0);
    }
}

#[test]
fn the_service_sends_nothing_more_for_a_deployment_that_a_crash_failed() {
    let host = Host::new(Version::V1);
    let pid = host.path("pid");
    let mut agent = running(&host, "d-CRASH", &pid);
    agent.kill().expect("killed");
    agent.wait().expect("reaped");
    end(pid_in(&pid));
    let output = command(&host)
        .args(["event", "ValidateService", "--deployment-id", "d-CRASH"])
        .output()
        .expect("ran");
    assert_eq!(output.status.code(), Some(1));
    let report: DeploymentReport = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((report.recovered.len(), report.events[0].skipped), (1, true));
}

#[test]
fn the_tracking_file_is_gone_after_the_event() {
    for version in Version::ALL {
        let host = Host::new(version);
        let pid = host.path("pid");
        let mut agent = running(&host, "d-FINE", &pid);
        fs::write(host.path("go"), "").expect("let go");
        assert!(agent.wait().expect("reaped").success());
        until("no tracking file", || !host.agent.layout.ongoing_dir().join("d-FINE").exists());
    }
}
