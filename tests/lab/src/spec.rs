//! What a set of namespaces is to become: the lab writes it, the first process in the namespaces reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// Where a part's own folder is seen inside its namespaces.
pub(crate) const INSIDE: &str = "/run/lab";
/// Where the first process listens for commands.
pub(crate) const CONTROL: &str = "/run/lab-control.sock";

/// The plan for one set of namespaces.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) hostname: String,
    /// End with the process that raised it: that process holds the other end of standard input.
    pub(crate) tied: bool,
    /// Trees that get a writable layer in memory, so that nothing is written to the machine's own.
    pub(crate) overlays: Vec<Bind>,
    /// Folders of the machine or of the lab, shown elsewhere.
    pub(crate) binds: Vec<Bind>,
    /// Empty disks of so many megabytes, new at each start.
    pub(crate) disks: Vec<(PathBuf, u32)>,
    /// Files, made anew at each start.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Commands for `ip -batch`, at once.
    pub(crate) network: Vec<String>,
    /// Commands for `ip -batch` when the network card has been put in.
    pub(crate) card: Vec<String>,
    pub(crate) services: Vec<Service>,
}

/// A tree and where it is to be seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

/// A process that the first process starts, and starts again when asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Only started when it is asked for.
    pub(crate) by_hand: bool,
    /// User and group, if not root.
    pub(crate) user: Option<(u32, u32)>,
    /// The signal that asks it to end.
    pub(crate) stop_signal: i32,
    pub(crate) ready: Ready,
}

/// How a service shows that it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// A connection is taken.
    Tcp(SocketAddr),
    /// A Docker Engine answers on this socket.
    Engine(PathBuf),
    /// A connection to this socket is taken.
    Unix(PathBuf),
    /// The file contains the text.
    File(PathBuf, String),
}

impl Service {
    pub(crate) fn new(name: &str, command: &[&str], ready: Ready) -> Self {
        Self {
            name: name.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::new(),
            by_hand: false,
            user: None,
            stop_signal: Signal::TERM.as_raw(),
            ready,
        }
    }
}

impl Bind {
    pub(crate) fn new(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self { from: from.into(), to: to.into() }
    }
}

impl Spec {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
