//! The outside world, behind adapters that use the types of [`crate::model`].

pub mod aws;
pub mod check;
pub mod child;
pub mod clock;
pub mod conntrack;
pub mod docker;
pub mod iam;
pub mod iptables;
pub mod machine;
pub mod names;
mod netlink;
pub mod polite_close;
pub mod probe;
pub mod proxy;
pub mod redirect;
pub mod registry;
pub mod roots;
pub mod stall;
pub mod systemd;
pub mod web;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws::{Aws, AwsError};
use docker::{Docker, DockerError};
use iptables::Tables;
pub use machine::Machine;
use registry::size::ImageSizes;

use crate::model::{AppName, Explain as _};

/// Where things are on an instance.
#[derive(Debug, Clone)]
pub struct Paths {
    /// One folder per app: the journal and the releases.
    pub state: PathBuf,
    /// Where the run locks are: a folder of root's alone.
    pub lock: PathBuf,
    /// The log and the report of every run.
    pub log: PathBuf,
    /// The Engine's socket.
    pub docker: PathBuf,
    /// Which name servers there are.
    pub resolv_conf: PathBuf,
    /// The binary that runs, also if its file was deleted.
    pub binary: PathBuf,
    /// The folder of its copies.
    pub copies: PathBuf,
    /// The link by which operators and systemd call it.
    pub link: PathBuf,
    /// Where systemd's units of this instance are.
    pub units: PathBuf,
    /// A folder that exists where systemd runs.
    pub systemd: PathBuf,
    /// What talks to it.
    pub systemctl: PathBuf,
    /// Where the id of this EC2 instance may be read, the best source first.
    pub instance_id: Vec<PathBuf>,
}

/// The firmware of a Nitro instance, and what cloud-init writes at the first boot of each.
const INSTANCE_ID: [&str; 2] =
    ["/sys/devices/virtual/dmi/id/board_asset_tag", "/var/lib/cloud/data/instance-id"];

impl Paths {
    /// The places on a real instance. `DOCKER_HOST` may name another socket.
    pub fn of_the_system() -> Self {
        let socket = docker_host().and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
        Self {
            state: PathBuf::from("/var/lib/handover"),
            lock: PathBuf::from("/run/handover"),
            log: PathBuf::from("/var/log/handover"),
            docker: socket.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock")),
            resolv_conf: PathBuf::from(names::RESOLV_CONF),
            binary: PathBuf::from("/proc/self/exe"),
            copies: PathBuf::from("/opt/handover/bin"),
            link: PathBuf::from("/usr/local/bin/handover"),
            units: PathBuf::from("/etc/systemd/system"),
            systemd: PathBuf::from("/run/systemd/system"),
            systemctl: PathBuf::from("systemctl"),
            instance_id: INSTANCE_ID.map(PathBuf::from).to_vec(),
        }
    }

    /// Everything below one folder: for tests.
    pub fn below(root: &Path) -> Self {
        Self {
            state: root.join("state"),
            lock: root.join("lock"),
            log: root.join("log"),
            docker: root.join("docker.sock"),
            resolv_conf: root.join("resolv.conf"),
            binary: root.join("handover"),
            copies: root.join("opt"),
            link: root.join("bin/handover"),
            units: root.join("units"),
            systemd: root.join("systemd"),
            systemctl: root.join("systemctl"),
            instance_id: vec![root.join("instance-id")],
        }
    }

    /// The id of this EC2 instance, as far as it can be read here: nobody has to answer for that.
    pub fn instance_id(&self) -> Option<String> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).ok();
        let ids = self.instance_id.iter().filter_map(read).map(|text| text.trim().to_owned());
        let is_id = |id: &String| {
            id.strip_prefix("i-").is_some_and(|digits| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        ids.into_iter().find(is_id)
    }

    /// The apps that have a state folder here, by name.
    pub fn apps(&self) -> Vec<AppName> {
        let folders = std::fs::read_dir(&self.state).into_iter().flatten();
        let mut apps: Vec<AppName> =
            folders.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        apps.sort();
        apps
    }

    /// The state folder of an app.
    pub fn app(&self, app: &AppName) -> PathBuf {
        self.state.join(app.as_str())
    }
}

/// `DOCKER_HOST`, unless it is empty.
fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

/// The adapters, built once and passed by reference.
#[derive(Debug, Clone)]
pub struct Host {
    /// The Engine.
    pub docker: Docker,
    /// AWS. Built when it is first needed, because certificates take time to read.
    pub aws: LazyAws,
    /// The sizes of images.
    pub image_sizes: ImageSizes,
    /// The kernel.
    pub machine: Machine,
    /// Its rules for packets.
    pub tables: Tables,
    /// The places.
    pub paths: Paths,
}

impl Host {
    /// The instance that this process runs on.
    pub fn of_the_system() -> Result<Self, DockerError> {
        // Whoever names an Engine elsewhere must not be told about the one that is here.
        if let Some(host) = docker_host().filter(|host| !host.starts_with("unix://")) {
            return Err(DockerError::Elsewhere { host });
        }
        Self::at(Paths::of_the_system())
    }

    /// One without an Engine, such as a runner of CI: nobody answers a call to it.
    pub fn without_docker() -> Result<Self, DockerError> {
        // The client wants something to be there.
        Self::at(Paths { docker: PathBuf::from("/dev/null"), ..Paths::of_the_system() })
    }

    fn at(paths: Paths) -> Result<Self, DockerError> {
        Ok(Self {
            docker: Docker::at(&paths.docker)?,
            aws: LazyAws::default(),
            image_sizes: ImageSizes::default(),
            machine: Machine::of_the_system(),
            tables: Tables::default(),
            paths,
        })
    }

    /// The same, once the Engine's socket is there: at a first boot the Engine starts at the same time, and creates it.
    pub async fn of_the_system_within(patience: Duration) -> Result<Self, DockerError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match Self::of_the_system() {
                Err(error) if error.is_passing() && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                host => return host,
            }
        }
    }
}

/// AWS, built when it is first needed.
#[derive(Debug, Clone, Default)]
pub struct LazyAws(tokio::sync::OnceCell<Aws>);

impl LazyAws {
    /// An existing one: for tests.
    pub fn ready(aws: Aws) -> Self {
        Self(tokio::sync::OnceCell::new_with(Some(aws)))
    }

    /// The connection.
    pub async fn get(&self) -> Result<&Aws, AwsError> {
        self.0.get_or_try_init(|| async { Aws::of_the_system() }).await
    }

    /// The connection, if it has been used.
    pub fn if_used(&self) -> Option<&Aws> {
        self.0.get()
    }
}
