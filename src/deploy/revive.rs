//! What Docker itself has left down is started again, and Docker too where it holds a port for nobody.
//!
//! Two faults of the Engine leave nothing serving at an instance where nobody has stopped anything. When the Engine is killed
//! (by the kernel for its memory, say), its next life stops every container that still runs, and marks them as stopped by
//! hand: seen with Docker 20.10, 26.1 and 28.5. And when the power fails in the instant in which it starts a container,
//! 20.10 keeps that one's port in its books, for nobody, and refuses it to the container that is to come back.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{DeployError, OPERATORS_PATIENCE, serving};
use crate::fs::write_atomically;
use crate::host::Host;
use crate::host::docker::{Container, DockerError, RestartPolicy};
use crate::host::systemd::{Life, Systemd};
use crate::journal::{Lock, LockError, Who};
use crate::model::AppName;
use crate::printer::Talk;
use crate::state::{Releases, Verdict};
use crate::text::chain;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revived {
    /// Whatever could be done is done.
    Done,
    /// Docker is to be started first; systemd runs this again after that.
    AfterDocker,
}

/// Starts the live containers that no one has stopped and that are down all the same, and restarts Docker where that is what
/// it takes: once in a boot, and only while nothing at all runs in it. Leaves apps alone on which another process is at
/// work. What does not succeed is left as it is: whoever calls looks at what serves. It may be dropped at any moment, as it has to be
/// when this process is asked to stop: Docker's restart ends the unit first, and waits for that.
pub async fn revive(apps: &[AppName], host: &Host, talk: &dyn Talk) -> Result<Revived, DeployError> {
    let systemd = Systemd::of(&host.paths);
    if let Some(systemd) = &systemd
        && systemd.will_start_engine().await.unwrap_or(false)
    {
        talk.say("Docker has ended, and systemd starts it again: what is to be recovered is seen after that");
        return Ok(Revived::AfterDocker);
    }
    let who = Who { deployment: None, command: "recover".to_owned(), hook: false };
    let (mut locks, mut busy) = (vec![], false);
    for app in apps {
        match Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await {
            Ok(lock) => locks.push((app, lock)),
            Err(LockError::Busy(_)) => busy = true,
            Err(error) => return Err(error.into()),
        }
    }
    let life = match &systemd {
        Some(systemd) => systemd.life_of_engine().await.unwrap_or_else(|why| {
            tracing::warn!("when Docker was started is not known: {why}");
            None
        }),
        None => None,
    };
    let mut held = false;
    for (app, _) in &locks {
        held |= start_all(app, host, life, talk).await?;
    }
    let Some(systemd) = systemd.filter(|_| held && !busy) else { return Ok(Revived::Done) };
    if !may_restart(host).await? || !restart(&systemd, host, talk).await? {
        return Ok(Revived::Done);
    }
    // Most have come back with it.
    for (app, _) in &locks {
        start_all(app, host, life, talk).await?;
    }
    Ok(Revived::Done)
}

/// Starts what only Docker has left down of an app. Whether it holds a port of it for nobody.
async fn start_all(
    app: &AppName,
    host: &Host,
    life: Option<Life>,
    talk: &dyn Talk,
) -> Result<bool, DockerError> {
    let mut held = false;
    for container in left_down(app, host, life).await? {
        held |= start(&container, host, talk).await;
    }
    Ok(held)
}

/// The live containers of an app that should run by the record of their release and by their restart policy, and its
/// services, that only Docker has left down.
async fn left_down(app: &AppName, host: &Host, life: Option<Life>) -> Result<Vec<Container>, DockerError> {
    let releases = Releases::of(&host.paths.app(app));
    let was_good = |container: &Container| {
        let release = container.labels.as_ref().map(|labels| labels.release);
        let record = release.and_then(|release| releases.record(release).ok().flatten());
        record.is_some_and(|record| record.verdict == Verdict::Good)
    };
    let (services, all) = host.docker.services_and_others(app).await?;
    let services = services.into_iter().filter(|c| !c.running && !c.restarting && dockers_doing(c, life));
    let down = all.iter().filter(|c| serving::is_live_among(&all, c) && !c.running && !c.restarting);
    let down = down.filter(|c| dockers_doing(c, life) && was_good(c)).cloned();
    // What the app needs comes before it.
    Ok(services.chain(down).collect())
}

