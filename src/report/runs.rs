//! One JSON line per run, in `/var/log/handover/runs.jsonl`: where machines look, because `CodeDeploy` throws the output of
//! a hook that succeeded away.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::{Report, Serving};
use crate::exit::ExitStatus;
use crate::fs::{self, Context as _, FsError};
use crate::model::Finding;

/// The format of a line.
pub const RUN_FORMAT: u32 = 1;

/// When the file is this long, in bytes, it is moved aside, to one `.1`.
const ROTATE_AT: u64 = 4 << 20;

/// One line.
#[derive(Debug, Serialize)]
pub struct RunLine<'a> {
    /// [`RUN_FORMAT`].
    pub format: u32,
    /// When the process ended.
    pub at: Timestamp,
    /// The app, when the configuration could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// What the process was called as.
    pub command: &'a str,
    /// The deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<&'a str>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// Its images.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub images: &'a [String],
    /// `deployed`, `unchanged`, `waiting`, `reverted`, `unfinished`, `unknown` or `error`.
    pub outcome: &'a str,
    /// The exit code.
    pub exit: u8,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'a str>,
    /// What has to be fixed, where checks found something.
    #[serde(skip_serializing_if = "<[Finding]>::is_empty")]
    pub findings: &'a [Finding],
    /// What serves now.
    pub serving: &'a [Serving],
    /// How long nothing healthy answered, in milliseconds, when live was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_ms: Option<u64>,
    /// For how much of that nothing answered at all, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// For how long new connections were made to wait instead, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// How long the process took, in milliseconds.
    pub duration_ms: u64,
    /// How long the process had a processor, in milliseconds.
    pub cpu_ms: u64,
    /// The most memory that the process had resident, in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_kib: Option<u64>,
    /// How long each step took, in milliseconds, in order.
    pub steps: &'a [(String, u64)],
}

impl<'a> RunLine<'a> {
    /// The line of a run that came to its steps.
    pub fn of(report: &'a Report, command: &'a str, duration_ms: u64) -> Self {
        let failure = report.failure.as_ref();
        Self {
            format: RUN_FORMAT,
            at: Timestamp::now(),
            app: Some(report.app.as_str()),
            command,
            deployment: Some(report.deployment.as_str()),
            release: Some(report.release.0),
            images: &report.images,
            outcome: report.outcome.word(),
            exit: report.exit().code(),
            cause: failure.map(|failure| failure.what.as_str()),
            fix: failure.map(|failure| failure.fix.as_str()).filter(|fix| !fix.is_empty()),
            findings: failure.map(|failure| failure.findings.as_slice()).unwrap_or_default(),
            serving: &report.serving,
            unhealthy_ms: report.unhealthy_ms,
            silent_ms: report.silent_ms,
            waited_ms: report.waited.map(|waited| waited.longest_ms),
            duration_ms,
            cpu_ms: cpu_ms(),
            peak_rss_kib: peak_rss_kib(),
            steps: &report.steps,
        }
    }

    /// The line of a run that did not.
    pub fn of_error(error: &'a str, command: &'a str, status: ExitStatus, duration_ms: u64) -> Self {
        Self {
            format: RUN_FORMAT,
            at: Timestamp::now(),
            app: None,
            command,
            deployment: None,
            release: None,
            images: &[],
            outcome: "error",
            exit: status.code(),
            cause: Some(error),
            fix: None,
            findings: &[],
            serving: &[],
            unhealthy_ms: None,
            silent_ms: None,
            waited_ms: None,
            duration_ms,
            cpu_ms: cpu_ms(),
            peak_rss_kib: peak_rss_kib(),
            steps: &[],
        }
    }

    /// Appends it.
    pub fn write(&self, log: &Path) -> Result<(), FsError> {
        fs::private_dir(log)?;
        let path = log.join("runs.jsonl");
        crate::logging::rotate(&path, ROTATE_AT)?;
        let mut line = serde_json::to_vec(self).expect("a line is plain data");
        line.push(b'\n');
        let mut file =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).on("open", &path)?;
        file.write_all(&line).on("write", &path)
    }
}

/// From `/proc/self/status` (proc(5), `VmHWM`).
fn peak_rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// All of its threads.
fn cpu_ms() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec * 1_000 + used.tv_nsec / 1_000_000).unwrap_or_default()
}
