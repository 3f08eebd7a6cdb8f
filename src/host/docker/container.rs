//! A container, as the Engine describes it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, Mount, MountPoint,
    MountType, NetworkingConfig, PortBinding,
};
use secrecy::{ExposeSecret, SecretString};

use super::bound_port::{BoundPort, bound_ports};
use super::engine::{HostPort, host_address};
use super::healthcheck::HealthCommand;
use super::labels::{Kind, Labels, MADE_OF};
use super::options;
use super::restart::RestartPolicy;
use crate::model::container::{ContainerOptions, Log, StopSignal};
use crate::model::container_name;
use crate::model::{Bytes, Protocol, Publish};

/// A volume or a path of the host that is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The volume's name, or the path of the host.
    pub source: String,
    /// Where it is in the container.
    pub target: String,
    /// Whether it is a volume that nobody has given a name: Docker made it for this container, because its image declares it.
    pub is_anonymous: bool,
}

impl Mounted {
    fn of(mount: MountPoint) -> Option<Self> {
        let name = mount.name.filter(|name| !name.is_empty());
        let is_anonymous =
            name.as_ref().is_some_and(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        Some(Self { source: name.or(mount.source)?, target: mount.destination?, is_anonymous })
    }
}

/// A container as it is now.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "they are the Engine's, and independent of each other")]
pub struct Container {
    /// Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Our labels; nothing when it is not ours.
    pub labels: Option<Labels>,
    /// What a service was made of, in the words of whoever made it.
    pub made_of: Option<String>,
    /// The names of the networks that it is on.
    pub networks: Vec<String>,
    /// The image as it was asked for: `repository@sha256:…` for ours.
    pub image: String,
    /// Whether its command runs. It does not while the container waits for its next restart.
    pub running: bool,
    /// Whether the Engine is about to start it again.
    pub restarting: bool,
    /// Whether the kernel killed it for its memory.
    pub oom_killed: bool,
    /// The last exit code.
    pub exit_code: i64,
    /// The Engine's message about a failed start.
    pub error: String,
    /// The id of its first process, in the host's namespace, while it runs.
    pub pid: Option<u32>,
    /// When it was started last, as Docker writes it.
    pub started_at: String,
    /// When it ended last, as Docker writes it.
    pub finished_at: String,
    /// How often the Engine started it again.
    pub restart_count: i64,
    /// What the Engine does when it exits.
    pub restart_policy: RestartPolicy,
    /// Whether the Engine removes it as soon as it has stopped (`docker run --rm`).
    pub auto_remove: bool,
    /// Where it is reached from the host: its address on its network, or the host's loopback when it is on the host's own.
    pub ip: Option<IpAddr>,
    /// All its own addresses; none on the host's network, or while it does not run.
    pub addresses: Vec<IpAddr>,
    /// The health check of its image, if it has one.
    pub healthcheck: Option<HealthCommand>,
    /// How long it may take to stop.
    pub stop_timeout: Duration,
    /// The signal that asks it to.
    pub stop_signal: StopSignal,
    /// The ports of the host that it publishes, whether it runs or not; without those that the Engine picks.
    pub ports: Vec<HostPort>,
    /// Its own ports that lead to the host now: while it runs.
    pub bound: Vec<BoundPort>,
    /// What is mounted into it.
    pub mounts: Vec<Mounted>,
    /// Its memory limit in bytes, if it has one.
    pub memory: Option<u64>,
    /// The values of its environment: kept only to mask them.
    pub environment: Vec<(String, SecretString)>,
}

/// Docker's default when a container does not say.
const DOCKER_STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl Container {
    /// Whether it is a service of ours, which belongs to no release.
    pub fn is_service(&self) -> bool {
        self.labels.as_ref().is_some_and(|labels| labels.kind == Kind::Service)
    }

    /// Whether it is one of ours and has the name of the container that serves.
    pub fn is_live(&self) -> bool {
        self.labels.as_ref().is_some_and(|l| self.name == container_name::live(&l.app, &l.process))
    }

    /// Its addresses, with each of its TCP ports that clients reach.
    pub fn places(&self) -> Vec<SocketAddr> {
        let mut ports: Vec<u16> = self.bound.iter().filter_map(BoundPort::tcp).collect();
        ports.sort_unstable();
        ports.dedup();
        let addresses = self.addresses.iter();
        addresses.flat_map(|ip| ports.iter().map(|port| SocketAddr::new(*ip, *port))).collect()
    }

    /// From the Engine's description.
    pub(crate) fn of(inspect: ContainerInspectResponse) -> Self {
        let state = inspect.state.unwrap_or_default();
        let host = inspect.host_config.as_ref();
        let config = inspect.config.unwrap_or_default();
        let network = inspect.network_settings.unwrap_or_default();
        let networks = network.networks.unwrap_or_default();
        Self {
            id: inspect.id.unwrap_or_default(),
            name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            labels: config.labels.as_ref().and_then(Labels::of),
            made_of: config.labels.as_ref().and_then(|labels| labels.get(MADE_OF).cloned()),
            networks: networks.keys().cloned().collect(),
            image: config.image.unwrap_or_default(),
            // Docker says "running" for one that waits for its next restart, too.
            running: state.running.unwrap_or(false) && !state.restarting.unwrap_or(false),
            restarting: state.restarting.unwrap_or(false),
            oom_killed: state.oom_killed.unwrap_or(false),
            exit_code: state.exit_code.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
            pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            started_at: state.started_at.unwrap_or_default(),
            finished_at: state.finished_at.unwrap_or_default(),
            restart_count: inspect.restart_count.unwrap_or_default(),
            restart_policy: RestartPolicy::of_docker(host.and_then(|h| h.restart_policy.as_ref())),
            auto_remove: host.and_then(|h| h.auto_remove).unwrap_or(false),
            ip: match host.and_then(|h| h.network_mode.as_deref()) {
                Some("host") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => networks.values().find_map(address),
            },
            addresses: networks.values().flat_map(addresses).collect(),
            healthcheck: HealthCommand::of(config.healthcheck.as_ref(), config.shell.as_ref()),
            stop_timeout: config
                .stop_timeout
                .and_then(|t| u64::try_from(t).ok())
                .map_or(DOCKER_STOP_TIMEOUT, Duration::from_secs),
            stop_signal: config.stop_signal.and_then(|its| its.try_into().ok()).unwrap_or_default(),
            ports: inspect.host_config.as_ref().map(host_ports).unwrap_or_default(),
            bound: bound_ports(network.ports.unwrap_or_default(), inspect.host_config.as_ref()),
            mounts: inspect.mounts.unwrap_or_default().into_iter().filter_map(Mounted::of).collect(),
            memory: inspect
                .host_config
                .as_ref()
                .and_then(|host| u64::try_from(host.memory?).ok())
                .filter(|bytes| *bytes > 0),
            environment: config
                .env
                .unwrap_or_default()
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
                .collect(),
        }
    }
}

fn address(on: &EndpointSettings) -> Option<IpAddr> {
    addresses(on).next()
}

fn addresses(on: &EndpointSettings) -> impl Iterator<Item = IpAddr> {
    [&on.ip_address, &on.global_ipv6_address].into_iter().filter_map(|a| a.as_deref()?.parse().ok())
}

/// Without bindings to a port that the Engine picks: they are never in the way.
fn host_ports(host: &HostConfig) -> Vec<HostPort> {
    let bindings = host.port_bindings.iter().flatten().flat_map(|(port, bindings)| {
        let protocol = if port.ends_with("/udp") { Protocol::Udp } else { Protocol::Tcp };
        bindings.iter().flatten().map(move |binding| (protocol, binding))
    });
    bindings
        .filter_map(|(protocol, binding)| {
            let port = binding.host_port.as_deref()?.parse().ok().filter(|port| *port != 0)?;
            Some(HostPort { protocol, address: host_address(binding.host_ip.as_deref()), port })
        })
        .collect()
}

impl Container {
    /// Whether it has ever been started: Docker's time of a start that never was is that of year 1.
    pub fn was_started(&self) -> bool {
        !self.started_at.is_empty() && !self.started_at.starts_with("0001-")
    }

