//! The rules for one published port.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use crate::host::iptables::{Mark, new_connections};

/// A port of the host that clients use, and where new connections to it are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The address of the host at which live is published; unspecified for all of its family.
    pub address: IpAddr,
    /// The port of the host at which live is published.
    pub port: u16,
    /// The candidate itself, on a network that it shares with live.
    pub candidate: SocketAddr,
    /// The port of the host that the Engine has picked for the candidate, at the same address.
    pub picked: u16,
}

/// What else there is on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The names of the bridges of all networks of the Engine.
    pub bridges: Vec<String>,
    /// Whether the Engine runs `docker-proxy` for published ports, as it does by itself.
    pub userland_proxy: bool,
}

impl Route {
    /// What a chain does with a new connection to this port, the first that fits.
    ///
    /// - From the host itself to a loopback address, and from containers: to the port that the Engine has picked. Docker's own
    ///   chains drop what goes from one of its bridges to another, and a container cannot reach itself by its own address.
    /// - From everywhere else: to the candidate itself. It sees the client's address, as live does, and no firewall for
    ///   what ends on the host is in the way.
    ///
    /// Without `docker-proxy` the Engine does all of it by NAT, and so do we.
    pub(super) fn rules(&self, surroundings: &Surroundings) -> Vec<String> {
        let Self { address, port, candidate, picked } = self;
        let head = format!("-p tcp --dport {port}");
        if !address.is_unspecified() {
            let to = SocketAddr::new(*address, *picked);
            return vec![format!("-d {address} {head} -j DNAT --to-destination {to}")];
        }
        let to_picked = format!("{head} -j REDIRECT --to-ports {picked}");
        let to_itself = format!("{head} -j DNAT --to-destination {candidate}");
        if !surroundings.userland_proxy {
            return vec![to_itself];
        }
        // Only docker-proxy leads from IPv6 to a container that has none.
        if address.is_ipv6() && candidate.is_ipv4() {
            return vec![to_picked];
        }
        let loopback = if address.is_ipv4() { "127.0.0.0/8" } else { "::1/128" };
        let bridges = surroundings.bridges.iter().map(|bridge| format!("-i {bridge} {to_picked}"));
        std::iter::once(format!("-d {loopback} {to_picked}")).chain(bridges).chain([to_itself]).collect()
    }

    /// What brings new connections to this port into the chain.
    pub(super) fn hook(&self, mark: &Mark<'_>, until: Option<Timestamp>) -> String {
        new_connections(self.address, self.port, until, &mark.comment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(address: &str, candidate: &str) -> Route {
        let (address, candidate) = (address.parse().unwrap(), candidate.parse().unwrap());
        Route { address, port: 80, candidate, picked: 32768 }
    }

    #[test]
    fn each_path_of_a_client_has_its_rule() {
        let bridges = vec!["docker0".to_owned(), "br-0123456789ab".to_owned()];
        let with_proxy = Surroundings { bridges, userland_proxy: true };
        let without = Surroundings { userland_proxy: false, ..with_proxy.clone() };
        let rules =
            |address: &str, candidate: &str, around| route(address, candidate).rules(around).join("\n");
        insta::assert_snapshot!(rules("0.0.0.0", "172.17.0.3:8000", &with_proxy), @r"
        -d 127.0.0.0/8 -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -i docker0 -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -i br-0123456789ab -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -p tcp --dport 80 -j DNAT --to-destination 172.17.0.3:8000
        ");
        insta::assert_snapshot!(rules("::", "172.17.0.3:8000", &with_proxy), @"-p tcp --dport 80 -j REDIRECT --to-ports 32768");
        insta::assert_snapshot!(rules("::", "[fd00::3]:8000", &with_proxy), @r"
        -d ::1/128 -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -i docker0 -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -i br-0123456789ab -p tcp --dport 80 -j REDIRECT --to-ports 32768
        -p tcp --dport 80 -j DNAT --to-destination [fd00::3]:8000
        ");
        insta::assert_snapshot!(rules("0.0.0.0", "172.17.0.3:8000", &without), @"-p tcp --dport 80 -j DNAT --to-destination 172.17.0.3:8000");
        insta::assert_snapshot!(rules("10.0.0.5", "172.17.0.3:8000", &with_proxy), @"-d 10.0.0.5 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.5:32768");
    }

    #[test]
    fn a_hook_says_whose_it_is_and_when_it_ends() {
        let app = "status-page".parse().unwrap();
        let mark = Mark { app: &app, deployment: "d-1" };
        let until = "2026-11-27T11:00:05.7+01:00".parse().unwrap();
        insta::assert_snapshot!(route("0.0.0.0", "172.17.0.3:8000").hook(&mark, Some(until)), @r#"-p tcp --dport 80 --syn -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover status-page d-1""#);
        insta::assert_snapshot!(route("10.0.0.5", "172.17.0.3:8000").hook(&mark, None), @r#"-d 10.0.0.5 -p tcp --dport 80 --syn -m addrtype --dst-type LOCAL -m comment --comment "handover status-page d-1""#);
    }
}
