//! The run lock: one flock per app. It dies with its process, so it is never stale; who holds it is written into it for
//! those who find it taken.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::fs::{Context, FsError};
use crate::release::{AppName, DeploymentId};

/// How often a taken lock is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The held lock. The journal cannot be written without one.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who asks for the lock.
#[derive(Debug, Clone)]
pub struct Who {
    /// The deployment that the process works for; an operator's `recover` works for whichever is there.
    pub deployment: Option<DeploymentId>,
    /// What it was called as: `ApplicationStart`, `deploy`.
    pub command: String,
    /// Whether `CodeDeploy` runs it. `CodeDeploy` runs one deployment of a group at a time, so when it runs a hook for
    /// another one, the former is over for it, whatever its process still does.
    pub hook: bool,
}

/// Who holds the lock, as written in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id, in the namespace of the host.
    pub pid: u32,
    /// Its start, in clock ticks after boot (`/proc/PID/stat`, field 22): a pid alone may be another process's by now.
    pub start_time: u64,
    /// Its executable.
    pub exe: PathBuf,
    /// Its parent when it took the lock: another one by now means that its parent died.
    pub parent: u32,
    /// The deployment that it works for.
    pub deployment: Option<DeploymentId>,
    /// What it was called as.
    pub command: String,
    /// Whether `CodeDeploy` ran it.
    pub hook: bool,
    /// When it took the lock.
    pub since: Timestamp,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("{}", busy(.0.as_deref()))]
    Busy(Option<Box<Holder>>),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FsError),
}

fn busy(holder: Option<&Holder>) -> String {
    match holder {
        Some(h) => format!(
            "another run holds the lock: pid {}, '{}'{}, since {}",
            h.pid,
            h.command,
            h.deployment.as_ref().map(|d| format!(" of deployment {d}")).unwrap_or_default(),
            h.since.strftime("%H:%M:%S UTC"),
        ),
        None => "another run holds the lock".to_owned(),
    }
}

impl Lock {
    /// Takes the lock of `app` in the folder `dir`.
    ///
    /// Where it is taken, a hook asks a holder that is over for `CodeDeploy` to unwind, and waits; an operator is told at
    /// once. `patience` is the longest wait.
    pub async fn take(dir: &Path, app: &AppName, who: &Who, patience: Duration) -> Result<Self, LockError> {
        let path = dir.join(format!("handover-{app}.lock"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .on("open", &path)?;
        let deadline = Instant::now() + patience;
        let parent = std::os::unix::process::parent_id();
        let mut asked = None;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(e) => return Err(std::io::Error::from(e)).on("lock", &path)?,
            }
            let holder = read_holder(&mut file);
            // A hook whose agent died is over itself: whoever holds the lock now is in charge.
            let orphaned = who.hook && std::os::unix::process::parent_id() != parent;
            if orphaned || Instant::now() >= deadline {
                return Err(LockError::Busy(holder.map(Box::new)));
            }
            let to_ask = |h: &Holder| who.hook && asked != Some(h.pid) && h.is_alive() && h.is_over_for(who);
            if let Some(holder) = holder.filter(to_ask) {
                tracing::info!(
                    pid = holder.pid,
                    command = holder.command,
                    "asking the holder of the lock to unwind"
                );
                if holder.ask_to_unwind() {
                    asked = Some(holder.pid);
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        write_holder(&mut file, &Holder::this_process(who)).on("write", &path)?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock of `app` now, if anybody does.
    pub fn holder(dir: &Path, app: &AppName) -> Option<Holder> {
        let mut file = File::open(dir.join(format!("handover-{app}.lock"))).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => read_holder(&mut file),
        }
    }
}

impl Holder {
    fn this_process(who: &Who) -> Self {
        let pid = std::process::id();
        Self {
            pid,
            start_time: start_time(pid).unwrap_or_default(),
            exe: std::env::current_exe().unwrap_or_default(),
            parent: std::os::unix::process::parent_id(),
            deployment: who.deployment.clone(),
            command: who.command.clone(),
            hook: who.hook,
            since: Timestamp::now(),
        }
    }

    /// Whether the process that wrote this still runs: same pid, same start, same executable.
    pub fn is_alive(&self) -> bool {
        let exe = std::fs::read_link(format!("/proc/{}/exe", self.pid)).unwrap_or_default();
        // A bundle that was deleted or replaced under a running hook reads as "PATH (deleted)".
        let exe = exe.to_string_lossy();
        let own = self.exe.to_string_lossy();
        start_time(self.pid) == Some(self.start_time)
            && exe.trim_end_matches(" (deleted)") == own.trim_end_matches(" (deleted)")
    }

    /// Whether nobody waits for this run any more.
    fn is_over_for(&self, who: &Who) -> bool {
        let orphaned = parent_of(self.pid).is_some_and(|parent| parent != self.parent);
        let superseded =
            self.hook && who.hook && who.deployment.is_some() && self.deployment != who.deployment;
        orphaned || superseded
    }

    fn ask_to_unwind(&self) -> bool {
        i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok())
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&serde_json::to_vec(holder)?)
}

/// The fields of `/proc/PID/stat` behind the name, which may itself contain spaces and brackets.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(|field| field.parse().unwrap_or_default()).collect())
}

fn start_time(pid: u32) -> Option<u64> {
    stat(pid)?.get(19).copied()
}

fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.get(1).and_then(|parent| u32::try_from(*parent).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(command: &str, hook: bool, deployment: &str) -> Who {
        Who { deployment: Some(deployment.parse().unwrap()), command: command.to_owned(), hook }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_run_at_a_time_and_the_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let app = "status-page".parse().unwrap();
        let held = Lock::take(dir.path(), &app, &who("deploy", false, "op-1"), Duration::ZERO).await.unwrap();
        let error =
            Lock::take(dir.path(), &app, &who("deploy", false, "op-2"), Duration::ZERO).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&std::process::id().to_string()) && text.contains("op-1"), "{text}");
        assert!(Lock::holder(dir.path(), &app).is_some_and(|h| h.is_alive()));
        drop(held);
        assert_eq!(Lock::holder(dir.path(), &app), None);
        assert!(Lock::take(dir.path(), &app, &who("deploy", false, "op-2"), Duration::ZERO).await.is_ok());
    }

    #[test]
    fn a_pid_that_was_used_again_is_not_the_holder() {
        let mut holder = Holder::this_process(&who("deploy", false, "op-1"));
        assert!(holder.is_alive());
        holder.start_time += 1;
        assert!(!holder.is_alive());
    }
}