    /// The ports that the Engine has picked, each once: it mostly has the same one for IPv4 and IPv6.
    pub fn picked_ports(&self) -> Vec<BoundPort> {
        let mut picked: Vec<BoundPort> = Vec::new();
        for bound in self.bound.iter().filter(|bound| bound.is_picked) {
            if !picked.iter().any(|other| (&other.port, other.host) == (&bound.port, bound.host)) {
                picked.push(bound.clone());
            }
        }
        picked
    }
}

/// What a container is created from.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// `repository@sha256:…`.
    pub image: String,
    /// The command; the image's own when there is none.
    pub command: Option<Vec<String>>,
    /// `NAME=value`.
    pub environment: Vec<SecretString>,
    /// Files of the host and their paths in it, read-only.
    pub files: Vec<(PathBuf, String)>,
    /// Its ports on the host.
    pub publish: Vec<Publish>,
    /// How long it may take to stop; written into it, so that a shutdown of the host honours it too.
    pub stop_timeout: Duration,
    /// The most memory it may use.
    pub memory: Option<Bytes>,
    /// What happens when it exits, and at a boot.
    pub restart_policy: RestartPolicy,
    /// The network of its release; nothing where it says its own, or needs none.
    pub network: Option<Joined>,
    /// What else it is made of.
    pub options: ContainerOptions,
}

