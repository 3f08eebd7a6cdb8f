//! One container.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicUsize},
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    image::{Behaviour, ExecOutcome, LogLine},
    ports::{Binding, Published},
    serving::Listeners,
};

/// The states that the fake's containers can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Restarting,
    Exited,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }

    /// What the Engine calls running: a container between two restarts is.
    pub(crate) fn counts_as_running(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }
}

/// A restart policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) retries: i64,
}

impl Policy {
    /// The Engine's rule, at an exit and at a boot alike.
    pub(crate) fn restarts(&self, exit_code: i64, stopped_by_hand: bool, restarts: i64) -> bool {
        match self.name.as_str() {
            "always" => true,
            "unless-stopped" => !stopped_by_hand,
            "on-failure" => exit_code != 0 && (self.retries == 0 || restarts < self.retries),
            _ => false,
        }
    }
}

/// A bind mount whose source must exist when the container starts.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) mode: String,
    pub(crate) writable: bool,
    /// From `Binds`: the Engine makes a folder of a missing source.
    pub(crate) short_form: bool,
    /// A volume of the Engine's, which makes it.
    pub(crate) is_volume: bool,
    /// What the volume is labelled with if it is made for it.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Where a container is reached, as the Engine tells it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) ports: Vec<Published>,
    /// Exposed, on the bridge, and without a port of the host.
    pub(crate) inside: Vec<String>,
}

/// A network that a container was put on by a call.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) aliases: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) image_id: String,
    pub(crate) digest: String,
    pub(crate) argv: Vec<String>,
    pub(crate) config: Map<String, Value>,
    pub(crate) host_config: Map<String, Value>,
    pub(crate) policy: Policy,
    pub(crate) exposed: Vec<String>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) network: String,
    /// What it is called there.
    pub(crate) aliases: Vec<String>,
    /// The networks that it was put on beside the one that it was created with.
    pub(crate) others: Vec<Attached>,
    /// The named network that it was on.
    pub(crate) network_id: Option<String>,

    pub(crate) behaviour: Behaviour,
    pub(crate) execs: Vec<(Vec<String>, ExecOutcome)>,
    pub(crate) start_logs: Vec<LogLine>,

    pub(crate) status: Status,
    pub(crate) exit_code: i64,
    pub(crate) error: String,
    pub(crate) oom_killed: bool,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) restart_count: i64,
    pub(crate) stopped_by_hand: bool,
    pub(crate) started_before: bool,
    pub(crate) pid: u64,
    pub(crate) exits: u64,
    pub(crate) log: Vec<LogLine>,

    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) endpoint: String,
    /// Host ports it owns now.
    pub(crate) published: Vec<Published>,
    /// What inspect and the list say of it: after a power cut also of a container that died in it.
    pub(crate) shown: Shown,
    pub(crate) probes: Arc<AtomicUsize>,
    pub(crate) listeners: Option<Listeners>,
}

impl Container {
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.config.get("Labels")?.get(key)?.as_str()
    }

    pub(crate) fn strings(&self, field: &str) -> Vec<String> {
        let list = self.config.get(field).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// How long stop waits before it kills, when the call does not say.
    pub(crate) fn stop_signal(&self) -> &str {
        self.config.get("StopSignal").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it has an address of its own.
    pub(crate) fn on_bridge(&self) -> bool {
        !matches!(self.network.as_str(), "host" | "none")
    }

    /// Whether it is on a network that somebody made.
    pub(crate) fn on_named_network(&self) -> bool {
        !matches!(self.network.as_str(), "" | "default" | "bridge" | "host" | "none")
    }
}
