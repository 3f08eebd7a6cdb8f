//! Taking steps back. The inverses are all there is to know: they may be of another version's steps.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::settings::UNPROVEN_STOP;
use crate::host::docker::{Container, Docker, DockerError, RestartPolicy};
use crate::journal::Inverse;
use crate::signal::Termination;

const HASTY_STOP: Duration = Duration::from_secs(1);

/// Applies the inverses of one step. Each may have been applied before.
///
/// `in_doubt_since` says when the step was begun, if it was cut off: its call may still be under way in the Engine. So
/// nothing is skipped because it looks done, and a stop that may be under way is brought to its end before the container
/// is started again.
pub async fn apply(
    docker: &Docker,
    inverse: &[Inverse],
    in_doubt_since: Option<Timestamp>,
    termination: &Termination,
) -> Result<(), DockerError> {
    for inverse in inverse {
        match inverse {
            Inverse::RemoveContainer { name, deployment } => {
                let ours = docker.inspect(name).await?.filter(|container| {
                    container.labels.as_ref().is_some_and(|labels| labels.deployment == *deployment)
                });
                if let Some(container) = ours {
                    docker.kill(&container.id).await?;
                    docker.remove(&container.id).await?;
                }
            }
            Inverse::Start { id } => {
                let may_be_stopping = |container: &Container| {
                    // One that was started since then, by a boot, is not being stopped.
                    let started = container.started_at.parse::<Timestamp>().ok();
                    container.running
                        && in_doubt_since.is_some_and(|since| started.is_none_or(|at| at < since))
                };
                if let Some(container) = docker.inspect(id).await?.filter(may_be_stopping) {
                    stop_or_kill(docker, id, container.stop_timeout, termination).await?;
                }
                unless_gone(docker.start(id).await)?;
            }
            Inverse::Stop { id } => {
                // It serves nobody, and the old release is down meanwhile: no longer than it asks for.
                let own = docker.inspect(id).await?.map_or(UNPROVEN_STOP, |container| container.stop_timeout);
                stop_or_kill(docker, id, own.min(UNPROVEN_STOP), termination).await?;
            }
            Inverse::Rename { id, to } => unless_gone(docker.rename(id, to).await)?,
            Inverse::SetRestartPolicy { id, policy } => {
                let policy = policy.parse().unwrap_or(RestartPolicy::UnlessStopped);
                unless_gone(docker.set_restart_policy(id, policy).await)?;
            }
        }
    }
    Ok(())
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

/// A container that is not there any more, removed by an earlier undo or by hand, has nothing that could be put back.
/// Whether something healthy serves is looked at afterwards.
fn unless_gone(answer: Result<(), DockerError>) -> Result<(), DockerError> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(()),
        answer => answer,
    }
}
