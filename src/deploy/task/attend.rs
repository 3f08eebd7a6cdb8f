//! The wait for a task's container, and what its end means.

use std::cell::Cell;
use std::time::Duration;

use super::exclusive::Exclusive;
use crate::config::settings::{Task, UNPROVEN_STOP};
use crate::deploy::clock::TO_END;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::evidence::printed;
use crate::deploy::undo::stop_or_kill;
use crate::host::docker::{Container, KILLED, start};
use crate::host::machine::Machine;
use crate::model::{Failure, ProcessName};
use crate::text::{duration, out_of_memory};

/// The least time of a hook in which a task is begun: what is stopped half-way has changed something, most likely.
const LEAST: Duration = Duration::from_secs(5);

/// How often the kernel's count of what it has killed is read: it goes with the container.
const COUNTED: Duration = Duration::from_millis(100);

/// What is waited for.
pub(super) struct Watched<'w> {
    /// The container.
    pub(super) id: &'w str,
    /// Whose it is.
    pub(super) name: &'w ProcessName,
    /// What is said of the task.
    pub(super) task: &'w Task,
    /// Whether it is only its `unless`, which changes nothing.
    pub(super) is_unless: bool,
}

impl Watched<'_> {
    /// What it is, for people.
    fn what(&self) -> String {
        let name = self.name;
        if self.is_unless { format!("'unless' of task '{name}'") } else { format!("task '{name}'") }
    }
}

/// How the wait for a task ended.
pub(super) enum Ended {
    /// With this exit code.
    Exited(i64),
    /// It took all the time that it may.
    TooLong,
    /// It took all the time that the hook had for it.
    NoTime(Duration),
    /// This process was asked to stop.
    Interrupted,
    /// The fleet's lock was lost, for this reason.
    Unlocked(String),
}

/// An end, and what the kernel has killed until then.
pub(super) struct End {
    how: Ended,
    oom_kills: u64,
}

impl End {
    /// The exit code, if it came to that.
    pub(super) fn code(&self) -> Option<i64> {
        match self.how {
            Ended::Exited(code) => Some(code),
            _ => None,
        }
    }
}

impl From<Ended> for End {
    fn from(how: Ended) -> Self {
        Self { how, oom_kills: 0 }
    }
}

/// Starts a container, unless it was, and waits for its end. One that does not end in time is stopped. How long one runs that an
/// earlier process has started, the kernel knows.
pub(super) async fn wait(
    context: &Context<'_>,
    gathered: &mut Gathered,
    watched: &Watched<'_>,
    lock: &mut Option<Exclusive>,
) -> Result<End, Failure> {
    let (docker, machine) = (&context.host.docker, &context.host.machine);
    let Watched { id, task, .. } = watched;
    let stop = task.workload.stop_timeout.min(UNPROVEN_STOP);
    let there = docker.inspect(id).await?.filter(Container::was_started);
    let pid = match there {
        // Whatever the time is, how it ended can be read.
        Some(there) if !there.running => return Ok(Ended::Exited(docker.exit_code(id).await?).into()),
        Some(there) => there.pid,
        None => {
            begin(context, gathered, watched, stop, lock).await?;
            docker.inspect(id).await?.and_then(|there| there.pid)
        }
    };
    let age = pid.and_then(|pid| machine.age(pid)).unwrap_or_default();
    let own = task.timeout.saturating_sub(age);
    let left = context.clock.left(stop.saturating_add(TO_END));
    let late = match left {
        Some(left) if left < own => Ended::NoTime(left),
        _ => Ended::TooLong,
    };
    let killed = Cell::new(0);
    let how = tokio::select! {
        code = docker.exit_code(id) => Ended::Exited(code?),
        () = tokio::time::sleep(left.map_or(own, |left| left.min(own))) => late,
        () = context.termination.requested() => Ended::Interrupted,
        why = lost(lock) => Ended::Unlocked(why),
        () = count(machine, pid, &killed) => unreachable!("it counts for ever"),
    };
    match how {
        Ended::Exited(_) => {}
        // Another instance may be at it by now.
        Ended::Unlocked(_) => docker.kill(id).await?,
        _ => stop_or_kill(docker, id, stop, &context.termination).await?,
    }
    Ok(End { how, oom_kills: killed.get() })
}

