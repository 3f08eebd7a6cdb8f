//! The Engine itself, and every container in it, whoever created it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, PortSummaryTypeEnum, SystemInfo, SystemVersion,
};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::labels::Labels;
use super::{Docker, DockerError, INSPECT};
use crate::model::{Protocol, Publish};

/// The Engine's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its release, such as `20.10.24`.
    pub version: String,
    /// The newest version of its API, which is used for calls without a version.
    pub api: (u32, u32),
    /// The operating system of its containers.
    pub os: String,
    /// Whether the kernel lets it limit the memory of a container.
    pub limits_memory: bool,
    /// Whether the users of a container are others outside of it (`userns-remap`).
    pub remaps_users: bool,
    /// The folder of its images.
    pub images: PathBuf,
}

/// The data folder of the system's containerd, unless its configuration says otherwise (`containerd(8)`, `root`).
const CONTAINERD: &str = "/var/lib/containerd";

impl Engine {
    fn of(version: SystemVersion, info: SystemInfo) -> Self {
        let root = PathBuf::from(info.docker_root_dir.unwrap_or_else(|| "/var/lib/docker".to_owned()));
        let in_containerd = info
            .driver_status
            .iter()
            .flatten()
            .any(|pair| pair.iter().any(|word| word.starts_with("io.containerd.snapshotter")));
        let images = match info.containerd.and_then(|containerd| containerd.address) {
            _ if !in_containerd => root,
            // One that the Engine started itself keeps its data below the Engine's.
            Some(address) if address.contains("/docker/") => root.join("containerd/daemon"),
            _ => PathBuf::from(CONTAINERD),
        };
        Self {
            version: version.version.unwrap_or_default(),
            api: version.api_version.as_deref().and_then(parse_version).unwrap_or_default(),
            os: info.os_type.or(version.os).unwrap_or_default(),
            limits_memory: info.memory_limit.unwrap_or(true),
            remaps_users: info
                .security_options
                .iter()
                .flatten()
                .any(|option| option.starts_with("name=userns")),
            images,
        }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A port of the host that a container publishes, or would publish if it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address; unspecified where it is all of them.
    pub address: IpAddr,
    /// The host's port.
    pub port: u16,
}

impl HostPort {
    /// Whether it is the port of the host, of TCP, that a process publishes so.
    pub fn is_tcp_of(&self, publish: &Publish) -> bool {
        self.protocol == Protocol::Tcp && publish.host == Some(self.port)
    }
}

/// A container in the Engine's list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its image.
    pub image_id: String,
    /// Our labels; nothing when it is not ours.
    pub labels: Option<Labels>,
    /// Whether it runs or is paused.
    pub up: bool,
    /// The ports of the host that it has now.
    pub ports: Vec<HostPort>,
}

impl Listed {
    fn of(summary: ContainerSummary) -> Self {
        let port = |port: &bollard::models::PortSummary| {
            let protocol = match port.typ {
                Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
                Some(PortSummaryTypeEnum::SCTP) => return None,
                _ => Protocol::Tcp,
            };
            Some(HostPort { protocol, address: host_address(port.ip.as_deref()), port: port.public_port? })
        };
        Self {
            id: summary.id.unwrap_or_default(),
            image_id: summary.image_id.unwrap_or_default(),
            name: summary
                .names
                .into_iter()
                .flatten()
                .next()
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            labels: summary.labels.as_ref().and_then(Labels::of),
            up: matches!(
                summary.state,
                Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::PAUSED)
            ),
            ports: summary.ports.iter().flatten().filter_map(port).collect(),
        }
    }
}

/// The address of a port; Docker writes none for all addresses.
pub(super) fn host_address(text: Option<&str>) -> IpAddr {
    text.and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

impl Docker {
    /// The Engine's description of itself.
    pub async fn engine(&self) -> Result<Engine, DockerError> {
        let (version, info) = futures_util::future::try_join(
            self.call("report its version", INSPECT, self.client.version()),
            self.call("describe itself", INSPECT, self.client.info()),
        )
        .await?;
        Ok(Engine::of(version, info))
    }

    /// Every container of this Engine, by name: ours, other people's, running or not.
    pub async fn everything(&self) -> Result<Vec<Listed>, DockerError> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let listed =
            self.call("list containers", INSPECT, self.client.list_containers(Some(options))).await?;
        let mut all: Vec<Listed> = listed.into_iter().map(Listed::of).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(info: serde_json::Value) -> Engine {
        let version =
            serde_json::json!({ "Version": "29.0.1", "ApiVersion": "1.52", "MinAPIVersion": "1.44" });
        Engine::of(serde_json::from_value(version).unwrap(), serde_json::from_value(info).unwrap())
    }

    #[test]
    fn images_are_where_the_storage_says() {
        // Debian's docker.io, cut short.
        let overlay = serde_json::json!({
            "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
            "MemoryLimit": true, "OSType": "linux", "DockerRootDir": "/data/docker",
        });
        let plain = engine(overlay);
        assert_eq!(plain.images, PathBuf::from("/data/docker"));
        assert_eq!((plain.api, plain.os.as_str(), plain.limits_memory), ((1, 52), "linux", true));
        // Docker 29 with the containerd image store, which is its default.
        let snapshots = |address: &str| {
            engine(serde_json::json!({
                "Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
                "Containerd": { "Address": address }, "DockerRootDir": "/var/lib/docker",
                "OSType": "linux", "MemoryLimit": false,
            }))
        };
        assert_eq!(snapshots("/run/containerd/containerd.sock").images, PathBuf::from("/var/lib/containerd"));
        assert!(!snapshots("/run/containerd/containerd.sock").limits_memory);
        let own = snapshots("/var/run/docker/containerd/containerd.sock");
        assert_eq!(own.images, PathBuf::from("/var/lib/docker/containerd/daemon"));
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(parse_version("1.41"), Some((1, 41)));
        assert!(parse_version("1.9").unwrap() < parse_version("1.30").unwrap());
        assert_eq!(parse_version("one"), None);
    }

    /// `GET /containers/json` of Docker 20.10, cut short.
    #[test]
    fn a_list_has_names_and_ports() {
        let listed = serde_json::json!({
            "Id": "4e9d", "Names": ["/old-web"], "State": "running", "Labels": { "com.example": "1" },
            "Ports": [
                { "PrivatePort": 9000, "Type": "tcp" },
                { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8000, "Type": "tcp" },
                { "IP": "::", "PrivatePort": 80, "PublicPort": 8000, "Type": "tcp" },
                { "IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp" },
            ],
        });
        let listed = Listed::of(serde_json::from_value(listed).unwrap());
        assert_eq!((listed.name.as_str(), listed.labels.is_none(), listed.up), ("old-web", true, true));
        let ports: Vec<String> =
            listed.ports.iter().map(|p| format!("{} {} {:?}", p.address, p.port, p.protocol)).collect();
        assert_eq!(ports, ["0.0.0.0 8000 Tcp", ":: 8000 Tcp", "127.0.0.1 5353 Udp"]);
    }
}
