//! What output and exit make of an event (contract 1.2 to 1.5).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use codedeploy::{Deployment, ErrorCode, Status, Version};

use crate::support::{Host, end, pid_in, runs};

#[test]
fn a_background_child_that_keeps_stdout_open_fails_a_hook_that_exited_0() {
    for version in Version::ALL {
        let host = Host::new(version);
        let child = host.path("child");
        let report = host.start(1, &format!("sleep 60 & echo $! > {}", child.display()));
        let child = pid_in(&child);
        assert!(runs(child), "the agent leaves it alone");
        end(child);
        assert_eq!(report.error_code, ErrorCode::OutputsLeftOpen);
        assert_eq!(
            report.message,
            "Script at specified location: ApplicationStart.sh failed to close STDOUT"
        );
        assert!(report.duration_ms < 10_000, "at the deadline");
    }
}

#[test]
fn a_child_that_keeps_only_stderr_open_does_the_same() {
    for version in Version::ALL {
        let host = Host::new(version);
        let child = host.path("child");
        let report = host.start(1, &format!("sleep 60 > /dev/null & echo $! > {}", child.display()));
        end(pid_in(&child));
        assert_eq!(report.error_code, ErrorCode::OutputsLeftOpen);
        // v2 has one text for both.
        let stream = if version == Version::V1 { "STDERR" } else { "STDOUT" };
        assert!(report.message.ends_with(&format!("failed to close {stream}")), "{}", report.message);
    }
}

#[test]
fn a_child_with_outputs_of_its_own_is_nobodys_business() {
    for version in Version::ALL {
        let host = Host::new(version);
        let child = host.path("child");
        let report = host.start(20, &format!("sleep 60 > /dev/null 2>&1 & echo $! > {}", child.display()));
        end(pid_in(&child));
        assert_eq!(report.status, Status::Succeeded);
    }
}

#[test]
fn an_invalid_byte_before_a_newline_fails_an_exit_0_in_v1_alone() {
    let host = Host::new(Version::V1);
    let report = host.start(20, r"printf 'bad\377\n'");
    assert_eq!((report.error_code, report.exit), (ErrorCode::ScriptFailed, None));
    assert_eq!((report.message.as_str(), report.log.as_str()), ("Attempting minimal diagnostics", ""));

    let host = Host::new(Version::V2);
    assert_eq!(host.start(20, r"printf 'bad\377\n'").status, Status::Succeeded);
    let report = host.start(20, r"printf 'bad\377\n'; exit 1");
    assert!(report.log.contains("[stdout]bad\u{fffd}\n"), "lossy: {}", report.log);
}

#[test]
fn an_invalid_byte_elsewhere_costs_v1_only_the_log_of_a_failure() {
    let host = Host::new(Version::V1);
    assert_eq!(host.start(20, r"printf 'b\377ad\n'").status, Status::Succeeded);
    let report = host.start(20, r"printf 'b\377ad\n'; exit 3");
    assert_eq!((report.error_code, report.exit), (ErrorCode::ScriptFailed, Some(3)));
    assert_eq!((report.message.as_str(), report.log.as_str()), ("Attempting minimal diagnostics", ""));
}

#[test]
fn a_reader_that_died_no_longer_empties_the_pipe() {
    let host = Host::new(Version::V1);
    // More than a pipe holds after the bad line: the hook blocks until its timeout.
    let report = host.start(1, r"printf 'bad\377\n'; yes | head -c 300000");
    assert_eq!(report.error_code, ErrorCode::ScriptTimedOut);
}

#[test]
fn escapes_are_stripped_by_v2() {
    for version in Version::ALL {
        let host = Host::new(version);
        let report = host.start(20, r"printf '\033[31mred\033[0m\n'; exit 1");
        let plain = report.log.contains("[stdout]red\n");
        assert_eq!(plain, version == Version::V2, "{:?}", report.log);
    }
}

#[test]
fn only_a_failure_carries_the_log() {
    for version in Version::ALL {
        let host = Host::new(version);
        let report = host.start(20, "echo out; echo err >&2");
        assert_eq!((report.status, report.log.as_str()), (Status::Succeeded, ""));
        let report = host.start(20, "echo out; echo err >&2; exit 7");
        assert_eq!((report.error_code, report.exit), (ErrorCode::ScriptFailed, Some(7)));
        assert_eq!(report.script, "ApplicationStart.sh");
        assert_eq!(
            report.message,
            "Script at specified location: ApplicationStart.sh failed with exit code 7"
        );
        for part in [
            "LifecycleEvent - ApplicationStart\n",
            "Script - ApplicationStart.sh\n",
            "[stdout]out\n",
            "[stderr]err\n",
        ] {
            assert!(report.log.contains(part), "{part:?} in {:?}", report.log);
        }
    }
}

#[test]
fn a_signal_leaves_v1_without_a_number() {
    for version in Version::ALL {
        let report = Host::new(version).start(20, "kill -9 $$");
        assert_eq!((report.error_code, report.exit, report.signal), (ErrorCode::ScriptFailed, None, Some(9)));
        let end = if version == Version::V1 { "failed with exit code " } else { "failed with exit code 1" };
        assert!(report.message.ends_with(end), "{:?}", report.message);
    }
}

#[test]
fn a_missing_final_newline_glues_in_v1() {
    for version in Version::ALL {
        let report = Host::new(version).start(20, "printf last; exit 1");
        let glued = report.log.ends_with("[stdout]last");
        assert_eq!(glued, version == Version::V1, "{:?}", report.log);
    }
}

#[test]
fn the_logs_are_world_readable_and_dated() {
    for version in Version::ALL {
        let host = Host::new(version);
        let bundle = host.bundle("b").hook("ApplicationStart", "echo hello").write();
        let deployment = Deployment::of_bundle(bundle).id("d-LOGGED");
        assert!(host.deploy(&deployment).succeeded());
        let layout = &host.agent.layout;
        for log in [layout.scripts_log(&deployment.group_id, "d-LOGGED"), layout.deployments_log()] {
            let mode = fs::metadata(&log).expect("a log").permissions().mode();
            assert_eq!(mode & 0o777, 0o644, "{}", log.display());
            let text = fs::read_to_string(&log).expect("UTF-8");
            let line = text.lines().find(|line| line.ends_with("[stdout]hello")).expect("the line");
            assert!(line.len() > "[stdout]hello".len() + 19, "dated: {line}");
        }
    }
}

#[test]
fn the_second_script_of_an_event_is_skipped_when_the_first_fails() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mark = host.path("second");
        let mut bundle = host.bundle("b").hook("AfterInstall", "exit 1").and("second.sh");
        bundle.file("second.sh", &format!("touch {}", mark.display()), 0o755);
        let report = host.deploy(&Deployment::of_bundle(bundle.write()));
        assert!(!mark.exists());
        let event = report.event("AfterInstall").expect("in the order");
        assert_eq!((event.script.as_str(), event.scripts.len()), ("AfterInstall.sh", 1));
        let start = report.event("ApplicationStart").expect("in the order");
        assert_eq!((start.status, start.skipped), (Status::Skipped, true), "and so are the events after it");
        assert_eq!(report.status, Status::Failed);
    }
}
