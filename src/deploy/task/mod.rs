//! A task: a command that runs once in a deployment, in a container of its own. Its container is found again by whoever takes
//! an interrupted deployment up, so that it is neither run twice nor cut off for it.

mod attend;
mod exclusive;

use attend::{Ended, Watched, judge, wait};
use exclusive::{Asked, Exclusive};

use super::containers;
use super::context::{Context, Gathered};
use crate::config::settings::Task;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, KILLED, Spec, start};
use crate::journal::{Facts, TaskEnd};
use crate::model::{Failure, ProcessName, container_name};

/// Runs a task, or waits for the one that an earlier process has started, and returns how it ended. Its container stays until
/// that is in the journal: see [`tidy`].
pub(super) async fn run(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
) -> Result<TaskEnd, Failure> {
    let task = context.task(name)?;
    let docker = &context.host.docker;
    let called = container_name::task(&context.header.app, name, context.release());
    let there = match docker.inspect(&called).await? {
        Some(there) => Some(ours(there, context)?),
        None => None,
    };
    let id = match there {
        Some(there) if there.was_started() => {
            gathered.tasks_begun.insert(name.clone(), true);
            match take_up(context, facts, gathered, name, task, &there).await? {
                Taken::Up(mut lock) => {
                    return finish(context, gathered, name, &there.id, task, &mut lock).await;
                }
                Taken::InLine(mut lock) => {
                    // Whoever had the lock has done it, most likely. But ours was at it, too.
                    if is_done(context, facts, gathered, name, task, &mut lock).await? {
                        return Ok(TaskEnd::Done);
                    }
                    docker.remove(&there.id).await?;
                    let id = create(context, facts, gathered, name, called).await?;
                    return finish(context, gathered, name, &id, task, &mut lock).await;
                }
            }
        }
        there => there.map(|there| there.id),
    };
    if id.is_none() && is_done(context, facts, gathered, name, task, &mut None).await? {
        return Ok(TaskEnd::NotNeeded);
    }
    let mut lock = None;
    if let Some(check) = &task.exclusive {
        lock = Some(match exclusive::ask(context, facts, gathered, name, check).await? {
            Asked::Taken(lock) => *lock,
            Asked::Held(line) => line.wait(context, task.timeout).await?,
        });
        // Whoever had the lock has done it, most likely.
        if is_done(context, facts, gathered, name, task, &mut lock).await? {
            return Ok(TaskEnd::NotNeeded);
        }
    }
    let id = match id {
        Some(id) => id,
        None => create(context, facts, gathered, name, called).await?,
    };
    finish(context, gathered, name, &id, task, &mut lock).await
}

/// Removes what is left of a task that has come to its end, which is in the journal by now. Until then its container says how it
/// ended: without it, whoever takes the run up would run it again.
pub(super) async fn tidy(context: &Context<'_>, name: &ProcessName) {
    let docker = &context.host.docker;
    let called = container_name::task(&context.header.app, name, context.release());
    let removed = async {
        match docker.inspect(&called).await? {
            Some(there) if !there.running => docker.remove(&ours(there, context)?.id).await?,
            _ => {}
        }
        Ok::<_, Failure>(())
    };
    if let Err(failure) = removed.await {
        tracing::warn!("the container of task '{name}' stays for now: {failure}");
    }
}

/// Starts a container, unless it was, waits for its end, and says what that means.
async fn finish(
    context: &Context<'_>,
    gathered: &mut Gathered,
    name: &ProcessName,
    id: &str,
    task: &Task,
    lock: &mut Option<Exclusive>,
) -> Result<TaskEnd, Failure> {
    let watched = Watched { id, name, task, is_unless: false };
    let ended = wait(context, gathered, &watched, lock).await?;
    judge(context, gathered, &watched, ended).await?;
    Ok(TaskEnd::Done)
}