/// A network, and how a container is called on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The network's name.
    pub name: String,
    /// A name beside that of the container, by which the others find it.
    pub alias: Option<String>,
}

impl Joined {
    /// As Docker takes it.
    pub(super) fn endpoint(&self) -> EndpointSettings {
        let aliases = self.alias.clone().map(|alias| vec![alias]);
        EndpointSettings { aliases, ..EndpointSettings::default() }
    }
}

impl Spec {
    /// `log` is the log to use: the configured one, or the default on this Engine.
    pub(super) fn to_docker(&self, log: &Log) -> ContainerCreateBody {
        let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
        for port in &self.publish {
            bindings.entry(port.container_key()).or_default().get_or_insert_default().push(PortBinding {
                host_ip: Some(port.address.map(|a| a.to_string()).unwrap_or_default()),
                host_port: Some(port.host.map(|number| number.to_string()).unwrap_or_default()),
            });
        }
        let mut body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: self.command.clone(),
            env: Some(self.environment.iter().map(|pair| pair.expose_secret().to_owned()).collect()),
            labels: Some(self.options.labels.clone().into_iter().chain(self.labels.to_map()).collect()),
            exposed_ports: Some(self.publish.iter().map(Publish::container_key).collect()),
            stop_timeout: i64::try_from(self.stop_timeout.as_secs()).ok(),
            host_config: Some(HostConfig {
                mounts: Some(self.files.iter().map(|(source, target)| bind(source, target)).collect()),
                port_bindings: Some(bindings),
                restart_policy: Some(self.restart_policy.to_docker()),
                memory: self.memory.map(|bytes| bytes.0),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        options::apply(&self.options, log, &self.labels.release(), &mut body);
        if let Some(joined) = &self.network {
            body.host_config.get_or_insert_default().network_mode = Some(joined.name.clone());
            let endpoints = HashMap::from([(joined.name.clone(), joined.endpoint())]);
            body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
        }
        body
    }
}

/// The long form: with the short one the Engine creates a folder for a missing source.
fn bind(source: &Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    }
}
