//! The truth about containers, for assertions.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde_json::Value;

use crate::{clock, container::Container, image::Behaviour};

/// A container as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "these are the Engine's own flags")]
pub struct ContainerView {
    /// Full id.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// Labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// The image as the create call named it.
    pub image: String,
    /// The manifest digest of that image.
    pub digest: String,
    /// `created`, `running`, `restarting` or `exited`.
    pub status: String,
    /// As in `State.Running`: also true between two restarts.
    pub running: bool,
    /// As in `State.ExitCode`.
    pub exit_code: i64,
    /// As in `State.Error`.
    pub error: String,
    /// As in `State.OOMKilled`.
    pub oom_killed: bool,
    /// `no`, `always`, `unless-stopped`, `on-failure`; empty when create named none.
    pub restart_policy: String,
    /// How often the policy restarted it since the last start by hand.
    pub restart_count: i64,
    /// What the Engine remembers about stops by hand: `unless-stopped` stays down at a boot.
    pub stopped_by_hand: bool,
    /// As in `State.StartedAt`.
    pub started_at: String,
    /// As in `State.FinishedAt`.
    pub finished_at: String,
    /// `KEY=value`, the image's included.
    pub env: Vec<String>,
    /// ENTRYPOINT and CMD together.
    pub argv: Vec<String>,
    /// Host ports it owns now.
    pub host_ports: Vec<u16>,
    /// Its loopback address, while it runs on the bridge.
    pub address: Option<Ipv4Addr>,
    /// The networks that it was put on beside the one that it was created with, and its names there.
    pub others: BTreeMap<String, Vec<String>>,
    /// Bind mounts: source and target.
    pub binds: Vec<(String, String)>,
    /// `HostConfig.Memory`.
    pub memory: i64,
    /// `Config.StopTimeout`.
    pub stop_timeout: Option<i64>,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// HTTP requests that reached it since it started.
    pub probes: usize,
}

/// A host port and who owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The host port.
    pub host_port: u16,
    /// The port inside, as `8000/tcp`.
    pub container_port: String,
    /// The running container that owns it.
    pub container: ContainerView,
}

impl Container {
    pub(crate) fn view(&self) -> ContainerView {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = self.config.get("Labels").and_then(Value::as_object);
        ContainerView {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: labels.into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect(),
            image: self.config.get("Image").map(text).unwrap_or_default(),
            digest: self.digest.clone(),
            status: self.status.word().to_owned(),
            running: self.status.counts_as_running(),
            exit_code: self.exit_code,
            error: self.error.clone(),
            oom_killed: self.oom_killed,
            restart_policy: self.policy.name.clone(),
            restart_count: self.restart_count,
            stopped_by_hand: self.stopped_by_hand,
            started_at: clock::text(self.started_at),
            finished_at: clock::text(self.finished_at),
            env: self.strings("Env"),
            argv: self.argv.clone(),
            host_ports: self.published.iter().map(|p| p.host_port).collect(),
            address: self.address,
            others: self.others.iter().map(|on| (on.name.clone(), on.aliases.clone())).collect(),
            binds: self.binds.iter().map(|b| (b.source.clone(), b.target.clone())).collect(),
            memory: self.host_config.get("Memory").and_then(Value::as_i64).unwrap_or(0),
            stop_timeout: self.config.get("StopTimeout").and_then(Value::as_i64),
            behaviour: self.behaviour.clone(),
            probes: self.probes_seen(),
        }
    }
}
