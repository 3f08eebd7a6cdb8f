//! Ports: each that is to be published is free, or held by what the switch will stop.

use std::net::IpAddr;

use super::{Found, Live};
use crate::config::Settings;
use crate::host::Machine;
use crate::host::docker::{Container, HostPort, Listed, RestartPolicy};
use crate::host::machine::sockets::{Holder, Socket};
use crate::model::{ProcessName, Protocol, Publish, container_name};

/// Who has which socket: the kernel, or what a test says.
pub(super) trait Seen {
    /// Every socket that keeps others from its port.
    fn sockets(&self) -> Vec<Socket>;
    /// The process that has one, if it can be seen.
    fn holder(&self, socket: &Socket) -> Option<Holder>;
}

impl Seen for Machine {
    fn sockets(&self) -> Vec<Socket> {
        Self::sockets(self)
    }

    fn holder(&self, socket: &Socket) -> Option<Holder> {
        Self::holder(self, socket)
    }
}

/// Looks at every port. A container is asked for by the Engine's list: the sockets that Docker opens for it are its own.
pub(super) fn check(
    settings: &Settings,
    containers: &[Listed],
    live: &Live,
    seen: &impl Seen,
    found: &mut Found,
) {
    let sockets = seen.sockets();
    let others: Vec<&Listed> =
        containers.iter().filter(|container| !will_be_stopped(live, container)).collect();
    for (process, port) in wanted(settings) {
        let has_it = |container: &&Listed| container.ports.iter().any(|held| clash(port, held));
        for holder in others.iter().copied().filter(has_it) {
            refuse_container(settings, process, port, holder, found);
        }
        let foreign = sockets
            .iter()
            .filter(|socket| clash(port, &held_by(socket)) && !is_of_docker(socket, containers));
        // A process that listens at several addresses is named once.
        let mut named: Vec<Option<Holder>> = vec![];
        for holder in foreign.map(|socket| seen.holder(socket)) {
            if named.contains(&holder) {
                continue;
            }
            // In the host's network, a container's sockets are like anybody's.
            let id = holder.as_ref().and_then(|holder| holder.container.as_ref());
            match containers.iter().find(|container| Some(&container.id) == id) {
                Some(container) if will_be_stopped(live, container) => {}
                Some(container) => refuse_container(settings, process, port, container, found),
                None => refuse_process(process, port, holder.as_ref(), found),
            }
            named.push(holder);
        }
    }
}

/// Other people's containers that do not run, but come back at a boot with a port that is to be published.
pub(super) fn check_resting(settings: &Settings, resting: &[Container], found: &mut Found) {
    for (process, port) in wanted(settings) {
        let wants_it = |container: &&Container| container.ports.iter().any(|held| clash(port, held));
        for Container { name, .. } in
            resting.iter().filter(|c| c.restart_policy == RestartPolicy::Always).filter(wants_it)
        {
            found.note(format!(
                "'{name}' comes back at a boot and then takes port {} of {process}: docker update --restart=no {name}",
                named(port)
            ));
        }
    }
}

/// Those that are named. One that Docker picks is free.
fn wanted(settings: &Settings) -> impl Iterator<Item = (&ProcessName, &Publish)> {
    let all =
        settings.processes.iter().flat_map(|(name, its)| its.publish.iter().map(move |port| (name, port)));
    all.filter(|(_, port)| port.host.is_some())
}

/// Whether a container gives its ports back before they are needed: it is what serves now, ours or what `replaces` names.
fn will_be_stopped(live: &Live, container: &Listed) -> bool {
    live.values().any(|live| live.id == container.id)
}

fn refuse_container(
    settings: &Settings,
    process: &ProcessName,
    port: &Publish,
    holder: &Listed,
    found: &mut Found,
) {
    let name = &holder.name;
    let live = container_name::live(&settings.app, process);
    let held = format!("port {} is held by container '{name}'", named(port));
    match &holder.labels {
        None => found.finding(
            format!("{held}, which handover did not make"),
            format!("docker stop {name}, or write replaces = \"{name}\" in [process.{process}]"),
        ),
        Some(labels) if labels.app != settings.app => found.finding(
            format!("{held} of app '{}'", labels.app),
            format!("publish another port in [process.{process}], or in that app"),
        ),
        // A switch was cut off, and what was written down about it is lost.
        Some(labels) if settings.processes.contains_key(&labels.process) => found.finding(
            format!("{held}, of {} of this app, which no journal knows", labels.release),
            format!("docker stop {name}; docker start {live} (if it is there); deploy again"),
        ),
        Some(labels) => found.finding(
            format!("{held}, of process '{}' of this app, which handover.toml does not name", labels.process),
            format!("docker rm -f {name}, or publish another port in [process.{process}]"),
        ),
    }
}