/// Whether a container that is down and should come back is down by Docker's own doing: it failed to start it, or has stopped
/// it while it came up itself, when nobody could ask for that. (The Engine's events are no help: it writes down a stop of
/// its own as it does one that somebody asks for, and forgets those of its last life.)
fn dockers_doing(container: &Container, life: Option<Life>) -> bool {
    let comes_back = matches!(container.restart_policy, RestartPolicy::Always | RestartPolicy::UnlessStopped);
    let ended = container.finished_at.parse::<Timestamp>().ok();
    let stopped_by_docker = life.zip(ended).is_some_and(|(life, ended)| life.came_up_at(ended));
    comes_back && (!container.error.is_empty() || stopped_by_docker)
}

/// Starts one of them. Whether Docker holds its port for nobody.
async fn start(container: &Container, host: &Host, talk: &dyn Talk) -> bool {
    let name = &container.name;
    match host.docker.start(&container.id).await {
        Ok(()) => {
            talk.say(&format!("  {name} was down, and nobody had stopped it: it is started again"));
            false
        }
        Err(error) => {
            talk.say(&format!("  {name} is down, and nobody has stopped it: {}", chain(&error)));
            matches!(error, DockerError::PortHeld { .. })
        }
    }
}

/// The mark of a restart: in a folder that is empty after a boot.
fn mark(lock: &Path) -> PathBuf {
    lock.join("docker-restarted")
}

/// Whether nothing runs that a restart would take down, and this boot has not had one.
async fn may_restart(host: &Host) -> Result<bool, DockerError> {
    let nothing_runs = host.docker.everything().await?.iter().all(|container| !container.up);
    Ok(nothing_runs && !mark(&host.paths.lock).exists())
}

/// Restarts Docker. Whether it could be. The unit is a part of Docker's: it ends with it, in the middle of this, and is begun
/// anew after it.
async fn restart(systemd: &Systemd, host: &Host, talk: &dyn Talk) -> Result<bool, DeployError> {
    // Before it: whatever becomes of it, there is no second one.
    write_atomically(&mark(&host.paths.lock), b"", 0o600)?;
    talk.say("  Docker holds a port for nobody, and nothing runs in it: it is restarted");
    if let Err(why) = systemd.restart_engine().await {
        talk.say(&format!("  Docker could not be restarted: {why}"));
        return Ok(false);
    }
    host.docker.wait_until_up(super::DOCKER_PATIENCE).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dockers_own_doing_is_mended() {
        let moment = |time: &str| format!("2026-11-26T20:{time}Z");
        let at = |time: &str| moment(time).parse::<Timestamp>().unwrap();
        let life = Some(Life { began: at("10:00"), ready: at("10:05") });
        let down = |policy: &str, error: &str, ended: &str| {
            let inspect = serde_json::json!({
                "State": { "Error": error, "FinishedAt": moment(ended) },
                "HostConfig": { "RestartPolicy": { "Name": policy } },
            });
            Container::of(serde_json::from_value(inspect).unwrap())
        };
        let refused = "driver failed: Bind for 0.0.0.0:8000 failed: port is already allocated";
        for (what, container, life, mended) in [
            ("stopped while Docker came up", down("unless-stopped", "", "10:02"), life, true),
            ("stopped in its last life", down("unless-stopped", "", "09:59"), life, false),
            ("stopped by somebody since", down("unless-stopped", "", "10:06"), life, false),
            ("nobody knows when Docker came up", down("unless-stopped", "", "10:02"), None, false),
            ("parked", down("no", "", "10:02"), life, false),
            ("it failed to start at a boot", down("always", refused, "09:59"), None, true),
            ("a trial that failed to start", down("no", refused, "10:02"), life, false),
        ] {
            assert_eq!(dockers_doing(&container, life), mended, "{what}");
        }
    }
}
