//! The judge: watches a container until the gate has a verdict. Whoever asks whether something is healthy asks here; the
//! questions differ in how long it may take, in what the container may have been through, and in who is listening.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::gate::{Cut, Gate, Look, Past, Probed, Verdict};
use super::look::{At, Looker};
use crate::deploy::context::{Context, Gathered};
use crate::host::docker::Container;
use crate::model::{Explain as _, Failure, Health, ProcessName};
use crate::signal::Termination;
use crate::text::{amount, duration, folded};

/// How many of a failed container's last lines are shown as evidence.
const EVIDENCE_LINES: usize = 8;

/// How many of them are kept beside the release: the container itself is removed.
const LOG_LINES: usize = 1_000;

/// One question.
struct Question<'q> {
    id: &'q str,
    health: Health,
    at: At<'q>,
    past: Past,
    cut: Option<Cut>,
    termination: Termination,
}

/// The trial of a new container, at its own address.
pub(in crate::deploy) async fn trial(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
) -> Result<(), Failure> {
    let (health, cut) = in_time(context, process)?;
    let termination = context.termination.clone();
    let question = Question { id, health, at: At::Container, past: Past::Spotless, cut, termination };
    explained(watch(context, gathered, question).await, context, gathered, process, id).await
}

/// The check of a container that serves, at its published port. It is brought to its end even when this process is asked
/// to stop: after the commit the run goes on.
pub(in crate::deploy) async fn verify(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
    is_new: bool,
) -> Result<(), Failure> {
    let (health, cut) = in_time(context, process)?;
    let publish = context.process(process)?.publish.clone();
    let past = if is_new { Past::Spotless } else { Past::Unknown };
    let termination = if is_new { Termination::never() } else { context.termination.clone() };
    let question = Question { id, health, at: At::Published(&publish), past, cut, termination };
    explained(watch(context, gathered, question).await, context, gathered, process, id).await
}

/// One success, soon.
pub(in crate::deploy) async fn glance(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let health = context.process(process)?.health.clone().at_a_glance(limit);
    let termination = context.termination.clone();
    let question = Question { id, health, at: At::Container, past: Past::Unknown, cut: None, termination };
    watch(context, gathered, question).await
}

/// The gate of a container that was put back: its own release's rule, where its configuration is still there.
pub(in crate::deploy) async fn regate(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    live: &Container,
    hurry: Option<Duration>,
) -> Result<(), Failure> {
    let mut health = health_of_old(context, process, live)?;
    if let Some(left) = context.clock.left(Duration::ZERO) {
        health.deadline = health.deadline.min(left);
    }
    let termination = match hurry {
        Some(_) => Termination::never(),
        None => context.termination.clone(),
    };
    let health = hurry.map_or(health.clone(), |limit| health.at_a_glance(limit));
    let publish = context.process(process)?.publish.clone();
    // Where a stranger listens inside is not known.
    let at = if live.labels.is_some() { At::Container } else { At::Published(&publish) };
    let question = Question { id: &live.id, health, at, past: Past::Unknown, cut: None, termination };
    watch(context, gathered, question).await
}

fn health_of_old(context: &Context<'_>, process: &ProcessName, live: &Container) -> Result<Health, Failure> {
    let now = context.process(process)?;
    let Some(labels) = &live.labels else { return Ok(now.health.clone().with_default_probe(&now.publish)) };
    let its_own = context.releases.config(labels.release).ok().flatten();
    let its_own = its_own.and_then(|config| config.settings.processes.get(process).map(|p| p.health.clone()));
    Ok(its_own.unwrap_or_else(|| now.health.clone()))
}

/// The gate of a process, with a deadline that leaves the time for the way back.
fn in_time(context: &Context<'_>, process: &ProcessName) -> Result<(Health, Option<Cut>), Failure> {
    let settings = context.process(process)?;
    let mut health = settings.health.clone();
    let Some(left) = context.clock.left(context.settings().reserve()) else { return Ok((health, None)) };
    if left < health.shortest() {
        return Err(Failure::with_fix(
            format!(
                "the timeout of {} leaves {} for a gate that takes {}",
                context.command,
                duration(left),
                duration(health.shortest())
            ),
            format!("raise the timeout of {} in appspec.yml", context.command),
        ));
    }
    let cut = (left < health.deadline).then(|| Cut { from: health.deadline, by: context.command.clone() });
    health.deadline = health.deadline.min(left);
    Ok((health, cut))
}

async fn watch(
    context: &Context<'_>,
    gathered: &mut Gathered,
    question: Question<'_>,
) -> Result<(), Failure> {
    let Question { id, health, at, past, cut, termination } = question;
    let start = Instant::now();
    let started = Timestamp::now();
    let mut looker = Looker::new(context.host, &health, at);
    let memory = context.host.docker.inspect(id).await.ok().flatten().and_then(|c| c.memory).map(amount);
    let mut gate = Gate::new(health.clone(), past, cut, memory);
    loop {
        let seen = tokio::select! {
            seen = looker.look(id) => seen,
            () = termination.requested() => return Err(interrupted()),
        };
        let verdict = match seen {
            // An Engine that is restarting says nothing about the container, so it is asked again, while there is time.
            Err(error) if error.is_passing() && start.elapsed() < health.deadline => Verdict::Wait,
            Err(error) => return Err(error.into()),
            Ok(look) => {
                note(&look, id, gathered);
                gate.judge(start.elapsed(), look)
            }
        };
        match verdict {
            Verdict::Healthy => {
                gathered.outage.healthy(started.saturating_add(gate.since()).unwrap_or(started));
                return Ok(());
            }
            Verdict::Unhealthy(why) => return Err(Failure::verdict(why, vec![])),
            Verdict::Wait => {}
        }
        tokio::select! {
            () = tokio::time::sleep(health.interval) => {}
            () = termination.requested() => return Err(interrupted()),
        }
    }
}

fn interrupted() -> Failure {
    Failure::interrupted("waited for the container to be healthy")
}

fn note(look: &Look, id: &str, gathered: &mut Gathered) {
    gathered.judged.insert(id.to_owned());
    match &look.state {
        Ok(Probed::Healthy) => {
            gathered.answered.insert(id.to_owned());
            gathered.outage.answered(Timestamp::now());
        }
        Ok(Probed::Sick(_)) => gathered.outage.answered(Timestamp::now()),
        Ok(Probed::Silent(_)) | Err(_) => {}
    }
}

/// A verdict with its evidence: what the container printed last, which is kept beside the release, too.
async fn explained(
    watched: Result<(), Failure>,
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
) -> Result<(), Failure> {
    let failure = match watched {
        Err(failure) if failure.kind == crate::model::FailureKind::Verdict => failure,
        watched => return watched,
    };
    let docker = &context.host.docker;
    let log = docker.last_lines(id, LOG_LINES).await;
    let mut name = context.new_name(process);
    if let Ok(Some(container)) = docker.inspect(id).await {
        // What it printed may be its own environment, which another process of ours filled in.
        gathered.learn_what_it_knows(&container, context);
        name = container.name;
    }
    context.keep_log(process, &log, &gathered.redactor);
    let folded = folded(&log);
    let evidence = folded[folded.len().saturating_sub(EVIDENCE_LINES)..].to_vec();
    Err(Failure::verdict(format!("container '{name}' is not healthy: {}", failure.what), evidence))
}
