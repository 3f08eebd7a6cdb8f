//! The Docker Engine. Every operation is idempotent: "already done" and "not there" are answers, not errors, because each
//! operation is repeated after a crash.

mod attended;
mod bound_port;
mod container;
mod engine;
mod error;
mod healthcheck;
mod image;
pub mod labels;
mod network;
mod options;
mod output;
mod pull;
mod restart;
pub mod start;
mod stop;
mod volume;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::exec::StartExecResults;
use bollard::models::{ContainerUpdateBody, ExecConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

pub use attended::{Attached, Printed};
pub use bound_port::BoundPort;
pub use container::{Container, Joined, Mounted, Spec};
pub use engine::{Engine, HostPort, Listed};
pub use error::DockerError;
pub use healthcheck::HealthCommand;
pub use image::{LocalImage, Platform, RegistryLogin, Resolved, StoredImage};
pub use network::ReleaseNetwork;
use output::Output;
pub use pull::{Patience, Progress};
pub use restart::{RestartPolicy, UnknownPolicy};
pub use volume::ReleaseVolume;

use crate::model::AppName;
use crate::model::container::{Log, LogDriver, Network};

/// Limits of the Engine's answers; those of the ECS agent (agent/dockerclient/timeout.go), which has seen slow disks.
const INSPECT: Duration = Duration::from_secs(30);
const CREATE: Duration = Duration::from_mins(4);
const START: Duration = Duration::from_mins(3);
const REMOVE: Duration = Duration::from_mins(5);
/// The most that is read of a container's log, in bytes: its lines may be of any length.
const LONGEST_LOG: usize = 256 << 10;
/// The most that is read of a command's output, in bytes.
const LONGEST_OUTPUT: usize = 4 << 10;

/// A command in a container that the Engine knows.
#[derive(Debug, Clone)]
pub struct Exec {
    id: String,
    act: String,
}

/// The Engine's socket.
#[derive(Debug, Clone)]
pub struct Docker {
    client: bollard::Docker,
    socket: String,
    patience: Patience,
}

impl Docker {
    /// The Engine at a socket. Nothing is sent yet.
    pub fn at(socket: &Path) -> Result<Self, DockerError> {
        let socket = socket.to_string_lossy().into_owned();
        // Our own limits are per call; this one only must not be shorter than any of them.
        let longest = 3 * 60 * 60;
        match bollard::Docker::connect_with_unix(&socket, longest, bollard::API_DEFAULT_VERSION) {
            Ok(client) => Ok(Self { client, socket, patience: Patience::default() }),
            Err(error) => Err(DockerError::unreachable(&error, &socket)),
        }
    }

    /// The same, with other limits for a registry.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// How long a registry may take.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    async fn call<T>(
        &self,
        act: impl Into<String>,
        limit: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        let act = act.into();
        tracing::debug!(act, "docker");
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(DockerError::of(act, error, &self.socket)),
            Err(_) => Err(DockerError::Slow { act, limit }),
        }
    }

    /// Waits until the Engine answers, for as long as `patience`: on a first boot it starts at the same time.
    pub async fn wait_until_up(&self, patience: Duration) -> Result<(), DockerError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match self.call("answer a ping", INSPECT, self.client.ping()).await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// The container of this name or id, if there is one.
    pub async fn inspect(&self, name: &str) -> Result<Option<Container>, DockerError> {
        let act = format!("inspect '{name}'");
        match self.call(act, INSPECT, self.client.inspect_container(name, None)).await {
            Ok(answer) => Ok(Some(Container::of(answer))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every container of an app's releases, running or not.
    pub async fn containers_of(&self, app: &AppName) -> Result<Vec<Container>, DockerError> {
        let (_, of_releases) = self.services_and_others(app).await?;
        Ok(of_releases)
    }

    /// The containers of an app's services, running or not.
    pub async fn services_of(&self, app: &AppName) -> Result<Vec<Container>, DockerError> {
        let (services, _) = self.services_and_others(app).await?;
        Ok(services)
    }

    /// Both, in this order.
    pub async fn services_and_others(
        &self,
        app: &AppName,
    ) -> Result<(Vec<Container>, Vec<Container>), DockerError> {
        let all = self.labelled(&format!("{}={app}", labels::APP)).await?;
        Ok(all.into_iter().partition(Container::is_service))
    }

    /// Every container of every app.
    pub async fn all_ours(&self) -> Result<Vec<Container>, DockerError> {
        self.labelled(labels::APP).await
    }

    async fn labelled(&self, label: &str) -> Result<Vec<Container>, DockerError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed =
            self.call("list containers", INSPECT, self.client.list_containers(Some(options))).await?;
        let mut containers = Vec::new();
        for id in listed.into_iter().filter_map(|c| c.id) {
            // One that was removed since the list was made is left out.
            containers.extend(self.inspect(&id).await?);
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// Creates a container, not started. An existing one with this name and these labels is used as it is.
    pub async fn create(&self, spec: &Spec) -> Result<String, DockerError> {
        let act = format!("create container '{}'", spec.name);
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        self.check_network(spec.options.network.as_ref()).await?;
        let body = spec.to_docker(&self.log_of(spec).await?);
        match self.call(&act, CREATE, self.client.create_container(Some(options), body)).await {
            Ok(answer) => Ok(answer.id),
            Err(error) if error.status() == Some(409) => match self.inspect(&spec.name).await? {
                Some(there) if there.labels.as_ref() == Some(&spec.labels) => Ok(there.id),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Where the output of a container goes.
    async fn log_of(&self, spec: &Spec) -> Result<Log, DockerError> {
        let log = spec.options.log.clone().unwrap_or_else(|| Log::of_default_driver(BTreeMap::new()));
        if log.driver != LogDriver::Default {
            return Ok(log);
        }
        let info = self.call("report its log driver", INSPECT, self.client.info()).await?;
        Ok(log.on_engine(info.logging_driver.as_deref().unwrap_or_default()))
    }

    /// The Engine would notice a network that is not there only when it starts the container: too late, live is stopped
    /// by then.
    pub async fn check_network(&self, network: Option<&Network>) -> Result<(), DockerError> {
        let Some(Network::Named(name)) = network else { return Ok(()) };
        match self
            .call(format!("inspect network '{name}'"), INSPECT, self.client.inspect_network(name, None))
            .await
        {
            Err(error) if error.is_not_found() => Err(DockerError::NoNetwork { name: name.clone() }),
            answer => answer.map(drop),
        }
    }

    /// Starts a container, unless it runs already.
    pub async fn start(&self, id: &str) -> Result<(), DockerError> {
        let act = format!("start container '{}'", short(id));
        match already_done_is_fine(self.call(act, START, self.client.start_container(id, None)).await) {
            Err(DockerError::Refused { act, status, message }) => Err(self
                .port_held(&act, &message)
                .await
                .unwrap_or(DockerError::Refused { act, status, message })),
            answer => answer,
        }
    }

    /// Docker 20.10 does not release a port when its host was switched off between the creation of a container's network
    /// endpoint and its start: at the next boot it removes the endpoint, but not from its list of ports in use.
    async fn port_held(&self, act: &str, message: &str) -> Option<DockerError> {
        let (_, rest) = message.split_once("Bind for ")?;
        let (port, _) = rest.split_once(" failed: port is already allocated")?;
        let number: u16 = port.rsplit(':').next()?.parse().ok()?;
        let containers = self.everything().await.ok()?;
        let is_in_use = containers.iter().flat_map(|c| &c.ports).any(|used| used.port == number);
        (!is_in_use).then(|| DockerError::PortHeld { act: act.to_owned(), port: port.to_owned() })
    }

    /// Renames a container, unless it has the name already.
    pub async fn rename(&self, id: &str, to: &str) -> Result<(), DockerError> {
        if self.inspect(id).await?.is_some_and(|c| c.name == to) {
            return Ok(());
        }
        let act = format!("rename container '{}' to '{to}'", short(id));
        let options = RenameContainerOptionsBuilder::new().name(to).build();
        self.call(act, INSPECT, self.client.rename_container(id, options)).await
    }

    /// Sets what happens when a container exits, and at a boot.
    pub async fn set_restart_policy(&self, id: &str, policy: RestartPolicy) -> Result<(), DockerError> {
        let act = format!("set the restart policy of container '{}' to '{policy}'", short(id));
        let body = ContainerUpdateBody {
            restart_policy: Some(policy.to_docker()),
            ..ContainerUpdateBody::default()
        };
        self.call(act, INSPECT, self.client.update_container(id, body)).await
    }

    /// Removes a container that does not run, with its anonymous volumes.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        self.remove_with(id, true).await
    }

    /// The same, without its anonymous volumes: what is in them stays.
    pub async fn remove_but_its_volumes(&self, id: &str) -> Result<(), DockerError> {
        self.remove_with(id, false).await
    }

    async fn remove_with(&self, id: &str, volumes: bool) -> Result<(), DockerError> {
        let act = format!("remove container '{}'", short(id));
        let options = RemoveContainerOptionsBuilder::new().v(volumes).build();
        gone_is_fine(self.call(act, REMOVE, self.client.remove_container(id, Some(options))).await)
    }

    /// Prepares a command to run in a container.
    pub async fn prepare_exec(&self, id: &str, command: &[String]) -> Result<Exec, DockerError> {
        let act = format!("run a command in container '{}'", short(id));
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.call(&act, INSPECT, self.client.create_exec(id, config)).await?.id;
        Ok(Exec { id: exec, act })
    }

    /// Runs a prepared command, and returns its exit code and the last line that it printed. One that does
    /// not end within `limit` goes on in the container: the Engine cannot stop it.
    pub async fn run_exec(&self, exec: &Exec, limit: Duration) -> Result<(i64, String), DockerError> {
        let run = async {
            let mut printed = Output::of_at_most(LONGEST_OUTPUT);
            if let StartExecResults::Attached { mut output, .. } =
                self.client.start_exec(&exec.id, None).await?
            {
                while let Some(chunk) = output.next().await.transpose()? {
                    printed.take(&chunk.into_bytes());
                }
            }
            Ok((self.client.inspect_exec(&exec.id).await?.exit_code, printed))
        };
        let (exit_code, printed) = self.call(&exec.act, limit, run).await?;
        let exit_code =
            exit_code.ok_or(DockerError::Incomplete { act: exec.act.clone(), what: "the exit code" })?;
        Ok((exit_code, printed.lines().pop().unwrap_or_default()))
    }

    /// Whether a command still runs. One of a container that is gone does not.
    pub async fn exec_runs(&self, exec: &Exec) -> Result<bool, DockerError> {
        match self.call(&exec.act, INSPECT, self.client.inspect_exec(&exec.id)).await {
            Ok(answer) => Ok(answer.running.unwrap_or(false)),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The process of a command, in the host's namespace, while it runs.
    pub async fn exec_pid(&self, exec: &Exec) -> Result<Option<u32>, DockerError> {
        match self.call(&exec.act, INSPECT, self.client.inspect_exec(&exec.id)).await {
            Ok(answer) if answer.running == Some(true) => {
                Ok(answer.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
            }
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(None),
        }
    }

    /// The last lines that a container wrote, as it wrote them: neither free of secrets nor fit to be printed.
    pub async fn last_lines(&self, id: &str, lines: usize) -> Vec<String> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut printed = Output::of_at_most(LONGEST_LOG);
        let read = async {
            let mut output = self.client.logs(id, Some(options));
            while let Some(Ok(chunk)) = output.next().await {
                printed.take(&chunk.into_bytes());
            }
        };
        // Evidence is useful, but nothing waits for it.
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
        printed.lines()
    }
}

/// What a container exits with that was killed: 128 and the signal's number.
pub const KILLED: i64 = 137;

/// The first twelve digits of an id, as people quote it; a name stays as it is.
fn short(id: &str) -> &str {
    id.get(..12).filter(|_| id.len() == 64).unwrap_or(id)
}

/// 304: it was done already.
fn already_done_is_fine(answer: Result<(), DockerError>) -> Result<(), DockerError> {
    match answer {
        Err(error) if error.status() == Some(304) => Ok(()),
        answer => answer,
    }
}

/// 404: there is nothing left to do.
pub fn gone_is_fine(answer: Result<(), DockerError>) -> Result<(), DockerError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer,
    }
}
