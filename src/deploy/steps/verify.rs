//! Looking: is there anything to change, is the new container healthy, and what is written down about it.

use std::time::Duration;

use super::StepError;
use super::switch::new_id;
use crate::deploy::gate::{self, At, GateError};
use crate::deploy::run::Run;
use crate::journal::Fact;
use crate::release::ProcessName;
use crate::state::Verdict;

/// How many of a failed container's last lines are shown as evidence.
const EVIDENCE_LINES: usize = 8;

/// How many of them are kept beside the release: the container itself is removed.
const LOG_LINES: usize = 1_000;

/// How long a live container that is what is asked for has to show that it works.
const GLANCE: Duration = Duration::from_secs(3);

/// Whether the live release is what is asked for: made of the same image, configuration and versions of the secrets, and
/// well. One that is sick is made anew: that is what somebody who deploys it again hopes for.
pub(super) async fn compare(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let mut same = None;
    for process in run.processes() {
        let Some(live) = run.live(&process).await? else { return Ok(vec![]) };
        let Some(labels) = live.labels.as_ref().filter(|_| live.running) else { return Ok(vec![]) };
        let record = run.releases.record(labels.release)?.filter(|record| record.verdict == Verdict::Good);
        match record {
            Some(record) if record.fingerprint == run.fingerprint() && record.fingerprint.is_some() => {
                let health = run.process(&process).health.clone().at_a_glance(GLANCE);
                let docker = &run.host.docker;
                match gate::await_healthy(docker, &live.id, &health, At::Container, &run.termination).await {
                    Ok(_) => same = Some(record.release),
                    Err(GateError::Unhealthy(_)) => return Ok(vec![]),
                    Err(error) => return Err(error.into()),
                }
            }
            _ => return Ok(vec![]),
        }
    }
    Ok(same.map(|release| Fact::Unchanged { release }).into_iter().collect())
}

/// The gate, at the container's own address.
pub(super) async fn gate(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let id = new_id(run, process)?;
    pass(run, process, &id, false).await
}

/// The gate once more, at the published port, as the load balancer will see it.
pub(super) async fn verify(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let id = if let Some(id) = run.new_id(process) {
        id
    } else {
        // Nothing was changed: the live container is the one.
        let live = run.live(process).await?;
        live.ok_or_else(|| StepError::because("the live container is not there any more"))?.id
    };
    pass(run, process, &id, true).await
}

async fn pass(
    run: &mut Run<'_>,
    process: &ProcessName,
    id: &str,
    published: bool,
) -> Result<Vec<Fact>, StepError> {
    let settings = run.process(process).clone();
    let mut health = settings.health.clone();
    if let Some(left) = run.clock.left(settings.reserve()) {
        if left < health.shortest() {
            return Err(StepError::because(format!(
                "the hook's timeout leaves {left:?} for a gate that takes {:?}: raise 'timeout' in appspec.yml",
                health.shortest()
            )));
        }
        health.deadline = health.deadline.min(left);
    }
    let at = if published { At::Published(&settings.publish) } else { At::Container };
    let docker = &run.host.docker;
    match gate::await_healthy(docker, id, &health, at, &run.termination).await {
        Ok(answering) => {
            run.answers_again(answering);
            Ok(vec![])
        }
        Err(GateError::Unhealthy(why)) => {
            let log = docker.last_lines(id, LOG_LINES).await;
            let mut name = run.new_name(process);
            if let Ok(Some(container)) = docker.inspect(id).await {
                // What it printed may be its own environment, which another process of ours filled in.
                run.learn_what_it_knows(&container);
                name = container.name;
            }
            run.keep_log(process, &log);
            let evidence = log[log.len().saturating_sub(EVIDENCE_LINES)..].to_vec();
            let cause = format!("container '{name}' is not healthy: {why}");
            Err(StepError::Failed { cause, evidence, verdict: true })
        }
        Err(error) => Err(error.into()),
    }
}

/// The last step: from now on this is the release that a rollback can go back to.
pub(super) fn record(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    run.releases.write(&run.record(Verdict::Good))?;
    Ok(vec![])
}
