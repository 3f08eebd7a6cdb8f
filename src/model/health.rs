//! When a container counts as healthy.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::{Protocol, Publish, StatusRange};

/// The rule by which a container counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is asked.
    pub probe: Probe,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// How many must succeed in a row.
    pub successes: u32,
    /// For how long they must succeed, without a restart.
    pub min_healthy: Duration,
    /// When to give up.
    pub deadline: Duration,
}

/// How a container is asked whether it is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// An HTTP request whose answer has one of these status codes.
    Http {
        /// The path and query.
        path: String,
        /// The container's port.
        port: u16,
        /// The `Host` header; the address when there is none.
        host: Option<String>,
        /// The codes that count as healthy.
        status: Vec<StatusRange>,
    },
    /// A TCP connection.
    Tcp {
        /// The container's port.
        port: u16,
    },
    /// A command inside the container that exits 0.
    Command(Vec<String>),
    /// The image's `HEALTHCHECK`, as Docker runs it.
    Docker,
    /// Nothing is asked: it only has to keep running.
    Running,
}

impl Probe {
    /// The probe of a process that has none: its first TCP port accepts connections, or it keeps running.
    pub fn default_for(publish: &[Publish]) -> Self {
        let tcp = publish.iter().find(|port| port.protocol == Protocol::Tcp);
        tcp.map_or(Self::Running, |port| Self::Tcp { port: port.container })
    }
}

impl Health {
    /// This probe, with the defaults of everything else.
    pub const fn new(probe: Probe) -> Self {
        Self {
            probe,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            successes: 3,
            min_healthy: Duration::from_secs(5),
            deadline: Duration::from_mins(2),
        }
    }

    /// A shorter rule with the same probe: one success within `limit`.
    #[must_use]
    pub fn at_a_glance(self, limit: Duration) -> Self {
        let (interval, timeout) = (self.interval.min(limit / 10), self.timeout.min(limit));
        Self { successes: 1, min_healthy: Duration::ZERO, deadline: limit, interval, timeout, ..self }
    }

    /// The same rule with the default probe of these ports: for a container that handover did not create, whose right answers
    /// are not known.
    #[must_use]
    pub fn with_default_probe(self, publish: &[Publish]) -> Self {
        Self { probe: Probe::default_for(publish), ..self }
    }

    /// The shortest time in which the gate can be passed.
    pub fn shortest(&self) -> Duration {
        let probing = self.interval.saturating_mul(self.successes.saturating_sub(1));
        self.min_healthy.max(probing).saturating_add(self.timeout)
    }
}
