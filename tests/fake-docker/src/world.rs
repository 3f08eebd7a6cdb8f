//! Everything that survives a power cut, and what does not.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    net::Ipv4Addr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use crate::{
    answer::{Reply, refuse},
    container::Container,
    engine::Shared,
    events::Signalled,
    exec::Exec,
    image::Image,
    networks::Network,
    registry::Mood,
    volumes::Volume,
};

/// The Engine's state and the registry it pulls from.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) registry: Vec<Image>,
    pub(crate) registry_down: Option<String>,
    /// What the registry does with the next requests, instead of answering them.
    pub(crate) registry_moods: VecDeque<Mood>,
    pub(crate) local: Vec<LocalImage>,
    pub(crate) containers: Vec<Container>,
    /// Exit codes of removed containers, for who waits for them.
    pub(crate) removed: HashMap<String, i64>,
    pub(crate) execs: Vec<Exec>,
    /// The last signals to containers.
    pub(crate) signals: VecDeque<Signalled>,
    pub(crate) networks: Vec<Network>,
    pub(crate) volumes: Vec<Volume>,
    /// Why no network can be made.
    pub(crate) no_network: Option<String>,
    pub(crate) real_host_ports: bool,
    pub(crate) max_version: (u32, u32),
    pub(crate) min_version: (u32, u32),
    pub(crate) serial: u64,
    pub(crate) shared: Weak<Shared>,
}

/// An image that has been pulled.
#[derive(Clone)]
pub(crate) struct LocalImage {
    pub(crate) id: String,
    pub(crate) image: Image,
    /// `repository:tag`.
    pub(crate) tags: Vec<String>,
    /// `repository@digest`.
    pub(crate) digests: Vec<String>,
    pub(crate) created: jiff::Timestamp,
}

impl World {
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        Self {
            registry: Vec::new(),
            registry_down: None,
            registry_moods: VecDeque::new(),
            local: Vec::new(),
            containers: Vec::new(),
            removed: HashMap::new(),
            execs: Vec::new(),
            signals: VecDeque::new(),
            networks: Vec::new(),
            volumes: Vec::new(),
            no_network: None,
            real_host_ports: false,
            max_version: (1, 41),
            min_version: (1, 12),
            serial: 0,
            shared,
        }
    }

    /// The same for another Engine. Nothing of it runs.
    pub(crate) fn copied(&self, shared: Weak<Shared>) -> Self {
        let mut copy = Self { shared, ..self.clone() };
        for container in &mut copy.containers {
            // Counted by itself from now on.
            container.probes = Arc::new(AtomicUsize::new(container.probes.load(Ordering::Relaxed)));
        }
        copy
    }

    /// A fresh number, never given twice.
    pub(crate) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Finds a container by id, name or a unique beginning of its id, like the Engine in that order.
    pub(crate) fn find(&self, wanted: &str) -> Result<usize, Reply> {
        let by = |hit: &dyn Fn(&Container) -> bool| self.containers.iter().position(hit);
        let name = wanted.strip_prefix('/').unwrap_or(wanted);
        if let Some(at) = by(&|c| c.id == wanted).or_else(|| by(&|c| c.name == name)) {
            return Ok(at);
        }
        let mut starting = self.containers.iter().enumerate().filter(|(_, c)| c.id.starts_with(wanted));
        match (starting.next(), starting.next()) {
            (Some((at, _)), None) if !wanted.is_empty() => Ok(at),
            (Some(_), Some(_)) => {
                Err(refuse(400, format!("multiple IDs found with provided prefix: {wanted}")))
            }
            _ => Err(refuse(404, format!("No such container: {wanted}"))),
        }
    }

    pub(crate) fn container(&mut self, wanted: &str) -> Result<&mut Container, Reply> {
        let at = self.find(wanted)?;
        Ok(&mut self.containers[at])
    }
}

/// 64 hexadecimal digits made of anything that can be hashed.
pub(crate) fn hex64(of: impl Hash) -> String {
    let part = |part: u8| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        of.hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}{:016x}{:016x}", part(0), part(1), part(2), part(3))
}

/// The next loopback address for a container: half of 127.0.0.0/8, split by process so that test processes rarely meet.
pub(crate) fn next_address() -> Ipv4Addr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id() % 0x1FFF + 1;
    let own = GIVEN.fetch_add(1, Ordering::Relaxed) % 1022 + 1;
    Ipv4Addr::from(0x7F80_0000 | (process << 10) | own)
}