fn refuse_process(process: &ProcessName, port: &Publish, holder: Option<&Holder>, found: &mut Found) {
    let protocol = match port.protocol {
        Protocol::Tcp => "t",
        Protocol::Udp => "u",
    };
    match holder {
        Some(Holder { pid, command, .. }) => found.finding(
            format!("port {} is held by '{command}' (pid {pid})", named(port)),
            format!("stop it, or publish another port in [process.{process}]"),
        ),
        None => found.finding(
            format!("port {} is held by a process that cannot be seen from here", named(port)),
            format!("stop it: ss -{protocol}lnp 'sport = :{}'", number(port)),
        ),
    }
}

/// Whether the Engine opened a socket for a container: its proxy for all addresses may be one socket, of IPv6.
fn is_of_docker(socket: &Socket, containers: &[Listed]) -> bool {
    let same = |held: &HostPort| {
        held.protocol == socket.protocol
            && held.port == socket.port
            && (held.address == socket.address
                || (held.address.is_unspecified() && socket.address.is_unspecified()))
    };
    containers.iter().any(|container| container.ports.iter().any(same))
}

fn held_by(socket: &Socket) -> HostPort {
    HostPort { protocol: socket.protocol, address: socket.address, port: socket.port }
}

/// Whether both cannot be had at once. A socket for all addresses of IPv6 mostly takes those of IPv4, too.
fn clash(wanted: &Publish, held: &HostPort) -> bool {
    let overlap = match wanted.address {
        None => true,
        Some(wanted) if wanted == held.address => true,
        Some(IpAddr::V4(wanted)) => {
            held.address.is_unspecified() || (wanted.is_unspecified() && held.address.is_ipv4())
        }
        Some(IpAddr::V6(wanted)) => {
            held.address.is_ipv6() && (held.address.is_unspecified() || wanted.is_unspecified())
        }
    };
    wanted.protocol == held.protocol && wanted.host == Some(held.port) && overlap
}

/// `8000`, `127.0.0.1:8000`, `53/udp`.
fn named(port: &Publish) -> String {
    let protocol = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    match port.address {
        Some(address) => format!("{}{protocol}", std::net::SocketAddr::new(address, number(port))),
        None => format!("{}{protocol}", number(port)),
    }
}

