//! What a container is made of, apart from its image, command and environment.
//!
//! A key that is not set is left out of what is serialized: the fingerprint of a release must not change because a
//! newer version knows more keys.

mod devices;
mod log;
mod mounts;
mod security;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::Bytes;

pub use devices::{Device, Gpus};
pub use log::{Log, LogDriver};
pub use mounts::{Bundled, Source, Tmpfs, Volume};
pub use security::SecurityOption;
pub use values::{Capability, Cpus, ExtraHost, Hostname, Network, StopSignal, ULIMITS, Ulimit, User};

/// What a container is made of, where it differs from Docker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ContainerOptions {
    /// The signal that stops it; the image's own when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<StopSignal>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// The most CPU time it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// The user of its command; the image's own when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Whether it can only write to its volumes and tmpfs.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Folders that are in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// Folders and files of the host, and Docker's named volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Lines of its `/etc/hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// Its network; Docker's default bridge when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What it may do beyond Docker's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<Capability>,
    /// What it may not do of Docker's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<Capability>,
    /// Limits of its processes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The size of its `/dev/shm`; 64 MiB when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// Whether Docker's small init is its first process: it reaps children and passes signals on.
    #[serde(skip_serializing_if = "is_false")]
    pub init: bool,
    /// Whether setuid programs in it gain nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// Labels beside handover's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it calls its host; the first letters of its id when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// What runs in place of the image's `ENTRYPOINT`; an empty one is none at all. The image's `CMD` does not count with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The folder in which its command starts; the image's own when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// The servers that it asks for names; the host's when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// The most processes and threads that it may have; -1 and 0 are no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// What confines it, apart from `no_new_privileges`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<SecurityOption>,
    /// GPUs of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