/// How it is with a container whose handover is gone.
enum Taken {
    /// It is waited for, with the lock that it needs.
    Up(Option<Exclusive>),
    /// It was killed, because somebody else had its lock. Now it is our turn.
    InLine(Option<Exclusive>),
}

/// Takes up a container that an earlier process has started. Its lock went with that process, and the container has run without
/// it since then: if nobody has taken the lock meanwhile, all is as it was. Otherwise another instance may be at the same, so ours
/// is killed, as it would have been had its lock been lost while we watched.
async fn take_up(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
    task: &Task,
    there: &Container,
) -> Result<Taken, Failure> {
    // One that has ended needs no lock to be read.
    let Some(check) = task.exclusive.as_ref().filter(|_| there.running) else { return Ok(Taken::Up(None)) };
    let line = match exclusive::ask(context, facts, gathered, name, check).await? {
        Asked::Taken(lock) => return Ok(Taken::Up(Some(*lock))),
        Asked::Held(line) => line,
    };
    let docker = &context.host.docker;
    docker.kill(&there.id).await?;
    if docker.exit_code(&there.id).await? != KILLED {
        // It came to its end before that.
        return Ok(Taken::Up(None));
    }
    let why = format!("handover was killed while it ran, and now {} has the lock", line.holder());
    if task.unless.is_none() {
        // Nobody can say whether it may run again.
        let watched = Watched { id: &there.id, name, task, is_unless: false };
        judge(context, gathered, &watched, Ended::Unlocked(why.clone()).into()).await?;
    }
    let note = format!("task '{name}' was killed and waits for its turn: {why}");
    tracing::warn!("{note}");
    gathered.notes.push(note);
    line.wait(context, task.timeout).await.map(|lock| Taken::InLine(Some(lock)))
}

/// A container that has the name of one of this run's.
fn ours(container: Container, context: &Context<'_>) -> Result<Container, Failure> {
    let deployment = container.labels.as_ref().map(|labels| &labels.deployment);
    if deployment == Some(&context.header.deployment) {
        return Ok(container);
    }
    let name = &container.name;
    Err(Failure::with_fix(
        format!("a container that this deployment did not make has the name that it needs, '{name}'"),
        format!("docker rename {name} {name}-old, or remove it"),
    ))
}

async fn create(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
    called: String,
) -> Result<String, Failure> {
    let spec = spec(context, facts, gathered, name, called).await?;
    made(context, &spec, name).await
}

async fn spec(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
    called: String,
) -> Result<Spec, Failure> {
    let secrets = gathered.secrets(context, facts).await?;
    containers::spec_of_run(context, facts, name, &secrets, called, Kind::Task)
}

async fn made(context: &Context<'_>, spec: &Spec, name: &ProcessName) -> Result<String, Failure> {
    context.host.docker.create(spec).await.map_err(|error| start::explained(error, &format!("task.{name}")))
}

/// Whether `unless` says that there is nothing to do. Whatever else it says, the task runs: that tells better what is wrong.
async fn is_done(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    name: &ProcessName,
    task: &Task,
    lock: &mut Option<Exclusive>,
) -> Result<bool, Failure> {
    let Some(unless) = &task.unless else { return Ok(false) };
    let docker = &context.host.docker;
    let called = container_name::unless(&context.header.app, name, context.release());
    if let Some(left) = docker.inspect(&called).await? {
        // One that an earlier process was at: it changes nothing, and is asked again.
        let left = ours(left, context)?;
        docker.kill(&left.id).await?;
        docker.remove(&left.id).await?;
    }
    let mut spec = spec(context, facts, gathered, name, called).await?;
    spec.command = Some(unless.clone());
    let id = made(context, &spec, name).await?;
    let watched = Watched { id: &id, name, task, is_unless: true };
    let ended = wait(context, gathered, &watched, lock).await?;
    let code = ended.code();
    let judged = if code.is_some() { Ok(()) } else { judge(context, gathered, &watched, ended).await };
    docker.remove(&id).await?;
    judged.map(|()| code == Some(0))
}
