//! Which process listens on which port, by procfs: `proc_pid_net`(5) has the sockets, the links in `/proc/PID/fd` show whose they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::model::Protocol;

/// A socket that occupies a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its address; unspecified where it takes all of them.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// By which its process is found.
    pub inode: u64,
}

/// A process that has a socket open. Its arguments are left out: a password may be among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// The name of its executable, as the kernel has it.
    pub command: String,
    /// The id of the container that it is in, if its cgroup names one.
    pub container: Option<String>,
}

/// The files, and the state of an occupied port in each: a TCP socket that listens, a UDP socket without a peer.
const FILES: [(&str, Protocol, &str); 4] = [
    ("tcp", Protocol::Tcp, LISTENING),
    ("tcp6", Protocol::Tcp, LISTENING),
    ("udp", Protocol::Udp, "07"),
    ("udp6", Protocol::Udp, "07"),
];

/// The state of a socket that takes connections.
const LISTENING: &str = "0A";

/// The states of a connection that still owes something to a client (`include/net/tcp_states.h`): established, its handshake
/// under way, and those in which an end of it or an answer before that end has not arrived: what a container's kernel has not
/// sent when the container exits is lost with its network.
const OWING: [&str; 6] = ["01", "03", "04", "08", "09", "0B"];

/// Every such socket of this network namespace. A file that is not there (no IPv6) has none.
pub(super) fn all(proc: &Path) -> Vec<Socket> {
    of_process(proc, "self")
}

fn of_process(proc: &Path, process: &str) -> Vec<Socket> {
    let read = |(file, protocol, state)| {
        let text = std::fs::read_to_string(proc.join(process).join("net").join(file)).unwrap_or_default();
        parse(&text, protocol, &[state])
    };
    FILES.into_iter().flat_map(read).collect()
}

/// Docker's resolver, which listens in every container of a network with a name.
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The TCP sockets that listen in a container; nothing where its network cannot be looked into. In the host's own network
/// they are those of its processes.
pub(super) fn listening_in(proc: &Path, pid: u32, container: &str) -> Option<Vec<Socket>> {
    let process = pid.to_string();
    if !proc.join(&process).join("net/tcp").exists() {
        return None;
    }
    let of_host = namespace(proc, &process).is_some_and(|its| Some(its) == namespace(proc, "self"));
    let is_its = |socket: &Socket| {
        !of_host
            || holder(proc, socket.inode).is_some_and(|holder| holder.container.as_deref() == Some(container))
    };
    let mut found = of_process(proc, &process);
    found.retain(|socket| socket.protocol == Protocol::Tcp && socket.address != RESOLVER && is_its(socket));
    Some(found)
}

/// How many connections clients have to a container, up to the last byte: those to a port at which it listens, and those to these ports
/// of the host, where `docker-proxy` takes them and may not have come to pass them on. Nothing where its network cannot be looked
/// into, or is the host's own.
pub(super) fn connections_to(proc: &Path, pid: u32, proxied: &[u16]) -> Option<usize> {
    let process = pid.to_string();
    if namespace(proc, &process)? == namespace(proc, "self")? {
        return None;
    }
    let read = |process: &str, file| std::fs::read_to_string(proc.join(process).join("net").join(file));
    let its = [read(&process, "tcp").ok()?, read(&process, "tcp6").unwrap_or_default()];
    let hosts = ["tcp", "tcp6"].map(|file| read("self", file).unwrap_or_default());
    let sockets = |tables: &[String], states: &[&str]| -> Vec<Socket> {
        tables.iter().flat_map(|text| parse(text, Protocol::Tcp, states)).collect()
    };
    let mut listening = sockets(&its, &[LISTENING]);
    listening.retain(|socket| socket.address != RESOLVER);
    let listening: Vec<u16> = listening.iter().map(|socket| socket.port).collect();
    let owed = |tables: &[String], ports: &[u16]| {
        sockets(tables, &OWING).iter().filter(|socket| ports.contains(&socket.port)).count()
    };
    Some(owed(&its, &listening) + owed(&hosts, proxied))
}

/// The network that a process is in.
fn namespace(proc: &Path, process: &str) -> Option<PathBuf> {
    std::fs::read_link(proc.join(process).join("ns/net")).ok()
}

/// Those in one of these states.
fn parse(text: &str, protocol: Protocol, states: &[&str]) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        Some(Socket {
            protocol,
            address: parse_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
        .filter(|_| states.contains(&fields[3]))
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// The kernel prints each word of four bytes as a number of this machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |i: usize| Some(u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: Vec<u8> = (0..4).filter_map(word).flatten().collect();
            Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical())
        }
        _ => None,
    }
}

/// Looks through the open files of every process that this one may see.
pub(super) fn holder(proc: &Path, inode: u64) -> Option<Holder> {
    let link = format!("socket:[{inode}]");
    let has_it = |folder: &Path| {
        let files = std::fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str()))
    };
    let mut pids: Vec<u32> = std::fs::read_dir(proc)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // A parent that left its socket to its children is the one to name.
    pids.sort_unstable();
    let pid = pids.into_iter().find(|pid| has_it(&proc.join(pid.to_string())))?;
    let folder = proc.join(pid.to_string());
    let command = std::fs::read_to_string(folder.join("comm")).unwrap_or_default().trim().to_owned();
    let cgroup = std::fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
    Some(Holder { pid, command, container: container_of(&cgroup) })
}

