//! Where the ports of a running container are on the host.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bollard::models::{HostConfig, PortBinding, PortMap};
use serde::Serialize;

use super::engine::host_address;

/// A container's port and where it is on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundPort {
    /// The container's port, as Docker writes it: `8000/tcp`.
    pub port: String,
    /// The host's address; unspecified where it is all of them.
    pub address: IpAddr,
    /// The host's port.
    pub host: u16,
    /// Whether the Engine has picked it.
    #[serde(skip)]
    pub is_picked: bool,
}

impl BoundPort {
    /// The container's port, if it is one of TCP.
    pub fn tcp(&self) -> Option<u16> {
        self.port.strip_suffix("/tcp")?.parse().ok()
    }
}

impl fmt::Display for BoundPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.port, SocketAddr::new(self.address, self.host))
    }
}

/// In the order of the ports, IPv4 first.
pub(super) fn bound_ports(ports: PortMap, host: Option<&HostConfig>) -> Vec<BoundPort> {
    let asked = host.and_then(|host| host.port_bindings.as_ref());
    let of_port = |(port, bindings): (String, Option<Vec<PortBinding>>)| {
        let asked: Vec<&str> = asked
            .and_then(|asked| asked.get(&port)?.as_ref())
            .into_iter()
            .flatten()
            .filter_map(|binding| binding.host_port.as_deref())
            .collect();
        let one = move |binding: PortBinding| {
            let written = binding.host_port.unwrap_or_default();
            Some(BoundPort {
                port: port.clone(),
                address: host_address(binding.host_ip.as_deref()),
                host: written.parse().ok()?,
                is_picked: !asked.contains(&written.as_str()),
            })
        };
        bindings.unwrap_or_default().into_iter().filter_map(one).collect::<Vec<_>>()
    };
    let mut bound: Vec<BoundPort> = ports.into_iter().flat_map(of_port).collect();
    bound.sort_by(|a, b| (&a.port, a.address, a.host).cmp(&(&b.port, b.address, b.host)));
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_udp_is_none_of_tcp() {
        let bound = |port: &str| BoundPort {
            port: port.to_owned(),
            address: IpAddr::from([0, 0, 0, 0]),
            host: 53,
            is_picked: false,
        };
        assert_eq!((bound("8000/tcp").tcp(), bound("53/udp").tcp()), (Some(8000), None));
    }
}
