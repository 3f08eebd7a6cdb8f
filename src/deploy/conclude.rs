//! From a run to its report: plain data, for people and machines.

use super::context::Context;
use super::driver::Run;
use super::serving;
use crate::journal::Direction;
use crate::report::{Outcome, Report, Serving, milliseconds};

/// What there is to report of a run.
pub(super) async fn conclude(run: &Run<'_>, outcome: Outcome) -> Report {
    let history = run.journal.history();
    let (context, gathered) = (&run.context, &run.gathered);
    let failure = match history.direction() {
        Direction::Backward(failure) => Some(failure.clone()),
        Direction::Forward => history.stuck().cloned(),
    };
    let log =
        context.processes().into_iter().map(|process| context.releases.log(context.release(), &process));
    let gap = gathered.outage.gap();
    Report {
        app: context.header.app.clone(),
        deployment: context.header.deployment.clone(),
        release: history.facts().unchanged.unwrap_or_else(|| context.release()),
        images: history.facts().images.values().map(ToString::to_string).collect(),
        outcome,
        recovered: false,
        failure,
        bundle: context.config.bundle.clone(),
        group: context.header.group.clone(),
        log: log.into_iter().find(|log| log.is_file()),
        serving: serving_now(context).await,
        unhealthy_ms: gap.map(|gap| milliseconds(gap.unhealthy)),
        silent_ms: gap.map(|gap| milliseconds(gap.silent)),
        left_over: gathered.left_over.clone(),
        notes: gathered.notes.clone(),
        steps: gathered.timings.iter().map(|(step, took)| (step.clone(), milliseconds(*took))).collect(),
    }
}

/// What serves now, as far as the Engine can be asked.
async fn serving_now(context: &Context<'_>) -> Vec<Serving> {
    let mut serving = Vec::new();
    for process in context.processes() {
        let live = serving::live(&context.host.docker, context.settings(), &process).await;
        if let Ok(Some(container)) = live {
            serving.push(Serving {
                process,
                picked_ports: container.picked_ports(),
                container: container.name,
                release: container.labels.map(|labels| labels.release),
                running: container.running,
            });
        }
    }
    serving
}
