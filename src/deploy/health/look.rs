//! One look at a container: does it run, and what does the probe see?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::gate::{Look, Probed};
use crate::host::Host;
use crate::host::docker::{Container, DockerError, Exec, HealthCheck};
use crate::host::probe::{self, Saw};
use crate::model::{Health, Probe, Publish};
use crate::text::duration;

/// What a container exits with that was killed.
const KILLED: i64 = 137;

/// How long the Engine may take to say why it was.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);

/// Where a container is asked.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// At its own address: no proxy of Docker's in between, which accepts before the app listens.
    Container,
    /// At its published port, as its clients see it.
    Published(&'a [Publish]),
}

/// Looks at containers for one gate: it knows the command that it has left running.
pub struct Looker<'a> {
    host: &'a Host,
    health: &'a Health,
    at: At<'a>,
    /// A health command that did not end in time and could not be killed.
    hanging: Option<Exec>,
}

impl<'a> Looker<'a> {
    /// Who has not looked yet.
    pub fn new(host: &'a Host, health: &'a Health, at: At<'a>) -> Self {
        Self { host, health, at, hanging: None }
    }

    /// One look.
    pub async fn look(&mut self, id: &str) -> Result<Look, DockerError> {
        let gone = || Look {
            restarts: 0,
            oom_kills: 0,
            state: Err("it was removed while it was on trial".to_owned()),
        };
        let Some(container) = self.host.docker.inspect(id).await? else { return Ok(gone()) };
        let look = |container: &Container, state| Look {
            restarts: container.restart_count,
            oom_kills: container.pid.and_then(|pid| self.host.machine.oom_kills(pid)).unwrap_or_default(),
            state,
        };
        if !container.running {
            let ended = self.once_told(container).await?;
            let seen = look(&ended, Err(why_down(&ended)));
            // With its last process goes the kernel's count: the Engine remembers that there was one.
            return Ok(Look { oom_kills: seen.oom_kills.max(u64::from(ended.oom_killed)), ..seen });
        }
        if matches!((&self.health.probe, &container.health), (Probe::Docker, HealthCheck::None)) {
            let none = "its image has no HEALTHCHECK, which health.docker asks for";
            return Ok(look(&container, Err(none.to_owned())));
        }
        let before = look(&container, Ok(Probed::Healthy));
        let seen = self.probe(&container).await?;
        if seen == Probed::Healthy {
            return Ok(before);
        }
        // A container that went down under the probe is down, whatever the probe saw.
        let Some(now) = self.host.docker.inspect(id).await? else { return Ok(gone()) };
        if now.running {
            return Ok(Look { state: Ok(seen), ..before });
        }
        let ended = self.once_told(now).await?;
        let oom_kills = before.oom_kills.max(u64::from(ended.oom_killed));
        Ok(Look { oom_kills, state: Err(why_down(&ended)), ..before })
    }

    /// The Engine may report the end of a container before it reports that memory was the reason.
    async fn once_told(&self, container: Container) -> Result<Container, DockerError> {
        if container.exit_code == KILLED && !container.oom_killed {
            tokio::time::sleep(AFTERTHOUGHT).await;
            return Ok(self.host.docker.inspect(&container.id).await?.unwrap_or(container));
        }
        Ok(container)
    }

    async fn probe(&mut self, container: &Container) -> Result<Probed, DockerError> {
        let health = self.health;
        match &health.probe {
            Probe::Http { path, port, host, status } => Ok(match address(container, *port, self.at) {
                Ok(address) => {
                    as_probed(probe::http(address, path, host.as_deref(), status, health.timeout).await)
                }
                Err(saw) => Probed::Silent(saw),
            }),
            Probe::Tcp { port } => Ok(match address(container, *port, self.at) {
                Ok(address) => as_probed(probe::tcp(address, health.timeout).await),
                Err(saw) => Probed::Silent(saw),
            }),
            Probe::Command(command) => self.command(container, command).await,
            Probe::Docker => Ok(match &container.health {
                HealthCheck::Healthy => Probed::Healthy,
                HealthCheck::Starting | HealthCheck::None => {
                    Probed::Silent("(Docker's health check) has not succeeded yet".to_owned())
                }
                HealthCheck::Unhealthy(said) => {
                    Probed::Sick(format!("(Docker's health check) printed '{}'", said.trim()))
                }
            }),
            Probe::Running => Ok(Probed::Healthy),
        }
    }

    /// A command that hangs is killed; while one cannot be, no other is started: they would pile up in the container
    /// that is to serve.
    async fn command(&mut self, container: &Container, command: &[String]) -> Result<Probed, DockerError> {
        let docker = &self.host.docker;
        if let Some(hanging) = &self.hanging {
            if docker.exec_runs(hanging).await? {
                return Ok(Probed::Sick("(the command) still runs since an earlier probe".to_owned()));
            }
            self.hanging = None;
        }
        let exec = match docker.prepare_exec(&container.id, command).await {
            Ok(exec) => exec,
            // The container may have gone in between: the next look tells.
            Err(DockerError::Refused { message, .. }) => {
                return Ok(Probed::Sick(format!("(the command) could not be run: {message}")));
            }
            Err(error) => return Err(error),
        };
        match docker.run_exec(&exec, self.health.timeout).await {
            Ok((0, _)) => Ok(Probed::Healthy),
            Ok((code, printed)) if printed.is_empty() => {
                Ok(Probed::Sick(format!("(the command) exited with code {code}")))
            }
            Ok((code, printed)) => {
                Ok(Probed::Sick(format!("(the command) exited with code {code} and printed '{printed}'")))
            }
            Err(DockerError::Refused { message, .. }) => {
                Ok(Probed::Sick(format!("(the command) could not be run: {message}")))
            }
            Err(DockerError::Slow { limit, .. }) => {
                if let Some(pid) = docker.exec_pid(&exec).await? {
                    self.host.machine.kill_group_of(pid, &container.id);
                }
                self.hanging = Some(exec);
                Ok(Probed::Sick(format!("(the command) did not end within {}", duration(limit))))
            }
            Err(error) => Err(error),
        }
    }
}

fn as_probed(seen: Result<(), Saw>) -> Probed {
    match seen {
        Ok(()) => Probed::Healthy,
        Err(Saw::Answered(saw)) => Probed::Sick(saw),
        Err(Saw::Nothing(saw)) => Probed::Silent(saw),
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

fn address(container: &Container, port: u16, at: At<'_>) -> Result<SocketAddr, String> {
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
