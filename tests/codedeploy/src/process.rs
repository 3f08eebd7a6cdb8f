//! One script as a process: its group, its pipes, its deadline and its end.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::agent::Version;
use crate::reader::{End, Reader};
use crate::script_log::ScriptLog;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The script's `timeout:`.
    pub(crate) timeout: Duration,
    /// v2: between TERM and KILL, and again for the reaping.
    pub(crate) grace: Duration,
    /// v1 waits for ever after TERM; a simulation need not.
    pub(crate) hang: Option<Duration>,
}

/// What the agent saw.
#[derive(Debug)]
pub(crate) enum Outcome {
    NotStarted(io::Error),
    Ended(ExitStatus),
    TimedOut { hung: bool },
    LeftOpen(&'static str),
    ReaderDied,
}

/// Run `command`, whose program, arguments, environment and directory are set.
pub(crate) fn run(
    version: Version,
    mut command: Command,
    limits: Limits,
    log: &Arc<Mutex<ScriptLog>>,
) -> Outcome {
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(match version {
        Version::V1 => Stdio::piped(),
        Version::V2 => Stdio::null(),
    });
    match spawn(&mut command).and_then(|child| watch(version, child, limits, log)) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::NotStarted(error),
    }
}

/// Start it. While another thread of ours forks, its child shortly holds the copy of the bundle that we have just
/// written open for writing, and the kernel calls the file busy; nothing in the agent's rules depends on that.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                thread::yield_now();
            }
            result => return result,
        }
    }
}

fn watch(
    version: Version,
    mut child: Child,
    limits: Limits,
    log: &Arc<Mutex<ScriptLog>>,
) -> io::Result<Outcome> {
    // v1's is a pipe that is closed at once.
    drop(child.stdin.take());
    let group = Pid::from_child(&child);
    let (cancelled, cancel) = io::pipe()?;
    let mut readers = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        readers.push(Reader::start(version, "[stdout]", pipe, cancelled.try_clone()?, Arc::clone(log)));
    }
    if let Some(pipe) = child.stderr.take() {
        readers.push(Reader::start(version, "[stderr]", pipe, cancelled, Arc::clone(log)));
    }
    let exit = wait_in_thread(child);
    let deadline = Deadline::new(version, limits.timeout);

    let outcome = if let Ok(status) = exit.recv_timeout(deadline.remaining()) {
        outputs(version, status?, &readers, &deadline)
    } else {
        let _ = kill_process_group(group, Signal::TERM);
        match version {
            Version::V1 => {
                // popen3's ensure: first the pipes are closed, so that whatever the hook still writes fails; then
                // the process is joined without a limit (contract 1.6).
                drop(cancel);
                readers.into_iter().for_each(Reader::join);
                return Ok(Outcome::TimedOut { hung: !joined(&exit, group, limits.hang) });
            }
            Version::V2 => {
                if exit.recv_timeout(limits.grace).is_err() {
                    let _ = kill_process_group(group, Signal::KILL);
                    let _ = exit.recv_timeout(limits.grace);
                }
                Outcome::TimedOut { hung: false }
            }
        }
    };
    drop(cancel);
    readers.into_iter().for_each(Reader::join);
    Ok(outcome)
}

/// The process is gone; whoever holds its outputs may still be there (contract 1.5). The same deadline holds.
fn outputs(version: Version, status: ExitStatus, readers: &[Reader], deadline: &Deadline) -> Outcome {
    for (reader, name) in readers.iter().zip(["STDOUT", "STDERR"]) {
        match reader.end.recv_timeout(deadline.remaining()) {
            Ok(End::Eof) => {}
            Ok(End::InvalidByte) => return Outcome::ReaderDied,
            // v2 says STDOUT for both.
            Err(_) => return Outcome::LeftOpen(if version == Version::V1 { name } else { "STDOUT" }),
        }
    }
    Outcome::Ended(status)
}

fn wait_in_thread(mut child: Child) -> Receiver<io::Result<ExitStatus>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait()));
    receiver
}

/// Whether the process ended within the simulator's own limit; if not, it is killed.
fn joined(exit: &Receiver<io::Result<ExitStatus>>, group: Pid, limit: Option<Duration>) -> bool {
    let Some(limit) = limit else { return exit.recv().is_ok() };
    if exit.recv_timeout(limit).is_ok() {
        return true;
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = exit.recv();
    false
}

/// One for the exit and both ends of file.
enum Deadline {
    /// v1: whole seconds of the wall clock, so a step of NTP moves it (contract 1.6).
    Wall(u64),
    Monotonic(Instant),
}

impl Deadline {
    fn new(version: Version, timeout: Duration) -> Self {
        match version {
            Version::V1 => Self::Wall(whole_seconds() + timeout.as_secs()),
            Version::V2 => Self::Monotonic(Instant::now() + timeout),
        }
    }

    fn remaining(&self) -> Duration {
        match self {
            Self::Wall(end) => Duration::from_secs(end.saturating_sub(whole_seconds())),
            Self::Monotonic(end) => end.saturating_duration_since(Instant::now()),
        }
    }
}

fn whole_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Exit code or signal.
pub(crate) fn code_and_signal(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code(), status.signal())
}
