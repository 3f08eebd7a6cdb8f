//! One look at a container: does it run, and what does the probe see?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::gate::{Look, Probed};
use super::reach::listens;
use super::sight::{Sight, Way};
use crate::host::Host;
use crate::host::docker::{Container, DockerError, Exec, HealthCommand, KILLED};
use crate::host::probe::{self, Saw};
use crate::model::{Health, Probe, ProcessName, Protocol, Publish};
use crate::text::{duration, out_of_memory};

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
    process: &'a ProcessName,
    health: &'a Health,
    at: At<'a>,
    /// A health command that did not end in time and could not be killed.
    hanging: Option<Exec>,
}

impl<'a> Looker<'a> {
    /// Who has not looked yet. The process is the one that the container is of, for people.
    pub fn new(host: &'a Host, process: &'a ProcessName, health: &'a Health, at: At<'a>) -> Self {
        Self { host, process, health, at, hanging: None }
    }

    /// One look.
    pub async fn look(&mut self, id: &str) -> Result<Look, DockerError> {
        let gone = || Look {
            restarts: 0,
            oom_kills: 0,
            state: Err(Sight::down("it was removed while it was on trial")),
        };
        let Some(container) = self.host.docker.inspect(id).await? else { return Ok(gone()) };
        let look = |container: &Container, state| Look {
            restarts: container.restart_count,
            oom_kills: container.pid.and_then(|pid| self.host.machine.oom_kills(pid)).unwrap_or_default(),
            state,
        };
        if !container.running {
            let before = look(&container, Ok(Probed::Healthy));
            return self.ended(before, container).await;
        }
        if matches!((&self.health.probe, &container.healthcheck), (Probe::Docker, None)) {
            let none = "its image has no HEALTHCHECK, which health.docker asks for";
            return Ok(look(&container, Err(Sight::down(none))));
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
        self.ended(before, now).await
    }

    /// What is seen of a container that is down. The Engine may report its end before it reports that memory was the reason;
    /// the kernel's count goes with the last process, and the Engine remembers that there was one.
    async fn ended(&self, before: Look, mut container: Container) -> Result<Look, DockerError> {
        if container.exit_code == KILLED && !container.oom_killed {
            tokio::time::sleep(AFTERTHOUGHT).await;
            container = self.host.docker.inspect(&container.id).await?.unwrap_or(container);
        }
        let oom_kills = before.oom_kills.max(u64::from(container.oom_killed));
        Ok(Look { oom_kills, state: Err(why_down(&container)), ..before })
    }

    async fn probe(&mut self, container: &Container) -> Result<Probed, DockerError> {
        let (health, at) = (self.health, self.at);
        let address =
            |port| address(container, port, at).map_err(|saw| Probed::Failed(Sight::of(Way::NoAnswer, saw)));
        match &health.probe {
            Probe::Http { path, port, host, status } => Ok(match address(*port) {
                Ok(address) => {
                    let seen = probe::http(address, path, host.as_deref(), status, health.timeout).await;
                    self.probed(container, address, host.is_some(), seen)
                }
                Err(saw) => saw,
            }),
            Probe::Tcp { port } => Ok(match address(*port) {
                Ok(address) => {
                    self.probed(container, address, true, probe::tcp(address, health.timeout).await)
                }
                Err(saw) => saw,
            }),
            Probe::Command(command) => self.command(container, command, "the command", health.timeout).await,
            Probe::Docker => match &container.healthcheck {
                Some(HealthCommand { argv, timeout }) => {
                    // A check that the image gives more time has it, but not more than there is.
                    let longest = health.timeout.max(timeout.unwrap_or_default()).min(health.deadline);
                    self.command(container, argv, "Docker's health check", longest).await
                }
                // Looked for before.
                None => Ok(Probed::Failed(Sight::of(Way::NoExit, "(Docker's health check) is not there"))),
            },
            Probe::Running => Ok(Probed::Healthy),
        }
    }

    /// What a probe over the network saw, with what to do about it.
    fn probed(
        &self,
        container: &Container,
        address: SocketAddr,
        has_host: bool,
        seen: Result<(), Saw>,
    ) -> Probed {
        let process = self.process;
        Probed::Failed(match seen {
            Ok(()) => return Probed::Healthy,
            Err(Saw::Nothing(what)) => Sight::of(Way::NoAnswer, what),
            Err(Saw::Refused(what)) => {
                // At a published port it is Docker's proxy that does not listen.
                let pid = container.pid.filter(|_| container.ip == Some(address.ip()));
                let listening = pid.and_then(|pid| self.host.machine.listening_in(pid, &container.id));
                let found = listening.map(|sockets| listens(address.port(), &sockets, process));
                let (more, fix) = found.unwrap_or_default();
                Sight { fix, ..Sight::of(Way::Refused, format!("{what}{more}")) }
            }
            Err(Saw::Answered { status, what, said }) => {
                let fix = if !has_host && is_about_the_host(status, &said) {
                    format!(
                        "the Host header of the probe was the address, {address}: write host = \"NAME\" into [process.{process}.health], a name that the app answers to (Django: one of ALLOWED_HOSTS)"
                    )
                } else {
                    String::new()
                };
                Sight { fix, said: Some(said), ..Sight::of(Way::Status(status), what) }
            }
        })
    }

    /// A command that hangs is killed; while one cannot be, no other is started: they would pile up in the container
    /// that is to serve.
    async fn command(
        &mut self,
        container: &Container,
        command: &[String],
        name: &str,
        timeout: Duration,
    ) -> Result<Probed, DockerError> {
        let docker = &self.host.docker;
        let failed = |way, what: String| Ok(Probed::Failed(Sight::of(way, format!("({name}) {what}"))));
        if let Some(hanging) = &self.hanging {
            if docker.exec_runs(hanging).await? {
                return failed(Way::NoExit, "still runs since an earlier probe".to_owned());
            }
            self.hanging = None;
        }
        let exec = match docker.prepare_exec(&container.id, command).await {
            Ok(exec) => exec,
            // The container may have gone in between: the next look tells.
            Err(DockerError::Refused { message, .. }) => {
                return failed(Way::NoExit, format!("could not be run: {message}"));
            }
            Err(error) => return Err(error),
        };
        match docker.run_exec(&exec, timeout).await {
            Ok((0, _)) => Ok(Probed::Healthy),
            Ok((code, printed)) if printed.is_empty() => {
                failed(Way::Exit(code), format!("exited with code {code}"))
            }
            Ok((code, printed)) => {
                failed(Way::Exit(code), format!("exited with code {code} and printed '{printed}'"))
            }
            Err(DockerError::Refused { message, .. }) => {
                failed(Way::NoExit, format!("could not be run: {message}"))
            }
            Err(DockerError::Slow { limit, .. }) => {
                if let Some(pid) = docker.exec_pid(&exec).await? {
                    self.host.machine.kill_group_of(pid, &container.id);
                }
                self.hanging = Some(exec);
                failed(Way::NoExit, format!("did not end within {}", duration(limit)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether an answer is what frameworks say to a host that they do not know: Django 400, Rails 403, HTTP itself 421.
fn is_about_the_host(status: u16, said: &str) -> bool {
    match status {
        400 | 421 => true,
        403 | 404 => said.to_ascii_lowercase().contains("host"),
        _ => false,
    }
}

fn why_down(container: &Container) -> Sight {
    Sight::down(match container {
        Container { oom_killed: true, memory, .. } => out_of_memory(1, *memory),
        Container { error, .. } if !error.is_empty() => format!("it did not start: {error}"),
        Container { exit_code, .. } => format!("it exited with code {exit_code}{}", signal(*exit_code)),
    })
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
        At::Published(publish) => publish.iter().find(|p| p.container == port && p.protocol == Protocol::Tcp),
    };
    let reached = |address: Option<IpAddr>, port| {
        let address = address.filter(|address| !address.is_unspecified());
        Ok(SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port))
    };
    match published {
        Some(Publish { host: Some(number), address, .. }) => return reached(*address, *number),
        Some(picked) => {
            let key = picked.container_key();
            let own = container.bound.iter().find(|bound| bound.port == key);
            // Of a container that handover did not make it is not known which one it serves at.
            let any = || container.bound.iter().find(|bound| bound.tcp().is_some());
            let bound = own.or_else(|| container.labels.is_none().then(any).flatten());
            let bound = bound.ok_or("(the container) has no port on the host")?;
            return reached(Some(bound.address), bound.host);
        }
        None => {}
    }
    let own = container.ip.ok_or("(the container) has no address on its network")?;
    Ok(SocketAddr::new(own, port))
}
