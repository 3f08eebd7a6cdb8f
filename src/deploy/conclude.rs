//! From a run to its report: plain data, for people and machines.

use std::path::PathBuf;

use super::context::Context;
use super::driver::Run;
use super::serving;
use super::step::{RunTask, Step as _};
use crate::host::docker::Container;
use crate::journal::Direction;
use crate::model::{Failure, FailureKind, ProcessName};
use crate::report::{Outcome, Report, Serving, milliseconds};

/// What there is to report of a run.
pub(super) async fn conclude(run: &Run<'_>, outcome: Outcome) -> Report {
    let history = run.journal.history();
    let (context, gathered) = (&run.context, &run.gathered);
    let failure = match history.direction() {
        Direction::Backward(failure) => Some(failure.clone()),
        Direction::Forward => history.stuck().cloned(),
    };
    let log = failure.as_ref().filter(|failure| is_of_a_container(failure)).and_then(|_| last_log(context));
    let gap = gathered.outage.gap();
    Report {
        app: context.header.app.clone(),
        deployment: context.header.deployment.clone(),
        release: history.facts().unchanged.unwrap_or_else(|| context.release()),
        images: history.facts().images.values().map(ToString::to_string).collect(),
        outcome,
        recovered: false,
        log,
        failure,
        bundle: context.config.bundle.clone(),
        group: context.header.group.clone(),
        serving: serving_now(context).await,
        unhealthy_ms: gap.map(|gap| milliseconds(gap.unhealthy)),
        silent_ms: gap.map(|gap| milliseconds(gap.silent)),
        waited: gathered.waited,
        schema: schema(run),
        left_over: gathered.left_over.clone(),
        notes: gathered.notes.clone(),
        steps: gathered.timings.iter().map(|(step, took)| (step.clone(), milliseconds(*took))).collect(),
    }
}

/// Whether what a container has printed may say more.
fn is_of_a_container(failure: &Failure) -> bool {
    failure.kind == FailureKind::Verdict || !failure.evidence.is_empty()
}

/// What was kept last of what a container of this release printed: those before it had come to a good end.
fn last_log(context: &Context<'_>) -> Option<PathBuf> {
    let logs = context.settings().workloads().map(|(of, _)| context.releases.log(context.release(), of));
    let written = |log: &PathBuf| log.metadata().and_then(|metadata| metadata.modified()).ok();
    logs.filter(|log| log.is_file()).max_by_key(written)
}

/// What a task has done to the schema, which nothing takes back.
fn schema(run: &Run<'_>) -> Option<String> {
    let history = run.journal.history();
    let ended = &history.facts().tasks;
    let moved: Vec<&str> =
        ended.iter().filter(|(_, run)| run.has_moved_schema()).map(|(task, _)| task.as_str()).collect();
    let may_have_run = |name: &ProcessName| {
        let step = RunTask(name.clone()).name();
        // What an earlier process may have begun, and no container tells of, is rather said once too often.
        let nobody_knows = !run.gathered.begun_first.contains(&step);
        history.has_begun(&step) && run.gathered.tasks_begun.get(name).copied().unwrap_or(nobody_knows)
    };
    let cut_off = run
        .context
        .settings()
        .tasks
        .iter()
        .filter(|(name, task)| task.schema && !ended.contains_key(*name) && may_have_run(name));
    let cut_off: Vec<&str> = cut_off.map(|(task, _)| task.as_str()).collect();
    let release = run.context.release();
    match (moved.as_slice(), cut_off.as_slice()) {
        ([], []) => None,
        ([], cut_off) => Some(format!(
            "{} of {release} did not come to its end: what it may have changed of the schema stays",
            cut_off.join(" and ")
        )),
        (moved, _) => Some(format!("moved by {} of {release}, and stays so", moved.join(" and "))),
    }
}

/// What serves now, as far as the Engine can be asked.
async fn serving_now(context: &Context<'_>) -> Vec<Serving> {
    let live = serving::live_of_all(&context.host.docker, context.settings()).await.unwrap_or_default();
    let of = |(process, container): (_, Container)| Serving {
        process,
        picked_ports: container.picked_ports(),
        container: container.name,
        release: container.labels.map(|labels| labels.release),
        running: container.running,
    };
    live.into_iter().map(of).collect()
}
