//! A host, and bundles made of one-line shell scripts.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use codedeploy::{Agent, Deployment, DeploymentReport, EventReport, Version, lifecycle};
use tempfile::TempDir;

/// A temporary host with an agent.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    pub(crate) agent: Agent,
}

impl Host {
    pub(crate) fn new(version: Version) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let agent = Agent::new(version, dir.path().join("root"));
        Self { dir, agent }
    }

    /// A path that hooks and the test share.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn bundle(&self, name: &str) -> Bundle {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("a bundle");
        Bundle { dir, hooks: String::new(), rest: String::new() }
    }

    /// The in-place order without a load balancer.
    pub(crate) fn deploy(&self, deployment: &Deployment) -> DeploymentReport {
        self.agent.deploy(deployment, &lifecycle::in_place(false), &mut |_| {}).expect("the agent works")
    }

    /// Deploy a bundle whose only hook is this one, at `ApplicationStart`, with a limit in seconds.
    pub(crate) fn start(&self, timeout: u32, body: &str) -> EventReport {
        let bundle = self.bundle("bundle").timed("ApplicationStart", timeout, body).write();
        let report = self.deploy(&Deployment::of_bundle(bundle).id("d-START0001"));
        report.event("ApplicationStart").expect("in the order").clone()
    }
}

/// A bundle in the making.
pub(crate) struct Bundle {
    pub(crate) dir: PathBuf,
    hooks: String,
    rest: String,
}

impl Bundle {
    /// A hook with a generous limit, in a file of its own.
    pub(crate) fn hook(self, event: &str, body: &str) -> Self {
        self.timed(event, 60, body)
    }

    pub(crate) fn timed(mut self, event: &str, timeout: u32, body: &str) -> Self {
        let location = format!("{event}.sh");
        self.file(&location, body, 0o755);
        let _ = writeln!(self.hooks, "  {event}:\n    - location: {location}\n      timeout: {timeout}");
        self
    }

    /// Another entry under the last event.
    pub(crate) fn and(mut self, location: &str) -> Self {
        let _ = writeln!(self.hooks, "    - location: {location}");
        self
    }

    /// An event whose script is some other file.
    pub(crate) fn at(mut self, event: &str, location: &str) -> Self {
        let _ = writeln!(self.hooks, "  {event}:\n    - location: {location}");
        self
    }

    /// More of the appspec.
    pub(crate) fn section(mut self, yaml: &str) -> Self {
        self.rest.push_str(yaml);
        self
    }

    pub(crate) fn file(&mut self, name: &str, body: &str, mode: u32) {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a script");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    }

    pub(crate) fn write(self) -> PathBuf {
        self.write_as("appspec.yml")
    }

    pub(crate) fn write_as(self, name: &str) -> PathBuf {
        let hooks = if self.hooks.is_empty() { String::new() } else { format!("hooks:\n{}", self.hooks) };
        let text = format!("version: 0.0\nos: linux\n{}{hooks}", self.rest);
        fs::write(self.dir.join(name), text).expect("the appspec");
        self.dir
    }
}

/// Wait for a condition; it comes soon or the test fails.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The process whose id a hook wrote to a file.
pub(crate) fn pid_in(path: &Path) -> rustix::process::Pid {
    let mut found = None;
    until("a process id", || {
        found = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        found.is_some()
    });
    found.and_then(rustix::process::Pid::from_raw).expect("a process id")
}

/// Whether it runs; a zombie does not.
pub(crate) fn runs(pid: rustix::process::Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// End a process that a hook of this test left behind.
pub(crate) fn end(pid: rustix::process::Pid) {
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
