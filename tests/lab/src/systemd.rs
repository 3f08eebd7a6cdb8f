//! A real systemd on an instance, for what only it can show: units at a boot, their order, timers, `systemctl`.
//!
//! The instance is the hardware: network card, metadata, power, and the folders that it keeps. In it `systemd-nspawn`
//! boots a Debian or Ubuntu with a Docker Engine of its own in place of the lab's services. Everything that it is made
//! of is in the namespaces of the instance, or in its folder, and goes with them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Pid;
use sha2::{Digest, Sha256};

use crate::instance::{Instance, KEPT};
use crate::wait::wait_until;
use crate::{cgroup, inside, text, tools};

/// Makes the root; the root's name says which text of it did.
const MAKER: &[u8] = include_bytes!("../../../scripts/lab-systemd-root");
/// Starts the first process. Its variables are the root, the name of the control groups, and what is kept.
const START: &str = include_str!("systemd.sh");
/// What an instance keeps and this one has of its own: the units of its packages, and a `/tmp` in memory.
const OWN: [&str; 2] = ["/etc/systemd/system", "/tmp"];
/// How long a boot may take, with everything that is started at it.
const PATIENCE: Duration = Duration::from_secs(90);

/// An instance on which systemd runs. It goes down with the lab.
#[derive(Debug)]
pub struct SystemdInstance {
    instance: Instance,
    /// The way into the instance, and in there `systemd-nspawn`.
    nspawn: Option<Child>,
    /// systemd, as the machine numbers it.
    first: Option<Pid>,
}

impl SystemdInstance {
    /// Boots systemd on this instance. What runs on it is cut off; the folders that it keeps are systemd's from now on.
    pub fn boot(instance: &Instance) -> Result<Self> {
        let mut booted = Self { instance: instance.clone(), nspawn: None, first: None };
        booted.cut()?;
        booted.boot_again()?;
        Ok(booted)
    }

    /// The power fails: everything on the instance is gone when this returns.
    pub fn cut(&mut self) -> Result<()> {
        self.first = None;
        self.instance.cut()?;
        if let Some(mut nspawn) = self.nspawn.take() {
            nspawn.wait()?;
        }
        Ok(())
    }

    /// Switches the power on, and waits until systemd has started everything that a boot starts, and nothing has failed.
    pub fn boot_again(&mut self) -> Result<()> {
        ensure!(self.first.is_none(), "it runs");
        self.instance.boot_without_docker()?;
        let Instance { name, inner, .. } = &self.instance;
        let log = inner.instance_folder(name).join("systemd.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = self.instance.command("sh");
        command.args(["-c", START, "systemd.sh"]).arg(root()?);
        command.arg(format!("{}{name}", cgroup::prefix(&inner.folder)));
        command.args(KEPT.iter().filter(|kept| !OWN.contains(kept)));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let nspawn = self.nspawn.insert(command.spawn()?);
        let mut first = None;
        wait_until("systemd's first process", PATIENCE, || {
            if let Some(status) = nspawn.try_wait()? {
                bail!("systemd-nspawn ended: {status}");
            }
            first = inside::process_of(nspawn).ok().and_then(first_within);
            Ok(first.is_some())
        })
        .with_context(|| text::tail(&log))?;
        self.first = first;
        // Where everybody looks for the instance's Engine, seen from the machine.
        std::os::unix::fs::symlink(self.path("/run/docker.sock")?, self.instance.path("/run/docker.sock"))?;
        self.wait_for_the_boot()
    }

    fn wait_for_the_boot(&self) -> Result<()> {
        let manager = self.path("/run/systemd/private")?;
        wait_until("systemd listens", PATIENCE, || Ok(manager.exists()))?;
        let limit = PATIENCE.as_secs().to_string();
        let state =
            self.command("timeout").args([&limit, "systemctl", "is-system-running", "--wait"]).output()?;
        if state.status.success() {
            return Ok(());
        }
        let why =
            "systemctl --no-pager list-jobs; systemctl --no-pager --failed; journalctl --no-pager -b -n 40";
        let why = self.command("sh").args(["-c", why]).output()?;
        bail!("systemd is {}: {}", text_of(&state.stdout), text_of(&why.stdout));
    }

    /// A command that will run in the system that was booted, with nothing but `PATH` in its environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let first = self.first.map_or(0, |first| first.as_raw_nonzero().get());
        let mut command = Command::new("nsenter");
        command.args(["-t", &first.to_string(), "-m", "-n", "-p", "-u", "-i", "-C", "--"]).arg(program);
        command.env_clear().env("PATH", tools::PATH);
        command
    }

    /// Runs a command, which must succeed; the answer is what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no command")?;
        let done = self.command(program).args(arguments).stdin(Stdio::null()).output()?;
        if !done.status.success() {
            bail!("{words:?}: {}: {}{}", done.status, text_of(&done.stdout), text_of(&done.stderr));
        }
        Ok(text_of(&done.stdout))
    }

    /// A property of a unit, as `systemctl show` prints it.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.run(&["systemctl", "show", "--value", "--property", name, unit])
    }

    /// A file of the system while it runs, as the machine sees it.
    pub fn path(&self, inside: &str) -> Result<PathBuf> {
        let first = self.first.context("systemd does not run")?.as_raw_nonzero();
        Ok(PathBuf::from(format!("/proc/{first}/root{inside}")))
    }
}

impl Drop for SystemdInstance {
    fn drop(&mut self) {
        if let Err(error) = self.cut() {
            eprintln!("{} did not go down: {error:#}", self.instance.name());
        }
    }
}

/// The child that is the first process of namespaces of its own. Before there is one, a helper is the only child.
fn first_within(nspawn: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    let numbers = |pid: u32| -> Option<Vec<String>> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some(line.split_whitespace().map(str::to_owned).collect())
    };
    let depth = numbers(nspawn)?.len();
    let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let first = children.find(|&child| {
        numbers(child)
            .is_some_and(|numbers| numbers.len() > depth && numbers.last().is_some_and(|pid| pid == "1"))
    })?;
    Pid::from_raw(first.cast_signed())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// The root that scripts/lab-setup has made.
fn root() -> Result<PathBuf> {
    let digest: String = Sha256::digest(MAKER).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folders = [tools::target_folder()?, tools::repository().join("target")];
    let roots = folders.map(|folder| folder.join(format!("lab-systemd/rootfs-{digest}")));
    roots
        .into_iter()
        .find(|root| root.is_dir())
        .context("the root with systemd is missing: run scripts/lab-setup")
}