/// Docker's cgroups end in the container's id: `/docker/ID`, or `/system.slice/docker-ID.scope`.
fn container_of(cgroup: &str) -> Option<String> {
    let mut words = cgroup.split(|c: char| !c.is_ascii_hexdigit());
    words.find(|word| word.len() == 64).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an instance has them: sshd, a resolver on 127.0.0.53, an established connection, and a docker-proxy.
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14503 1 ffff9d5a41bb0000 100 0 0 10 0
   1: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 12688 1 ffff9d5a41bb08c0 100 0 0 10 5
   2: 0A01A8C0:0016 0201A8C0:D431 01 00000000:00000000 02:000A7214 00000000     0        0 17263 4 ffff9d5a41bb1180 20 4 31 10 -1
   3: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23817 1 ffff9d5a41bb1a40 100 0 0 10 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23823 1 ffff9d5a44d2c000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 30112 1 ffff9d5a44d2c980 100 0 0 10 0
   2: 00000000000000000000000001000000:0CEA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30113 1 ffff9d5a44d2d300 100 0 0 10 0
";
    const UDP: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  512: 0100007F:0143 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13961 2 ffff9d5a424b9b00 0
  733: 0A01A8C0:A1B2 08080808:0035 01 00000000:00000000 00:00000000 00000000     0        0 13970 2 ffff9d5a424ba280 0
";

    fn listed(text: &str, protocol: Protocol, state: &str) -> Vec<String> {
        let sockets = parse(text, protocol, &[state]);
        sockets.iter().map(|s| format!("{} {} {}", s.address, s.port, s.inode)).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_listens_is_read_off_the_kernels_tables() {
        let tcp = listed(TCP, Protocol::Tcp, "0A");
        assert_eq!(tcp, ["0.0.0.0 22 14503", "127.0.0.53 53 12688", "0.0.0.0 8000 23817"]);
        let tcp6 = listed(TCP6, Protocol::Tcp, "0A");
        assert_eq!(tcp6, [":: 8000 23823", "127.0.0.1 8080 30112", "::1 3306 30113"]);
        assert_eq!(listed(UDP, Protocol::Udp, "07"), ["127.0.0.1 323 13961"]);
        assert_eq!(listed("sl\n", Protocol::Tcp, "0A"), [""; 0]);
        assert_eq!(listed("sl\n 0: nonsense\n", Protocol::Tcp, "0A"), [""; 0]);
    }

    #[test]
    fn a_real_listener_is_found_and_so_is_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proc = Path::new("/proc");
        let socket = all(proc).into_iter().find(|s| s.port == port && s.protocol == Protocol::Tcp).unwrap();
        assert_eq!(socket.address, IpAddr::from([127, 0, 0, 1]));
        let holder = holder(proc, socket.inode).unwrap();
        assert_eq!(holder.pid, std::process::id());
        drop(listener);
        assert!(!all(proc).iter().any(|s| s.port == port && s.inode == socket.inode));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_listens_in_a_container_is_tcp_and_not_dockers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(listening_in(dir.path(), 7, "c"), None);
        std::fs::create_dir_all(dir.path().join("7/net")).unwrap();
        let resolver = "   9: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 f 1\n";
        for (file, text) in [("tcp", format!("{TCP}{resolver}")), ("udp", UDP.to_owned())] {
            crate::fs::write_atomically(&dir.path().join("7/net").join(file), text.as_bytes(), 0o600)
                .unwrap();
        }
        let ports: Vec<u16> =
            listening_in(dir.path(), 7, "c").unwrap().iter().map(|socket| socket.port).collect();
        assert_eq!(ports, [22, 53, 8000]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_connection_that_docker_proxy_has_and_has_not_passed_on_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |process: &str, network: &str, tcp: &str| {
            let folder = dir.path().join(process);
            for inside in ["net", "ns"] {
                std::fs::create_dir_all(folder.join(inside)).unwrap();
            }
            let _ = std::os::unix::fs::symlink(network, folder.join("ns/net"));
            crate::fs::write_atomically(&folder.join("net/tcp"), tcp.as_bytes(), 0o600).unwrap();
        };
        let socket =
            |local: &str, state: &str| format!("   1: {local} 0100007F:9C40 {state} 0:0 00:0 0 0 0 7 1\n");
        let header = "  sl  local_address rem_address st\n";
        let its = format!("{header}{}", socket("00000000:1F40", LISTENING));
        // At port 80, where docker-proxy listens; at another; and the client's own end of the first.
        let [taken, other, client] =
            ["0100007F:0050", "0100007F:0051", "0100007F:9C40"].map(|end| socket(end, "01"));
        write("7", "net:[1]", &its);
        write("self", "net:[2]", &format!("{header}{other}{client}"));
        assert_eq!(connections_to(dir.path(), 7, &[80]), Some(0));
        write("self", "net:[2]", &format!("{header}{taken}{other}{client}"));
        assert_eq!(connections_to(dir.path(), 7, &[80]), Some(1));
        write("7", "net:[1]", &format!("{its}{}", socket("020011AC:1F40", "01")));
        assert_eq!(connections_to(dir.path(), 7, &[80]), Some(2));
    }

    #[test]
    fn containers_are_read_off_cgroups_of_both_versions() {
        let id = "4e9d".repeat(16);
        for cgroup in [
            format!("12:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
        ] {
            assert_eq!(container_of(&cgroup), Some(id.clone()));
        }
        assert_eq!(container_of("0::/system.slice/ssh.service\n"), None);
    }
}
