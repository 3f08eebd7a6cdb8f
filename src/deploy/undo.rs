//! Taking steps back. The inverses are all there is to know: they may be of another version's steps. What they name may
//! be gone, so nothing is believed that was not seen.

use std::time::Duration;

use jiff::Timestamp;

use super::context::{Context, Gathered};
use super::drain::{Drained, drain, drain_and_stop};
use super::health::judge;
use super::{network, restore, stall, traffic};
use crate::config::settings::UNPROVEN_STOP;
use crate::host::docker::{Docker, DockerError, ReleaseNetwork, ReleaseVolume, RestartPolicy, gone_is_fine};
use crate::journal::{Facts, Inverse};
use crate::model::Failure;
use crate::signal::Termination;

/// How long a container gets to stop that nobody waits for.
const HASTY_STOP: Duration = Duration::from_secs(1);

/// Takes one thing back. It may have been taken back before.
///
/// `in_doubt` says that the step was cut off: its call may still be under way in the Engine. So nothing is skipped because
/// it looks done, and a stop that may be under way is brought to its end before the container is started again.
pub async fn apply(
    inverse: &Inverse,
    in_doubt: bool,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let docker = &context.host.docker;
    let termination = &context.termination;
    match inverse {
        Inverse::RemoveContainer { name, deployment } => {
            let ours = docker.inspect(name).await?.filter(|container| {
                container.labels.as_ref().is_some_and(|labels| labels.deployment == *deployment)
            });
            if let Some(container) = ours {
                gathered.learn_of_task(&container, context);
                // A task may be at work: it gets the time to end in peace.
                if container.running {
                    let time = container.stop_timeout.min(UNPROVEN_STOP);
                    stop_or_kill(docker, &container.id, time, termination).await?;
                }
                docker.kill(&container.id).await?;
                docker.remove(&container.id).await?;
            }
        }
        Inverse::RemoveNetwork { name, deployment } => {
            let networks = docker.networks_of(&context.header.app).await?;
            let is_ours =
                |network: &ReleaseNetwork| network.name == *name && network.labels.deployment == *deployment;
            if networks.iter().any(is_ours) {
                // It is in nobody's way, and an undo that cannot end would be.
                if let Some(stays) = network::remove(docker, &context.header.app, name).await? {
                    tracing::warn!("{stays}");
                    gathered.notes.push(stays);
                }
            }
        }
        Inverse::RemoveVolume { name, deployment } => {
            let volumes = docker.volumes_of(&context.header.app).await?;
            let is_ours =
                |volume: &ReleaseVolume| volume.name == *name && volume.labels.deployment == *deployment;
            if volumes.iter().any(is_ours) {
                docker.remove_volume(name).await?;
            }
        }
        Inverse::Start { id, started_at } => match docker.inspect(id).await? {
            Some(container) => {
                // One that was started since then, by a boot, is not being stopped.
                if in_doubt && container.running && container.started_at == *started_at {
                    stop_or_kill(docker, id, container.stop_timeout, termination).await?;
                }
                match docker.start(id).await {
                    Err(error) if error.is_not_found() => {
                        restore::old_container(id, context, facts, gathered).await?;
                    }
                    answer => answer?,
                }
            }
            // Somebody's `docker system prune` removes what is stopped.
            None => restore::old_container(id, context, facts, gathered).await?,
        },
        Inverse::Stop { id } => stop_new(id, context, facts, gathered).await?,
        // A container that is gone has no name and no policy to be put back. Whether something serves is seen afterwards.
        Inverse::Rename { id, to } => gone_is_fine(docker.rename(id, to).await)?,
        Inverse::SetRestartPolicy { id, policy } => {
            let policy = policy.parse().unwrap_or(RestartPolicy::UnlessStopped);
            gone_is_fine(docker.set_restart_policy(id, policy).await)?;
        }
        Inverse::Retire { id } => retire(id, context, facts, gathered).await?,
        Inverse::EndRedirect => {
            someone_else_serves(context, facts, gathered).await?;
            traffic::take_back(context).await?;
        }
        Inverse::RemoveRedirect => traffic::remove(context).await?,
        Inverse::Stall { process } => stall::begin(context, facts, process).await?,
        Inverse::EndStall { process } => {
            stall::end_when_live_answers(context, facts, gathered, process).await?;
        }
        Inverse::RemoveFiles { release } => context.releases.remove_files(*release)?,
        Inverse::Unknown => {
            let by = match &context.header.binary {
                Some(binary) => format!("{} recover", binary.display()),
                None => format!("handover {} recover", context.header.version),
            };
            return Err(Failure::with_fix(
                format!(
                    "handover {} knows how to take this back, and this version does not",
                    context.header.version
                ),
                by,
            ));
        }
    }
    Ok(())
}