/// Starts a container, if there is time for it, and nobody else has the lock.
async fn begin(
    context: &Context<'_>,
    gathered: &mut Gathered,
    watched: &Watched<'_>,
    stop: Duration,
    lock: &mut Option<Exclusive>,
) -> Result<(), Failure> {
    let Watched { id, name, task, is_unless } = watched;
    let left = context.clock.left(stop.saturating_add(TO_END));
    if let Some(left) = left.filter(|left| *left < LEAST.min(task.timeout)) {
        return Err(Failure::with_fix(
            format!(
                "{} was not begun: {} had {} left for it",
                watched.what(),
                context.command,
                duration(left)
            ),
            more_time(context, task),
        ));
    }
    if let Some(lock) = lock {
        lock.is_held().await?;
    }
    if !is_unless {
        gathered.tasks_begun.insert((*name).clone(), true);
    }
    context.host.docker.start(id).await.map_err(|error| start::explained(error, &format!("task.{name}")))
}

/// Why the lock was lost; one that there is not is never lost.
async fn lost(lock: &mut Option<Exclusive>) -> String {
    match lock {
        Some(lock) => lock.lost().await,
        None => std::future::pending().await,
    }
}

/// Keeps what the kernel counts of a container: how often its memory was the reason for a kill, be it of a child.
async fn count(machine: &Machine, pid: Option<u32>, killed: &Cell<u64>) {
    let Some(pid) = pid else { return std::future::pending().await };
    loop {
        if let Some(kills) = machine.oom_kills(pid) {
            killed.set(killed.get().max(kills));
        }
        tokio::time::sleep(COUNTED).await;
    }
}

/// What the end of a task means, with what it printed.
pub(super) async fn judge(
    context: &Context<'_>,
    gathered: &mut Gathered,
    watched: &Watched<'_>,
    End { how, oom_kills }: End,
) -> Result<(), Failure> {
    let Watched { id, name, task, .. } = watched;
    let what = watched.what();
    let container = context.host.docker.inspect(id).await?;
    let evidence = printed(context, gathered, name, id).await.evidence;
    let is_oom = container.is_some_and(|container| container.oom_killed);
    let limit = task.workload.memory.and_then(|memory| u64::try_from(memory.0).ok());
    let memory = || out_of_memory(oom_kills.max(1), limit);
    let raise = || format!("raise memory in [task.{name}]");
    let failure = match how {
        Ended::Exited(0) => return Ok(()),
        Ended::Interrupted => return Err(Failure::interrupted(&format!("waited for {what}"))),
        Ended::Exited(KILLED) if is_oom || oom_kills > 0 => {
            Failure::with_fix(format!("{what} was killed: {}", memory()), raise())
        }
        Ended::Exited(code) if is_oom || oom_kills > 0 => {
            Failure::with_fix(format!("{what} failed (exit code {code}): {}", memory()), raise())
        }
        Ended::Exited(KILLED) => Failure::because(format!("{what} was killed (exit code {KILLED})")),
        Ended::Exited(code) => Failure::because(format!("{what} failed (exit code {code})")),
        Ended::NoTime(time) => Failure::with_fix(
            format!(
                "{what} did not end within the {} that {} had left for it",
                duration(time),
                context.command
            ),
            more_time(context, task),
        ),
        Ended::TooLong => Failure::with_fix(
            format!("{what} did not end within {}", duration(task.timeout)),
            format!("raise timeout in [task.{name}], or look what it waits for"),
        ),
        Ended::Unlocked(why) => Failure::with_fix(
            format!("{what} was killed, because its lock was lost: {why}"),
            "look how far it came, then deploy again",
        ),
    };
    Err(Failure { evidence, ..failure })
}

/// Where a hook has no time for a task.
fn more_time(context: &Context<'_>, task: &Task) -> String {
    format!(
        "raise the timeout of {} in appspec.yml: the task may take {}",
        context.command,
        duration(task.timeout)
    )
}
