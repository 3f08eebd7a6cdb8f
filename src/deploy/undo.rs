//! Taking steps back. The inverses are all there is to know: they may be of another version's steps. What they name may
//! be gone, so nothing is believed that was not seen.

use std::time::Duration;

use super::context::{Context, Gathered};
use super::restore;
use crate::config::settings::UNPROVEN_STOP;
use crate::host::docker::{Docker, DockerError, RestartPolicy, gone_is_fine};
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
                docker.kill(&container.id).await?;
                docker.remove(&container.id).await?;
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
        Inverse::Stop { id } => {
            let own = docker.inspect(id).await?.map_or(UNPROVEN_STOP, |container| container.stop_timeout);
            // It serves nobody, and the old release is down meanwhile. What never was healthy has nothing to finish.
            let longest = if gathered.answered.contains(id) || !gathered.has_judged(id) {
                UNPROVEN_STOP
            } else {
                HASTY_STOP
            };
            stop_or_kill(docker, id, own.min(longest), termination).await?;
        }
        // A container that is gone has no name and no policy to be put back. Whether something serves is seen afterwards.
        Inverse::Rename { id, to } => gone_is_fine(docker.rename(id, to).await)?,
        Inverse::SetRestartPolicy { id, policy } => {
            let policy = policy.parse().unwrap_or(RestartPolicy::UnlessStopped);
            gone_is_fine(docker.set_restart_policy(id, policy).await)?;
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
