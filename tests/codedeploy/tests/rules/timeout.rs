//! What happens at a hook's deadline (contract 1.6).

use std::fs;
use std::thread;
use std::time::Duration;

use codedeploy::{Agent, ErrorCode, Version};

use crate::support::{Host, pid_in, runs, until};

#[test]
fn v1_sends_term_once_closes_the_pipes_and_waits_for_a_slow_exit() {
    let host = Host::new(Version::V1);
    let (term, release, broken) = (host.path("term"), host.path("release"), host.path("broken"));
    let body = format!(
        "trap '' PIPE; trap 'stop' TERM; stop() {{ touch {}; while [ ! -e {} ]; do sleep 0.01; done; \
         echo late 2>/dev/null || touch {}; exit 0; }}; echo early; while :; do sleep 0.01; done",
        term.display(),
        release.display(),
        broken.display()
    );
    let report = thread::scope(|scope| {
        let agent = scope.spawn(|| host.start(1, &body));
        until("TERM", || term.exists());
        // It would have been killed, or given up on, by an agent that does not wait.
        assert!(!agent.is_finished());
        fs::write(&release, "").expect("released");
        agent.join().expect("the agent works")
    });
    assert!(broken.exists(), "writing after TERM fails with EPIPE");
    assert_eq!(report.error_code, ErrorCode::ScriptTimedOut);
    assert_eq!(
        report.message,
        "Script at specified location: ApplicationStart.sh failed to complete in 1 seconds"
    );
    assert!(report.log.contains("early") && !report.log.contains("late"), "{}", report.log);
    assert!(!report.agent_hung);
}

#[test]
fn v1_never_kills_so_the_simulations_own_limit_does() {
    let mut host = Host::new(Version::V1);
    host.agent.hang_limit = Some(Duration::from_millis(300));
    let pid = host.path("pid");
    let report =
        host.start(1, &format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", pid.display()));
    assert_eq!((report.error_code, report.agent_hung), (ErrorCode::ScriptTimedOut, true));
    until("its end", || !runs(pid_in(&pid)));
}

#[test]
fn v2_kills_the_group_after_the_grace_and_reads_until_then() {
    let mut host = Host::new(Version::V2);
    host.agent.kill_grace = Duration::from_millis(500);
    let (pid, child) = (host.path("pid"), host.path("child"));
    let body = format!(
        "trap 'echo late' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo $! > {}; echo $$ > {}; \
         while :; do sleep 0.05; done",
        child.display(),
        pid.display()
    );
    let report = host.start(1, &body);
    assert_eq!(report.error_code, ErrorCode::ScriptTimedOut);
    assert!((1500..6000).contains(&report.duration_ms), "timeout and grace: {} ms", report.duration_ms);
    for file in [pid, child] {
        until("the end of the whole group", || !runs(pid_in(&file)));
    }
    assert!(report.log.contains("[stdout]late"), "{}", report.log);
}

#[test]
fn v2_does_not_kill_what_ends_in_the_grace() {
    let host = Host::new(Version::V2);
    let done = host.path("done");
    let body =
        format!("trap 'sleep 0.2; touch {}; exit 0' TERM; while :; do sleep 0.05; done", done.display());
    let report = host.start(1, &body);
    assert_eq!(report.error_code, ErrorCode::ScriptTimedOut);
    assert!(done.exists());
}

#[test]
fn the_real_grace_is_five_seconds() {
    assert_eq!(Agent::new(Version::V2, "/r").kill_grace, Duration::from_secs(5));
    assert_eq!(Agent::new(Version::V1, "/r").hang_limit, None);
}