/// Stops a new container: the old release is down meanwhile. What never was healthy has nothing to finish.
async fn stop_new(
    id: &str,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let docker = &context.host.docker;
    let may_have_served = gathered.may_have_served(id);
    let longest = if may_have_served { UNPROVEN_STOP } else { HASTY_STOP };
    let running = docker.inspect(id).await?.filter(|container| container.running);
    let Some(new) = running else {
        return Ok(stop_or_kill(docker, id, longest, &context.termination).await?);
    };
    let longest = longest.min(new.stop_timeout);
    let has_clients = !candidates_run(docker, facts).await?;
    let process = facts.new.iter().find_map(|(process, its)| (its == id).then_some(process));
    let waits =
        process.and_then(|process| context.process(process).ok()).is_some_and(|its| its.swap.stalls());
    // New clients wait by now, and those that it has are not cut off.
    let drained = if has_clients && may_have_served && waits {
        drain(context, gathered, process, &new).await
    } else {
        Drained::default()
    };
    if has_clients {
        gathered.outage.stopping(Timestamp::now());
    }
    drained.stop(context, gathered, &new, longest).await?;
    if has_clients {
        gathered.outage.down(Timestamp::now());
    }
    Ok(())
}

/// Stops a candidate; one that never was healthy has nothing to finish.
async fn retire(
    id: &str,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let Some(candidate) = context.host.docker.inspect(id).await? else { return Ok(()) };
    let process = facts.candidates.iter().find_map(|(process, its)| (its == id).then_some(process));
    let longest = if gathered.may_have_served(id) { candidate.stop_timeout } else { HASTY_STOP };
    drain_and_stop(context, gathered, process, &candidate, longest).await
}

/// Waits until what served before is healthy: while the candidates serve, clients must not be sent back to what does not
/// answer yet. Where no candidate runs any more there is nothing to wait for.
async fn someone_else_serves(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let docker = &context.host.docker;
    if !candidates_run(docker, facts).await? {
        return Ok(());
    }
    for (process, live) in facts.live.iter().filter(|(_, live)| live.running) {
        if let Some(live) = docker.inspect(&live.id).await? {
            judge::serves_again(context, gathered, process, &live).await?;
        }
    }
    Ok(())
}

/// Whether there are candidates, and all of them run.
async fn candidates_run(docker: &Docker, facts: &Facts) -> Result<bool, DockerError> {
    for id in facts.candidates.values() {
        if !docker.inspect(id).await?.is_some_and(|candidate| candidate.running) {
            return Ok(false);
        }
    }
    Ok(!facts.candidates.is_empty())
}

/// Stops a container, in its own time; when this process is asked to stop, in a second.
pub async fn stop_or_kill(
    docker: &Docker,
    id: &str,
    within: Duration,
    termination: &Termination,
) -> Result<(), DockerError> {
    let stop = docker.stop(id, within);
    tokio::pin!(stop);
    let hurry = async {
        termination.requested().await;
        tokio::time::sleep(HASTY_STOP).await;
    };
    tokio::select! {
        stopped = &mut stop => return stopped,
        () = hurry => docker.kill(id).await?,
    }
    stop.await
}
