//! A set of namespaces (mount, network, pid, uts, ipc), seen from outside.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::control::{Answer, Ask, ask};
use crate::spec::{CONTROL, Spec};
use crate::wait::wait_until;
use crate::{text, tools};

/// How long the first process may take to come up, and to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running (or cut) set of namespaces.
#[derive(Debug)]
pub(crate) struct Namespace {
    folder: PathBuf,
    /// The first process, and when it started: with that, it is only ever this one.
    first: Option<(Pid, String)>,
    /// `unshare`, if this process started it. Its standard input keeps the namespaces up.
    outer: Option<Child>,
}

impl Namespace {
    /// Starts the first process of new namespaces; what it is to make of them is in `spec`.
    pub(crate) fn start(folder: &Path, spec: &Spec) -> Result<Self> {
        fs::create_dir_all(folder.join("run"))?;
        let plan = folder.join("plan.json");
        spec.write(&plan)?;
        let log = File::options().create(true).append(true).open(folder.join("init.log"))?;
        let mut outer = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "--",
            ])
            .arg(tools::lab_binary()?)
            .arg("init")
            .arg(&plan)
            .env_clear()
            .env("PATH", tools::PATH)
            .stdin(if spec.tied { Stdio::piped() } else { Stdio::null() })
            .stdout(log.try_clone()?)
            .stderr(log)
            // Of its own, so that an interrupt from the terminal ends the tests, and they end the lab.
            .process_group(0)
            .spawn()
            .context("cannot start unshare")?;
        let mut inner = None;
        let parent = outer.id();
        wait_until("the first process of the namespaces", PATIENCE, || {
            if let Some(status) = outer.try_wait()? {
                bail!("unshare: {status}; {}", text::tail(&folder.join("init.log")));
            }
            inner = only_child(parent);
            Ok(inner.is_some())
        })?;
        let pid = inner.context("no first process")?;
        let started = start_time(pid).with_context(|| {
            format!("the first process ended at once: {}", text::tail(&folder.join("init.log")))
        })?;
        fs::write(folder.join("pid"), format!("{} {started}", pid.as_raw_nonzero()))?;
        Ok(Self { folder: folder.to_owned(), first: Some((pid, started)), outer: Some(outer) })
    }

    /// Finds the namespaces that another process started, running or not.
    pub(crate) fn attach(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), first: recorded(folder), outer: None }
    }

    /// The same namespaces, to ask things of. Waiting for an answer must not keep others from cutting the power.
    pub(crate) fn look(&self) -> Self {
        Self { folder: self.folder.clone(), first: self.first.clone(), outer: None }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.pid().is_ok()
    }

    /// The first process, as the machine numbers it.
    pub(crate) fn pid(&self) -> Result<Pid> {
        let running = self.first.as_ref().filter(|(pid, started)| start_time(*pid).as_ref() == Some(started));
        Ok(running.with_context(|| format!("{} is down", self.folder.display()))?.0)
    }

    /// A path of the namespaces' own file system, as the machine sees it while they are up.
    pub(crate) fn path(&self, inside: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{inside}", self.pid()?.as_raw_nonzero())))
    }

    /// Waits until the first process can be asked for something: mounts and network are made then.
    pub(crate) fn listens(&self) -> Result<PathBuf> {
        let socket = self.path(CONTROL)?;
        wait_until("the first process listens", PATIENCE, || {
            if start_time(self.pid()?).is_none() {
                bail!("the first process ended: {}", text::tail(&self.folder.join("init.log")));
            }
            Ok(socket.exists())
        })?;
        Ok(socket)
    }

    /// Asks the first process for something, and waits for it.
    pub(crate) fn ask(&self, what: &Ask) -> Result<Answer> {
        let socket = self.listens()?;
        ask(&socket, what).with_context(|| {
            format!("{}: {}", self.folder.display(), text::tail(&self.folder.join("init.log")))
        })
    }

    /// A command that will run inside: all namespaces, and nothing of this process's environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.pid().map_or(0, |pid| pid.as_raw_nonzero().get());
        command.args(["-t", &pid.to_string(), "-m", "-n", "-p", "-u", "-i", "--"]).arg(program);
        command.env_clear().env("PATH", tools::PATH);
        command
    }

    /// Gives `ip` these commands in this network. The process is the machine's otherwise: it can name other networks
    /// by their pids.
    pub(crate) fn ip(&self, commands: &[String]) -> Result<()> {
        for command in commands {
            let done = Command::new("nsenter")
                .args(["-t", &self.pid()?.as_raw_nonzero().to_string(), "-n", "--", "ip"])
                .args(command.split_whitespace())
                .output()?;
            if !done.status.success() {
                bail!("ip {command}: {}", String::from_utf8_lossy(&done.stderr).trim());
            }
        }
        Ok(())
    }

    /// Kills the first process, and with it everything; returns when all of it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Ok(pid) = self.pid() {
            kill_and_wait(pid)?;
        }
        self.first = None;
        if let Some(mut outer) = self.outer.take() {
            drop(outer.stdin.take());
            outer.wait()?;
        }
        let _ = fs::remove_file(self.folder.join("pid"));
        Ok(())
    }
}

impl Drop for Namespace {
    /// Standard input was what kept it up; what is left is to take note of its end.
    fn drop(&mut self) {
        if let Some(mut outer) = self.outer.take()
            && outer.stdin.take().is_some()
        {
            let _ = outer.wait();
        }
    }
}

/// Kills the first process that is recorded in this folder, if it is still there.
pub(crate) fn kill_recorded(folder: &Path) -> Result<()> {
    recorded(folder).map_or(Ok(()), |(pid, _)| kill_and_wait(pid))
}

fn kill_and_wait(pid: Pid) -> Result<()> {
    // A process is only reported as ended by its pidfd when all others of its pid namespace are gone.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    match kill_process(pid, Signal::KILL) {
        Ok(()) => {}
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let mut waited = [PollFd::new(&handle, PollFlags::IN)];
    if poll(&mut waited, Some(&patience))? == 0 {
        bail!("process {} does not end", pid.as_raw_nonzero());
    }
    Ok(())
}

/// The process that a folder's record names, if it is still that very process.
fn recorded(folder: &Path) -> Option<(Pid, String)> {
    let text = fs::read_to_string(folder.join("pid")).ok()?;
    let (pid, started) = text.split_once(' ')?;
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    (start_time(pid)? == started).then(|| (pid, started.to_owned()))
}

/// When a process was started, in the kernel's ticks: with the pid it names one process for good. None for one that
/// has ended, also when its parent has not noticed yet.
fn start_time(pid: Pid) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// The one child of a process.
pub(crate) fn only_child(parent: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}