fn number(port: &Publish) -> u16 {
    port.host.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, listed, settings};
    use super::*;

    /// Sockets, and who has them: TCP unless the port is 53.
    struct Sockets(Vec<(&'static str, u16, Option<Holder>)>);

    impl Seen for Sockets {
        fn sockets(&self) -> Vec<Socket> {
            let socket = |(i, (address, port, _)): (usize, &(&str, u16, _))| Socket {
                protocol: if *port == 53 { Protocol::Udp } else { Protocol::Tcp },
                address: address.parse().unwrap(),
                port: *port,
                inode: i as u64,
            };
            self.0.iter().enumerate().map(socket).collect()
        }

        fn holder(&self, socket: &Socket) -> Option<Holder> {
            self.0[usize::try_from(socket.inode).unwrap()].2.clone()
        }
    }

    fn python() -> Holder {
        Holder { pid: 4711, command: "python3".to_owned(), container: None }
    }

    /// With what is called `status-page-web` live.
    fn found(publish: &str, containers: &[Listed], sockets: Sockets) -> Vec<String> {
        let live = containers.iter().find(|listed| listed.name == "status-page-web");
        let live = live.map(|listed| {
            let inspect = serde_json::json!({ "Id": listed.id, "Name": "/status-page-web" });
            ("web".parse().unwrap(), container(inspect))
        });
        let (settings, mut found) = (settings(&format!("publish = [{publish:?}]")), Found::default());
        check(&settings, containers, &live.into_iter().collect(), &sockets, &mut found);
        found.findings.iter().map(|finding| format!("{} -> {}", finding.what, finding.fix)).collect()
    }

    fn refused(publish: &str, sockets: &[(&'static str, u16)]) -> bool {
        let sockets = sockets.iter().map(|(address, port)| (*address, *port, Some(python()))).collect();
        !found(publish, &[], Sockets(sockets)).is_empty()
    }

    #[test]
    fn a_foreign_process_is_named_once() {
        let sockets = Sockets(vec![("0.0.0.0", 8000, Some(python())), ("::", 8000, Some(python()))]);
        assert_eq!(
            found("8000:8000", &[], sockets),
            [
                "port 8000 is held by 'python3' (pid 4711) -> stop it, or publish another port in [process.web]"
            ]
        );
        assert_eq!(
            found("127.0.0.1:53:53/udp", &[], Sockets(vec![("127.0.0.1", 53, None)])),
            [
                "port 127.0.0.1:53/udp is held by a process that cannot be seen from here -> stop it: ss -ulnp 'sport = :53'"
            ]
        );
    }

    #[test]
    fn addresses_clash_as_the_kernel_says() {
        for (wanted, held, clashes) in [
            ("8000:8000", "127.0.0.1", true),
            ("8000:8000", "::1", true),
            ("127.0.0.1:8000:8000", "0.0.0.0", true),
            ("127.0.0.1:8000:8000", "127.0.0.1", true),
            ("127.0.0.1:8000:8000", "10.0.0.1", false),
            ("127.0.0.1:8000:8000", "::1", false),
            ("127.0.0.1:8000:8000", "::", true),
            ("0.0.0.0:8000:8000", "10.0.0.1", true),
            ("[::1]:8000:8000", "0.0.0.0", false),
            ("[::1]:8000:8000", "::", true),
            ("[::]:8000:8000", "::1", true),
            ("8000:8000/udp", "0.0.0.0", false),
        ] {
            assert_eq!(refused(wanted, &[(held, 8000)]), clashes, "{wanted} and {held}");
        }
        assert!(!refused("8000:8000", &[("0.0.0.0", 8001)]));
    }

    #[test]
    fn live_gives_its_ports_back_and_the_sockets_of_docker_are_its_own() {
        let live = listed("status-page-web", Some(("status-page", "d-1")), &["0.0.0.0:8000"]);
        let proxy = Holder { pid: 9, command: "docker-proxy".to_owned(), container: None };
        // Docker 20.10 listens at both; older ones have one socket of IPv6 for both.
        let sockets =
            || Sockets(vec![("0.0.0.0", 8000, Some(proxy.clone())), ("::", 8000, Some(proxy.clone()))]);
        assert_eq!(found("8000:8000", std::slice::from_ref(&live), sockets()), [""; 0]);
        // From one address to all of them: who has the others is not covered by that.
        let live = listed("status-page-web", Some(("status-page", "d-1")), &["127.0.0.1:8000"]);
        let sockets = Sockets(vec![("127.0.0.1", 8000, Some(proxy)), ("10.0.0.1", 8000, Some(python()))]);
        assert_eq!(found("8000:8000", &[live], sockets).len(), 1);
    }

    #[test]
    fn containers_are_refused_by_name_with_the_way_out() {
        let cases = [
            (
                listed("old-web", None, &["0.0.0.0:8000"]),
                "port 8000 is held by container 'old-web', which handover did not make -> docker stop old-web, or write \
                 replaces = \"old-web\" in [process.web]",
            ),
            (
                listed("shop-web", Some(("shop", "d-7")), &["0.0.0.0:8000"]),
                "port 8000 is held by container 'shop-web' of app 'shop' -> publish another port in [process.web], or in \
                 that app",
            ),
            (
                listed("status-page-web.r4", Some(("status-page", "d-4")), &["0.0.0.0:8000"]),
                "port 8000 is held by container 'status-page-web.r4', of r1 of this app, which no journal knows -> docker \
                 stop status-page-web.r4; docker start status-page-web (if it is there); deploy again",
            ),
        ];
        for (container, told) in cases {
            let sockets = Sockets(vec![("0.0.0.0", 8000, Some(python()))]);
            assert_eq!(found("8000:8000", &[container], sockets), [told]);
        }
    }

    #[test]
    fn a_container_in_the_hosts_network_is_found_by_its_process() {
        let mut foreign = listed("old-web", None, &[]);
        foreign.id = "4e9d".repeat(16);
        let gunicorn = Holder { pid: 5, command: "gunicorn".to_owned(), container: Some(foreign.id.clone()) };
        let sockets = || Sockets(vec![("0.0.0.0", 8000, Some(gunicorn.clone()))]);
        assert!(found("8000:8000", &[foreign.clone()], sockets())[0].contains("container 'old-web'"));
        let live = Listed { id: foreign.id, ..listed("status-page-web", Some(("status-page", "d-1")), &[]) };
        assert_eq!(found("8000:8000", &[live], sockets()), [""; 0]);
    }

    #[test]
    fn who_comes_back_at_a_boot_with_the_port_is_noted() {
        let resting = |policy: &str| {
            container(serde_json::json!({
                "Name": "/old-web", "State": { "Running": false },
                "HostConfig": {
                    "RestartPolicy": { "Name": policy },
                    "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8000" }], "81/tcp": [{ "HostPort": "" }] },
                },
            }))
        };
        for (policy, notes) in [("always", 1), ("unless-stopped", 0), ("no", 0)] {
            let mut found = Found::default();
            check_resting(&settings("publish = [\"8000:8000\"]"), &[resting(policy)], &mut found);
            assert_eq!((found.findings.len(), found.notes.len()), (0, notes), "{policy}: {found:?}");
        }
    }
}
