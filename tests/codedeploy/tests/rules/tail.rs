//! The log tail, end to end (contract 1.3).

use codedeploy::{Deployment, Version};

use crate::support::Host;

/// A failing hook whose last line is `count` times x.
fn log_of(version: Version, count: usize) -> String {
    Host::new(version)
        .start(20, &format!("echo before; head -c {count} /dev/zero | tr '\\0' x; echo; exit 1"))
        .log
}

#[test]
fn v1_carries_fewer_than_2048_characters() {
    let frame = "[stdout]\n".len();
    let log = log_of(Version::V1, 2047 - frame);
    assert_eq!(log.len(), 2047);
    assert!(log.starts_with("[stdout]xx"), "whole lines, nothing in front");
    assert_eq!(log_of(Version::V1, 2048 - frame), "", "one over-long line leaves nothing");
}

#[test]
fn v2_carries_up_to_2048_bytes_with_the_time() {
    let frame = 20 + "[stdout]\n".len();
    let log = log_of(Version::V2, 2048 - frame);
    assert_eq!(log.len(), 2048);
    assert!(log[20..].starts_with("[stdout]xx"));
    assert_eq!(log_of(Version::V2, 2049 - frame), "");
}

#[test]
fn v2_cuts_lines_at_64_kib() {
    let log = log_of(Version::V2, 64 * 1024 + 100);
    assert_eq!(log.lines().count(), 1);
    assert!(log.ends_with(&format!("[stdout]{}\n", "x".repeat(100))), "{log}");
    assert_eq!(log_of(Version::V1, 64 * 1024 + 100), "");
}

#[test]
fn it_accumulates_over_the_scripts_of_an_event() {
    for version in Version::ALL {
        let host = Host::new(version);
        let mut bundle = host.bundle("b").hook("AfterInstall", "echo one").and("two.sh");
        bundle.file("two.sh", "echo two; exit 1", 0o755);
        let report = host.deploy(&Deployment::of_bundle(bundle.write()));
        let log = &report.failure().expect("it failed").log;
        assert!(log.contains("[stdout]one\n") && log.contains("[stdout]two\n"), "{log}");
    }
}
