//! What may go wrong with a call to the Engine.

use std::time::Duration;

use bollard::errors::Error;

use crate::model::Explain;
use crate::text::{clean, duration};

/// A call to the Engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The Engine cannot be reached.
    #[error("Docker does not answer at '{socket}': {why}")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        why: String,
    },
    /// The environment names an Engine that is not on this instance.
    #[error("DOCKER_HOST is '{}', and handover works with the Engine of its own instance, by its Unix socket", clean(.host))]
    Elsewhere {
        /// The variable.
        host: String,
    },
    /// The Engine refused.
    #[error("Docker refuses to {act}: {}", clean(.message))]
    Refused {
        /// What was asked for.
        act: String,
        /// HTTP's status code.
        status: u16,
        /// The Engine's message.
        message: String,
    },
    /// A network that is asked for is not there.
    #[error("Docker has no network '{name}'")]
    NoNetwork {
        /// Its name.
        name: String,
    },
    /// The network of a release cannot be made.
    #[error("a network that this deployment did not make has the name that it needs, '{name}'")]
    NetworkTaken {
        /// Its name.
        name: String,
    },
    /// A volume of the release cannot be made.
    #[error("a volume that this deployment did not make has the name that it needs, '{name}'")]
    VolumeTaken {
        /// Its name.
        name: String,
    },
    /// There are no addresses for one more network.
    #[error("Docker has no addresses left for network '{name}'")]
    NoAddresses {
        /// Its name.
        name: String,
    },
    /// The Engine still holds a port that no container uses.
    #[error(
        "Docker refuses to {act}: it still holds {port} for a container that is gone, which can happen after a power cut during a start"
    )]
    PortHeld {
        /// What was asked for.
        act: String,
        /// Address and port, as the Engine writes them.
        port: String,
    },
    /// The Engine gave an answer that cannot be used.
    #[error("failed to {act}")]
    Failed {
        /// What was asked for.
        act: String,
        /// Why.
        source: Error,
    },
    /// The Engine gave no answer in time.
    #[error("Docker did not {act} within {}", duration(*.limit))]
    Slow {
        /// What was asked for.
        act: String,
        /// The limit.
        limit: Duration,
    },
    /// A part is missing in the Engine's answer.
    #[error("Docker's answer to '{act}' lacks {what}")]
    Incomplete {
        /// What was asked for.
        act: String,
        /// What is missing.
        what: &'static str,
    },
}

impl DockerError {
    /// From an error of the client in a call to the Engine at a socket.
    pub(super) fn of(act: String, error: Error, socket: &str) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { act, status: status_code, message }
            }
            Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::IOError { .. }
            | Error::SocketNotFoundError(_) => Self::unreachable(&error, socket),
            source => Self::Failed { act, source },
        }
    }

    /// The Engine cannot be reached, for this reason.
    pub(super) fn unreachable(error: &Error, socket: &str) -> Self {
        let why = match error {
            Error::SocketNotFoundError(_) => "there is no such file".to_owned(),
            error => root(error),
        };
        Self::Unreachable { socket: socket.to_owned(), why }
    }

    /// The HTTP status code of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

impl Explain for DockerError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some("check that it runs: systemctl status docker".to_owned()),
            Self::Elsewhere { .. } => Some(
                "unset DOCKER_HOST, or write DOCKER_HOST=unix:///PATH/OF/THE/SOCKET; another instance: run handover there"
                    .to_owned(),
            ),
            Self::NoNetwork { name } => {
                Some(format!("create it (docker network create {name}), or change 'network'"))
            }
            Self::NetworkTaken { name } => Some(format!("docker network rm {name}, if nobody needs it")),
            Self::VolumeTaken { name } => Some(format!("docker volume rm {name}, if nobody needs it")),
            Self::NoAddresses { .. } => Some(
                "remove networks that nobody uses (docker network ls; docker network prune), or give Docker more addresses: default-address-pools in /etc/docker/daemon.json"
                    .to_owned(),
            ),
            Self::PortHeld { .. } => {
                Some("restart it (systemctl restart docker), then: handover recover".to_owned())
            }
            _ => None,
        }
    }

    /// The Engine is not there, or is starting; or a container that crashes and is started again has ended at this very moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => true,
            Self::Refused { message, .. } => message.contains("cannot update a stopped container"),
            _ => false,
        }
    }
}

/// The innermost cause: the layers of clients around it add nothing.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}
