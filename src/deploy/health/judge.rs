//! The judge: watches a container until the gate has a verdict. Whoever asks whether something is healthy asks here; the
//! questions differ in how long it may take, in what the container may have been through, and in who is listening.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::body::first_words;
use super::gate::{Cut, Gate, Look, Past, Probed, Verdict};
use super::look::{At, Looker};
use super::sight::{Sight, Way};
use crate::deploy::context::{Context, Gathered};
use crate::host::docker::Container;
use crate::model::{Explain as _, Failure, Health, ProcessName};
use crate::signal::Termination;
use crate::text::{amount, clean, duration, folded};

/// How many of a failed container's last lines are shown as evidence.
const EVIDENCE_LINES: usize = 8;

/// How many of them are kept beside the release: the container itself is removed.
const LOG_LINES: usize = 1_000;

/// How long a release that is about to be replaced has to show that it works: it is replaced all the same.
const BEFORE: Duration = Duration::from_secs(3);

/// How a release was that serves, right before it was stopped.
#[derive(Debug, Clone)]
pub struct Before {
    name: String,
    way: Way,
    what: String,
}

/// Why a question was not answered with "healthy".
enum Watched {
    /// The container is not.
    Sick(Sight),
    /// That could not be found out.
    Failed(Failure),
}

impl From<Watched> for Failure {
    fn from(watched: Watched) -> Self {
        match watched {
            Watched::Sick(Sight { what, fix, .. }) => Self { fix, ..Self::verdict(what, vec![]) },
            Watched::Failed(failure) => failure,
        }
    }
}

/// One question.
struct Question<'q> {
    id: &'q str,
    process: &'q ProcessName,
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
    let question =
        Question { id, process, health, at: At::Container, past: Past::Spotless, cut, termination };
    let watched = watch(context, gathered, question).await;
    explained(watched, context, gathered, process, id).await
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
    let question = Question { id, process, health, at: At::Published(&publish), past, cut, termination };
    let watched = watch(context, gathered, question).await;
    explained(watched, context, gathered, process, id).await
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
    let question =
        Question { id, process, health, at: At::Container, past: Past::Unknown, cut: None, termination };
    Ok(watch(context, gathered, question).await?)
}

/// Looks at what serves before it is stopped, and keeps what is wrong with it. Sick or not it is replaced, because the new
/// release may be the remedy; but what is wrong with both need not be the new one's fault.
pub(in crate::deploy) async fn look_before(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    live: &Container,
) -> Result<(), Failure> {
    let sick = if live.running {
        let health = health_of_old(context, process, live)?.at_a_glance(BEFORE);
        let termination = context.termination.clone();
        match watch_old(context, gathered, process, live, health, termination).await {
            Ok(()) => return Ok(()),
            Err(Watched::Sick(sick)) => sick,
            Err(Watched::Failed(failure)) => return Err(failure),
        }
    } else {
        Sight::down("it did not run")
    };
    let name = match &live.labels {
        Some(labels) => format!("{} ({})", live.name, labels.release),
        None => live.name.clone(),
    };
    let note = format!("{name} was not healthy before the switch: {}", sick.what);
    tracing::warn!("{}", clean(&gathered.redactor.redact(&note)));
    gathered.notes.push(gathered.redactor.redact(&note));
    gathered.before.insert(process.clone(), Before { name, way: sick.way, what: sick.what });
    Ok(())
}

/// What is wrong with both releases in the same way is said of both.
fn compared(sick: Sight, process: &ProcessName, gathered: &Gathered) -> Failure {
    match gathered.before.get(process) {
        Some(before) if sick.way == before.way => {
            let what = format!(
                "{}; the release before, {}, failed in the same way right before the switch ({})",
                sick.what, before.name, before.what
            );
            let fix = "look at what both releases need: the database, the cache, their secrets, the network";
            Failure { fix: fix.to_owned(), ..Failure::verdict(what, vec![]) }
        }
        _ => Watched::Sick(sick).into(),
    }
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
    Ok(watch_old(context, gathered, process, live, health, termination).await?)
}

/// A container that served before.
async fn watch_old(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    live: &Container,
    health: Health,
    termination: Termination,
) -> Result<(), Watched> {
    let publish = context.process(process).map_err(Watched::Failed)?.publish.clone();
    // Where a stranger listens inside is not known.
    let at = if live.labels.is_some() { At::Container } else { At::Published(&publish) };
    let question =
        Question { id: &live.id, process, health, at, past: Past::Unknown, cut: None, termination };
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
) -> Result<(), Watched> {
    let Question { id, process, health, at, past, cut, termination } = question;
    let start = Instant::now();
    let started = Timestamp::now();
    let mut looker = Looker::new(context.host, process, &health, at);
    let mut container = context.host.docker.inspect(id).await.ok().flatten();
    let memory = container.as_ref().and_then(|c| c.memory).map(amount);
    let mut gate = Gate::new(health.clone(), past, cut, memory);
    let mut has_remarked = false;
    loop {
        let Some(seen) = termination.unless_requested(looker.look(id)).await else {
            return Err(Watched::Failed(interrupted()));
        };
        let verdict = match seen {
            // An Engine that is restarting says nothing about the container, so it is asked again, while there is time.
            Err(error) if error.is_passing() && start.elapsed() < health.deadline => Verdict::Wait,
            Err(error) => return Err(Watched::Failed(error.into())),
            Ok(mut look) => {
                note(&look, id, gathered);
                if let Ok(Probed::Failed(sight)) = &mut look.state {
                    quote(sight, &mut container, context, gathered);
                }
                gate.judge(start.elapsed(), look)
            }
        };
        match verdict {
            Verdict::Healthy => {
                gathered.outage.healthy(started.saturating_add(gate.since()).unwrap_or(started));
                return Ok(());
            }
            Verdict::Unhealthy(sight) => return Err(Watched::Sick(sight)),
            Verdict::Wait => {}
        }
        // Who only looks whether something serves has no use for it.
        if let Some(remark) = gate.remark().filter(|_| past == Past::Spotless && !has_remarked) {
            has_remarked = true;
            let remark = clean(&gathered.redactor.redact(&format!("{process}: {remark}")));
            tracing::warn!("{remark}");
            context.talk.say(&format!("  ..  {remark}"));
        }
        if termination.unless_requested(tokio::time::sleep(health.interval)).await.is_none() {
            return Err(Watched::Failed(interrupted()));
        }
    }
}

/// What an application says of itself becomes part of what was seen, without what it was given to know.
fn quote(
    sight: &mut Sight,
    container: &mut Option<Container>,
    context: &Context<'_>,
    gathered: &mut Gathered,
) {
    let Some(said) = sight.said.take().filter(|said| !said.is_empty()) else { return };
    if let Some(container) = container.take() {
        gathered.learn_what_it_knows(&container, context);
    }
    let words = first_words(&said, &gathered.redactor);
    if !words.is_empty() {
        sight.what = format!("{}: '{words}'", sight.what);
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
        Ok(Probed::Failed(sight)) if sight.way.is_answer() => gathered.outage.answered(Timestamp::now()),
        Ok(Probed::Failed(_)) | Err(_) => {}
    }
}

/// A verdict with its evidence: what the container printed last, which is kept beside the release, too.
async fn explained(
    watched: Result<(), Watched>,
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
) -> Result<(), Failure> {
    let failure = match watched {
        Err(Watched::Sick(sick)) => compared(sick, process, gathered),
        watched => return Ok(watched?),
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
    let what = format!("container '{name}' is not healthy: {}", failure.what);
    Err(Failure { fix: failure.fix, ..Failure::verdict(what, evidence) })
}
