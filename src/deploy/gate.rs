//! The gate: the rule by which a container counts as healthy. The rule is pure; [`await_healthy`] asks it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::{Health, Probe};
use crate::config::units::Publish;
use crate::host::docker::{Container, Docker, DockerError, HealthCheck};
use crate::host::probe::{self, Saw};
use crate::signal::Termination;

/// What was seen of a container at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It runs, and the probe said this.
    Running(Result<(), String>),
    /// It does not run.
    NotRunning(String),
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    Wait,
    /// It is.
    Healthy,
    /// It is not and will not be; why.
    Unhealthy(String),
}

/// The gate at work: what it has seen so far.
#[derive(Debug)]
pub struct Gate {
    health: Health,
    streak: u32,
    since: Duration,
    restarts: Option<i64>,
    probes: u32,
    successes: u32,
    last: Option<String>,
}

impl Gate {
    /// A gate that has seen nothing yet.
    pub fn new(health: Health) -> Self {
        Self { health, streak: 0, since: Duration::ZERO, restarts: None, probes: 0, successes: 0, last: None }
    }

    /// Takes in one look, `now` after the start, at a container that the Engine has restarted so often.
    pub fn judge(&mut self, now: Duration, restarts: i64, look: Look) -> Verdict {
        if restarts > *self.restarts.get_or_insert(restarts) {
            return Verdict::Unhealthy("it was restarted while it was on trial".to_owned());
        }
        match look {
            Look::NotRunning(why) => return Verdict::Unhealthy(why),
            Look::Running(Ok(())) => {
                if self.streak == 0 {
                    self.since = now;
                }
                self.streak += 1;
                self.successes += 1;
            }
            Look::Running(Err(saw)) => {
                self.streak = 0;
                self.last = Some(saw);
            }
        }
        self.probes += 1;
        if self.streak >= self.health.successes && now.saturating_sub(self.since) >= self.health.min_healthy {
            return Verdict::Healthy;
        }
        if now >= self.health.deadline {
            return Verdict::Unhealthy(self.why_not());
        }
        Verdict::Wait
    }

    fn why_not(&self) -> String {
        let limit = self.health.deadline;
        match &self.last {
            Some(saw) => format!(
                "it was not healthy within {limit:?}: of {} probes {} succeeded, and the last that failed {saw}",
                self.probes, self.successes
            ),
            None => format!("it was not healthy for long enough within {limit:?}, although no probe failed"),
        }
    }
}

/// Where a container is asked.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// At its own address: no proxy of Docker's in between, which accepts before the app listens.
    Container,
    /// At its published port, as its clients see it.
    Published(&'a [Publish]),
}

/// Why a container did not pass.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// It is unhealthy.
    #[error("{0}")]
    Unhealthy(String),
    /// The Engine could not be asked.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// This process was asked to stop.
    #[error("handover was asked to stop while it waited for the container")]
    Interrupted,
}

/// Watches a container until the gate has a verdict. Returns for how long it had been answering by then.
pub async fn await_healthy(
    docker: &Docker,
    id: &str,
    health: &Health,
    at: At<'_>,
    termination: &Termination,
) -> Result<Duration, GateError> {
    let start = Instant::now();
    let mut gate = Gate::new(health.clone());
    loop {
        let seen = tokio::select! {
            seen = look_at(docker, id, health, at) => seen,
            () = termination.requested() => return Err(GateError::Interrupted),
        };
        let (restarts, look) = match seen {
            // An Engine that is restarting says nothing about the container, so it is asked again, while there is time.
            Err(error) if error.is_passing() && start.elapsed() < health.deadline => {
                tokio::time::sleep(health.interval).await;
                continue;
            }
            seen => seen?,
        };
        match gate.judge(start.elapsed(), restarts, look) {
            Verdict::Healthy => return Ok(start.elapsed().saturating_sub(gate.since)),
            Verdict::Unhealthy(why) => return Err(GateError::Unhealthy(why)),
            Verdict::Wait => {}
        }
        tokio::select! {
            () = tokio::time::sleep(health.interval) => {}
            () = termination.requested() => return Err(GateError::Interrupted),
        }
    }
}

async fn look_at(docker: &Docker, id: &str, health: &Health, at: At<'_>) -> Result<(i64, Look), DockerError> {
    match docker.inspect(id).await? {
        None => Ok((0, Look::NotRunning("it was removed while it was on trial".to_owned()))),
        Some(container) => Ok((container.restart_count, look(docker, &container, health, at).await?)),
    }
}

