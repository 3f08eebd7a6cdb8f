//! The judge: watches a container until the gate has a verdict. Whoever asks whether something is healthy asks here; the
//! questions differ in how long it may take, in what the container may have been through, and in who is listening.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::body::first_words;
use super::gate::{Cut, Gate, Look, Past, Probed, Verdict};
use super::look::{At, Looker};
use super::sight::{Sight, Way};
use crate::deploy::clock::TO_END;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::evidence::{Printed, advice, printed};
use crate::host::docker::Container;
use crate::model::{Explain as _, Failure, Health, Probe, ProcessName};
use crate::signal::Termination;
use crate::text::{clean, duration};

/// How long a release that is about to be replaced has to show that it works: it is replaced all the same.
const BEFORE: Duration = Duration::from_secs(3);

/// How long what was put back has to answer when there is no time: a process that was sent SIGTERM has about two seconds before
/// it may be killed (`CodeDeploy`'s agents).
pub(in crate::deploy) const HASTY: Duration = Duration::from_secs(1);

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
    explained(context, gathered, question).await
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
    explained(context, gathered, question).await
}

/// A server beside the app: one that was just started has to pass its whole gate, one that ran before to answer once.
pub(in crate::deploy) async fn service(
    context: &Context<'_>,
    gathered: &mut Gathered,
    name: &ProcessName,
    id: &str,
    is_new: bool,
) -> Result<(), Failure> {
    let health = context.service(name)?.health.clone();
    let deadline = health.deadline;
    let health = if is_new { health } else { health.at_a_glance(deadline) };
    // Live is not touched yet: there is no way back that needs time.
    let (health, cut) = fit(health, context.clock.left(TO_END), context)?;
    let termination = context.termination.clone();
    let question =
        Question { id, process: name, health, at: At::Container, past: Past::Unknown, cut, termination };
    explained(context, gathered, question).await
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

/// One success of a container that was put back, while another one still serves for it. Asked to stop ourselves, it has a
/// moment: the other one goes on serving.
pub(in crate::deploy) async fn serves_again(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    live: &Container,
) -> Result<(), Failure> {
    let health = health_of_old(context, process, live)?;
    let longest = if context.termination.is_requested() { HASTY } else { health.deadline };
    let longest = longest.min(context.clock.left(Duration::ZERO).unwrap_or(Duration::MAX));
    let health = health.at_a_glance(longest);
    let watched = watch_old(context, gathered, process, live, health, Termination::never()).await;
    // It is asked again by whoever comes next, and not within this call.
    watched.map_err(|watched| {
        let failure = Failure::from(watched);
        let what =
            format!("{} does not serve yet, so clients stay with the candidate: {}", live.name, failure.what);
        Failure { what, ..failure }
    })
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
    let publish = match context.process(process) {
        Ok(its) => its.publish.clone(),
        // The configuration does not name it any more: it is ours, and has an address of its own.
        Err(_) => vec![],
    };
    // Where a stranger listens inside is not known.
    let at = if live.labels.is_some() { At::Container } else { At::Published(&publish) };
    let question =
        Question { id: &live.id, process, health, at, past: Past::Unknown, cut: None, termination };
    watch(context, gathered, question).await
}

fn health_of_old(context: &Context<'_>, process: &ProcessName, live: &Container) -> Result<Health, Failure> {
    let now = context.process(process);
    let Some(labels) = &live.labels else {
        let now = now?;
        return Ok(now.health.clone().with_default_probe(&now.publish));
    };
    let its_own = context.releases.config(labels.release).ok().flatten();
    let its_own = its_own.and_then(|config| config.settings.processes.get(process).map(|p| p.health.clone()));
    // Of one that the configuration does not name any more, and whose own is lost, all that can be asked is that it runs.
    Ok(its_own.or_else(|| Some(now.ok()?.health.clone())).unwrap_or_else(|| Health::new(Probe::Running)))
}

/// The gate of a process, with a deadline that leaves the time for the way back.
fn in_time(context: &Context<'_>, process: &ProcessName) -> Result<(Health, Option<Cut>), Failure> {
    fit(context.process(process)?.health.clone(), context.clock.left(context.settings().reserve()), context)
}

/// A gate with a deadline that keeps to the time which is left, if there is a limit.
fn fit(
    mut health: Health,
    left: Option<Duration>,
    context: &Context<'_>,
) -> Result<(Health, Option<Cut>), Failure> {
    let Some(left) = left else { return Ok((health, None)) };
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
    let memory = container.as_ref().and_then(|c| c.memory);
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

/// The answer; a verdict with its evidence: what the container printed last, which is kept beside the release, too.
async fn explained(
    context: &Context<'_>,
    gathered: &mut Gathered,
    question: Question<'_>,
) -> Result<(), Failure> {
    let Question { id, process, .. } = question;
    match watch(context, gathered, question).await {
        Err(Watched::Sick(sick)) => Err(explain(context, gathered, process, id, sick).await),
        watched => Ok(watched?),
    }
}

/// The verdict on a container that is not healthy.
pub(super) async fn explain(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    id: &str,
    sick: Sight,
) -> Failure {
    let failure = compared(sick, process, gathered);
    let Printed { name, evidence } = printed(context, gathered, process, id).await;
    let name = name.unwrap_or_else(|| context.new_name(process));
    let what = format!("container '{name}' is not healthy: {}", failure.what);
    let processes: Vec<&str> = context.settings().processes.keys().map(ProcessName::as_str).collect();
    let fix =
        advice(process, &evidence, &processes).filter(|_| failure.fix.is_empty()).unwrap_or(failure.fix);
    Failure { fix, ..Failure::verdict(what, evidence) }
}
