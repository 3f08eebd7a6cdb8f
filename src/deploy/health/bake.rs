//! Bake: whether a candidate that has passed its gate stays healthy while clients use it.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::Instant;

use super::gate::{Look, Probed};
use super::judge;
use super::look::{At, Looker};
use super::sight::Sight;
use crate::deploy::context::{Context, Gathered};
use crate::model::{Explain as _, Failure, Health, ProcessName};
use crate::text::out_of_memory;

/// The rule, pure. One probe that fails is no reason to turn back, as one that succeeds is none to go on: as many in a row as
/// the gate asks for are.
#[derive(Debug)]
struct Vigil {
    failures: u32,
    /// Its limit in bytes.
    memory: Option<u64>,
}

impl Vigil {
    /// Takes in one look. What it returns is the end of the candidate.
    fn judge(&mut self, health: &Health, look: Look) -> Option<Sight> {
        if look.oom_kills > 0 {
            return Some(Sight::down(out_of_memory(look.oom_kills, self.memory)));
        }
        if look.restarts > 0 {
            return Some(Sight::down("it was restarted while it had traffic"));
        }
        match look.state {
            Err(down) => return Some(down),
            Ok(Probed::Healthy) => self.failures = 0,
            Ok(Probed::Failed(saw)) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= health.successes {
                    let what = format!(
                        "{} probes in a row failed under traffic; the last one {}",
                        self.failures, saw.what
                    );
                    return Some(Sight { what, ..saw });
                }
            }
        }
        None
    }
}

/// A candidate under watch.
struct Watched<'w> {
    process: &'w ProcessName,
    id: &'w str,
    health: &'w Health,
    looker: Looker<'w>,
    vigil: Vigil,
}

/// Watches candidates until then. `renew` is called in between, at least so often.
pub(in crate::deploy) async fn watch_under_traffic(
    context: &Context<'_>,
    gathered: &mut Gathered,
    candidates: &[(ProcessName, String)],
    until: Instant,
    often: Duration,
    mut renew: impl AsyncFnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let docker = &context.host.docker;
    let mut watched = vec![];
    for (process, id) in candidates {
        let health = &context.process(process)?.health;
        let memory = docker.inspect(id).await?.and_then(|candidate| candidate.memory);
        let looker = Looker::new(context.host, process, health, At::Container);
        watched.push(Watched { process, id, health, looker, vigil: Vigil { failures: 0, memory } });
    }
    let mut renewed = Instant::now();
    loop {
        for one in &mut watched {
            match one.looker.look(one.id).await {
                // An Engine that is restarting says nothing about the candidate: it is asked again, but nothing ends well unseen.
                Err(error) if error.is_passing() && Instant::now() < until => {}
                Err(error) => return Err(error.into()),
                Ok(look) => {
                    if let Some(sick) = one.vigil.judge(one.health, look) {
                        return Err(judge::explain(context, gathered, one.process, one.id, sick).await);
                    }
                }
            }
        }
        let now = Instant::now();
        if now >= until {
            return Ok(());
        }
        if now - renewed >= often {
            renew().await?;
            renewed = now;
        }
        let pause = watched.iter().map(|one| one.health.interval).min().unwrap_or(often).min(often);
        let ends = watched.iter().map(|one| Box::pin(docker.exit_code(one.id)));
        tokio::select! {
            () = tokio::time::sleep_until(until.min(now + pause)) => {}
            // Its death is looked at at once.
            _ = select_all(ends) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sight::Way;
    use super::*;
    use crate::model::Probe;

    fn look(state: Result<Probed, Sight>) -> Look {
        Look { restarts: 0, oom_kills: 0, state }
    }

    #[test]
    fn as_many_failures_in_a_row_as_the_gate_asks_for_are_too_many() {
        let health = Health { successes: 2, ..Health::new(Probe::Running) };
        let mut vigil = Vigil { failures: 0, memory: None };
        let failed = || look(Ok(Probed::Failed(Sight::of(Way::Status(500), "was answered with status 500"))));
        assert!(vigil.judge(&health, failed()).is_none());
        assert!(vigil.judge(&health, look(Ok(Probed::Healthy))).is_none());
        assert!(vigil.judge(&health, failed()).is_none());
        let sick = vigil.judge(&health, failed()).unwrap();
        assert_eq!(
            sick.what,
            "2 probes in a row failed under traffic; the last one was answered with status 500"
        );
    }

    #[test]
    fn what_ends_restarts_or_is_killed_is_bad_at_once() {
        let health = Health::new(Probe::Running);
        let mut vigil = Vigil { failures: 0, memory: Some(512 << 20) };
        let down = Sight::down("it exited with code 1");
        assert_eq!(vigil.judge(&health, look(Err(down.clone()))), Some(down));
        let healthy = || look(Ok(Probed::Healthy));
        let restarted = vigil.judge(&health, Look { restarts: 1, ..healthy() }).unwrap();
        assert!(restarted.what.contains("restarted"), "{restarted:?}");
        let killed = vigil.judge(&health, Look { oom_kills: 1, ..healthy() }).unwrap();
        assert!(killed.what.contains("512 MiB"), "{killed:?}");
    }
}