async fn look(
    docker: &Docker,
    container: &Container,
    health: &Health,
    at: At<'_>,
) -> Result<Look, DockerError> {
    if !container.running {
        return Ok(Look::NotRunning(why_down(container)));
    }
    let seen = match &health.probe {
        Probe::Http { path, port, host, status } => match address(container, *port, at) {
            Ok(address) => probe::http(address, path, host.as_deref(), status, health.timeout).await,
            Err(saw) => Err(saw),
        },
        Probe::Tcp { port } => match address(container, *port, at) {
            Ok(address) => probe::tcp(address, health.timeout).await,
            Err(saw) => Err(saw),
        },
        Probe::Command(command) => match docker.exec(&container.id, command, health.timeout).await {
            Ok((0, _)) => Ok(()),
            Ok((code, printed)) if printed.is_empty() => {
                Err(format!("(the command) exited with code {code}"))
            }
            Ok((code, printed)) => {
                Err(format!("(the command) exited with code {code} and printed '{printed}'"))
            }
            // The container may have gone in between: the next look tells.
            Err(DockerError::Refused { message, .. }) => {
                Err(format!("(the command) could not be run: {message}"))
            }
            Err(DockerError::Slow { limit, .. }) => {
                Err(format!("(the command) did not end within {limit:?}"))
            }
            Err(error) => return Err(error),
        },
        Probe::Docker => match &container.health {
            HealthCheck::Healthy => Ok(()),
            HealthCheck::Starting => Err("(Docker's health check) has not succeeded yet".to_owned()),
            HealthCheck::Unhealthy(said) => Err(format!("(Docker's health check) printed '{}'", said.trim())),
            HealthCheck::None => {
                return Ok(Look::NotRunning(
                    "its image has no HEALTHCHECK, which health.docker asks for".to_owned(),
                ));
            }
        },
        Probe::Running => Ok(()),
    };
    // A container that went down under the probe is down, whatever the probe saw.
    match (&seen, docker.inspect(&container.id).await?) {
        (Err(_), Some(now)) if !now.running => Ok(Look::NotRunning(why_down(&now))),
        _ => Ok(Look::Running(seen)),
    }
}

fn why_down(container: &Container) -> String {
    match container {
        Container { oom_killed: true, .. } => {
            "it was killed because it used more memory than it may (OOM)".to_owned()
        }
        Container { error, .. } if !error.is_empty() => format!("it did not start: {error}"),
        Container { exit_code, .. } => format!("it exited with code {exit_code}{}", signal(*exit_code)),
    }
}

/// A shell's way to say that a signal ended it: 128 and the signal's number.
fn signal(exit_code: i64) -> &'static str {
    match exit_code {
        134 => " (SIGABRT)",
        137 => " (SIGKILL)",
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    }
}

fn address(container: &Container, port: u16, at: At<'_>) -> Result<SocketAddr, Saw> {
    let published = match at {
        At::Container => None,
        At::Published(publish) => publish.iter().find(|p| p.container == port),
    };
    if let Some(on_the_host) = published {
        let address = on_the_host.address.filter(|address| !address.is_unspecified());
        return Ok(SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), on_the_host.host));
    }
    let own = container.ip.ok_or("(the container) has no address on its network")?;
    Ok(SocketAddr::new(own, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn health(successes: u32, min_healthy: u64, deadline: u64) -> Health {
        Health {
            probe: Probe::Running,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            successes,
            min_healthy: Duration::from_secs(min_healthy),
            deadline: Duration::from_secs(deadline),
        }
    }

    fn verdicts(health: Health, probes: &[bool]) -> Vec<Verdict> {
        let mut gate = Gate::new(health);
        let look = |ok: &bool| {
            Look::Running(if *ok { Ok(()) } else { Err("was answered with status 500".to_owned()) })
        };
        (0..).zip(probes).map(|(second, ok)| gate.judge(Duration::from_secs(second), 0, look(ok))).collect()
    }

    #[test]
    fn one_success_is_not_enough_and_a_failure_starts_the_count_again() {
        let verdicts = verdicts(health(3, 0, 60), &[true, false, true, true, true]);
        assert_eq!(verdicts.iter().position(|v| *v == Verdict::Healthy), Some(4));
    }

    #[test]
    fn successes_count_only_over_the_minimal_time() {
        let verdicts = verdicts(health(2, 4, 60), &[true; 6]);
        assert_eq!(verdicts.iter().position(|v| *v == Verdict::Healthy), Some(4));
    }

    #[test]
    fn at_the_deadline_the_last_failure_is_told() {
        let verdicts = verdicts(health(3, 0, 3), &[false; 4]);
        let Verdict::Unhealthy(why) = &verdicts[3] else { panic!("{verdicts:?}") };
        assert!(why.contains("status 500") && why.contains("3s"), "{why}");
    }

    #[test]
    fn an_exit_or_a_restart_ends_it_at_once() {
        let mut gate = Gate::new(health(3, 0, 60));
        assert_eq!(gate.judge(Duration::ZERO, 0, Look::Running(Ok(()))), Verdict::Wait);
        assert!(matches!(gate.judge(Duration::ZERO, 1, Look::Running(Ok(()))), Verdict::Unhealthy(_)));
        let down = Look::NotRunning("it exited with code 1".to_owned());
        assert!(matches!(Gate::new(health(3, 0, 60)).judge(Duration::ZERO, 0, down), Verdict::Unhealthy(_)));
    }

    proptest! {
        #[test]
        fn healthy_means_enough_successes_in_a_row_for_long_enough(
            probes in proptest::collection::vec(any::<bool>(), 1..40), successes in 1_u32..5, min in 0_u64..8,
        ) {
            let verdicts = verdicts(health(successes, min, 1000), &probes);
            if let Some(at) = verdicts.iter().position(|v| *v == Verdict::Healthy) {
                let streak = probes[..=at].iter().rev().take_while(|ok| **ok).count();
                prop_assert!(streak as u64 >= u64::from(successes) && (streak as u64 - 1) >= min);
            }
        }
    }
}
