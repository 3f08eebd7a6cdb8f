//! The run lock: one flock per app. It dies with its process, so it is never stale; who holds it is written into it for
//! those who find it taken.
//!
//! Its folder is root's alone: whoever can open the file can hold the lock for ever, and whoever can replace it decides
//! what root truncates, and which process it asks to stop.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde::{Deserialize, Serialize};

use crate::fs::{Context, FsError};
use crate::model::{AppName, DeploymentId, Explain};

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
    /// Others could get at the lock, or it is something else.
    #[error("the run lock cannot be trusted: '{}' {what}", path.display())]
    Unsafe {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FsError),
}

impl Explain for LockError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::Unsafe { fix, .. } => Some(fix.clone()),
            Self::File(error) => error.fix(),
            Self::Busy(_) => None,
        }
    }
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
        make_folder(dir)?;
        let path = file_of(dir, app);
        let deadline = Instant::now() + patience;
        let parent = std::os::unix::process::parent_id();
        let mut asked = None;
        let mut file = loop {
            // Opened anew each time: the one that was waited for may have been removed meanwhile.
            let mut file =
                open(&path, OpenOptions::new().create(true).truncate(false).read(true).write(true))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, &path) => break file,
                Ok(()) => continue,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(e) => return Err(io::Error::from(e)).on("lock", &path)?,
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
        };
        write_holder(&mut file, &Holder::this_process(who)).on("write", &path)?;
        Ok(Self { _file: file })
    }

    /// Those of several apps, for what is about all of them.
    pub async fn take_all(
        dir: &Path,
        apps: &[AppName],
        who: &Who,
        patience: Duration,
    ) -> Result<Vec<Self>, LockError> {
        let mut locks = vec![];
        for app in apps {
            locks.push(Self::take(dir, app, who, patience).await?);
        }
        Ok(locks)
    }

    /// Who holds the lock of `app` now, if anybody does.
    pub fn holder(dir: &Path, app: &AppName) -> Option<Holder> {
        check_folder(dir).ok()?;
        let path = file_of(dir, app);
        let mut file = open(&path, OpenOptions::new().read(true)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => read_holder(&mut file).filter(|_| is_at(&file, &path)),
        }
    }
}

fn file_of(dir: &Path, app: &AppName) -> PathBuf {
    dir.join(format!("{app}.lock"))
}

/// Makes the folder of the locks, and sees that nobody else can put anything into it.
fn make_folder(dir: &Path) -> Result<(), LockError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e).on("create", dir)?,
        _ => check_folder(dir),
    }
}

fn check_folder(dir: &Path) -> Result<(), LockError> {
    let found = dir.symlink_metadata().on("look at", dir)?;
    let (own, place) = (geteuid().as_raw(), dir.display());
    let wrong = |what: String, fix: String| Err(LockError::Unsafe { path: dir.to_owned(), what, fix });
    if !found.is_dir() {
        return wrong("is not a folder".to_owned(), format!("remove it: rm '{place}'"));
    }
    if found.uid() != own {
        let what = format!("belongs to user {}, not to {own}", found.uid());
        return wrong(what, format!("make it this user's: chown {own} '{place}'"));
    }
    match found.permissions().mode() & 0o7777 {
        mode if mode & 0o022 != 0 => {
            wrong(format!("can be written to by others (mode {mode:04o})"), format!("chmod 700 '{place}'"))
        }
        _ => Ok(()),
    }
}

/// Opens the file itself, never what a link points to.
fn open(path: &Path, how: &mut OpenOptions) -> Result<File, LockError> {
    // Without NONBLOCK the opening of a pipe waits for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = how.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path);
    let is_file = match &file {
        Ok(file) => file.metadata().on("look at", path)?.is_file(),
        Err(_) => path.symlink_metadata().map_or(true, |found| found.is_file()),
    };
    if is_file {
        return Ok(file.on("open", path)?);
    }
    let fix = format!("remove it: rm -r '{}'", path.display());
    Err(LockError::Unsafe { path: path.to_owned(), what: "is not a file".to_owned(), fix })
}

/// Whether this file is still the one at its place: a lock on one that was removed keeps nobody out.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |found: &std::fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), path.symlink_metadata()), (Ok(held), Ok(there)) if id(&held) == id(&there))
}

/// The command of a run that gives way to every hook.
pub const GIVES_WAY: &str = "refresh";

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
        // Nobody has asked for it now: it gives way, and is made another time.
        let gives_way = who.hook && !self.hook && self.command == GIVES_WAY;
        orphaned || superseded || gives_way
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

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
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

    /// What is said when the lock of `app` cannot be had in `dir`.
    async fn refusal(dir: &Path) -> String {
        let app = "status-page".parse().unwrap();
        let taken = Lock::take(dir, &app, &who("deploy", false, "op-1"), Duration::ZERO).await;
        assert_eq!(Lock::holder(dir, &app), None);
        crate::model::Finding::of(&taken.unwrap_err()).to_string()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_folder_is_made_for_nobody_else() {
        let root = tempfile::tempdir().unwrap();
        let (dir, app) = (root.path().join("handover"), "status-page".parse().unwrap());
        let _held = Lock::take(&dir, &app, &who("deploy", false, "op-1"), Duration::ZERO).await.unwrap();
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let file = dir.join("status-page.lock").metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_folder_that_others_can_write_to_or_that_is_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (dir, link) = (root.path().join("open"), root.path().join("link"));
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        for mode in [0o777, 0o1777, 0o770] {
            std::fs::set_permissions(&dir, PermissionsExt::from_mode(mode)).unwrap();
            let text = refusal(&dir).await;
            assert!(text.contains(dir.to_str().unwrap()) && text.contains("chmod 700"), "{text}");
        }
        let text = refusal(&link).await;
        assert!(text.contains("is not a folder") && text.contains("rm '"), "{text}");
        // Not this user's: the root folder is root's, and root itself may find one of another user.
        let foreign = if geteuid().is_root() {
            std::os::unix::fs::chown(&dir, Some(1), None).unwrap();
            &dir
        } else {
            Path::new("/")
        };
        let text = refusal(foreign).await;
        assert!(text.contains("belongs to user") && text.contains("chown"), "{text}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_but_a_file_is_opened_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("status-page.lock"));
        std::fs::copy("/proc/self/cmdline", &victim).unwrap();
        let before = std::fs::read(&victim).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let text = refusal(dir.path()).await;
        assert!(text.contains("status-page.lock' is not a file"), "{text}");
        assert_eq!(std::fs::read(&victim).unwrap(), before);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let text = refusal(dir.path()).await;
        assert!(text.contains("is not a file"), "{text}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_that_was_removed_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (path, app) = (dir.path().join("status-page.lock"), "status-page".parse().unwrap());
        let held = Lock::take(dir.path(), &app, &who("deploy", false, "op-1"), Duration::ZERO).await.unwrap();
        let opened = open(&path, OpenOptions::new().read(true)).unwrap();
        assert!(is_at(&opened, &path));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&opened, &path));
        assert!(Lock::take(dir.path(), &app, &who("deploy", false, "op-2"), Duration::ZERO).await.is_ok());
        assert!(!is_at(&opened, &path));
        drop(held);
    }

    #[test]
    fn a_refresh_gives_way_to_a_hook_and_nobody_elses_run_does() {
        let holder = |command| Holder::this_process(&who(command, false, "op-1"));
        let (hook, operator) = (who("ApplicationStart", true, "d-2"), who("deploy", false, "op-2"));
        assert!(holder(GIVES_WAY).is_over_for(&hook));
        assert!(!holder(GIVES_WAY).is_over_for(&operator));
        assert!(!holder("deploy").is_over_for(&hook) && !holder("rollback").is_over_for(&hook));
    }

    #[test]
    fn a_pid_that_was_used_again_is_not_the_holder() {
        let mut holder = Holder::this_process(&who("deploy", false, "op-1"));
        assert!(holder.is_alive());
        holder.start_time += 1;
        assert!(!holder.is_alive());
    }
}
