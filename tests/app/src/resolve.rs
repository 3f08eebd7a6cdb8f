//! Names to addresses by `/etc/hosts` and the first name server of `/etc/resolv.conf`. A static program must not ask
//! the C library: it would load others at run time.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long one question may take; it is asked three times.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects to a host by name or address.
pub(crate) fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream> {
    let address = SocketAddr::new(address(host)?, port);
    let stream =
        TcpStream::connect_timeout(&address, limit).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address of a host; that of IPv6 may be in brackets, as in a URL.
pub(crate) fn address(host: &str) -> Result<IpAddr> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(address);
    }
    if let Some(address) = in_hosts(host) {
        return Ok(address);
    }
    if host == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let settings = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = settings
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .find_map(|server| server.trim().parse::<IpAddr>().ok())
        .with_context(|| format!("no name server to ask for {host}"))?;
    ask(SocketAddr::new(server, 53), host).map(IpAddr::V4)
}

fn in_hosts(host: &str) -> Option<IpAddr> {
    let hosts = fs::read_to_string("/etc/hosts").ok()?;
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then(|| address.parse().ok())?
    })
}

fn ask(server: SocketAddr, host: &str) -> Result<Ipv4Addr> {
    let question = question(host)?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    let mut answer = [0; 1500];
    for _ in 0..3 {
        socket.send(&question)?;
        let Ok(length) = socket.recv(&mut answer) else { continue };
        if answer[..2] == question[..2] {
            return first_address(&answer[..length], question.len())
                .with_context(|| format!("no address for {host}"));
        }
    }
    bail!("no answer from {server} for {host}")
}

/// A question for the A records of a host.
fn question(host: &str) -> Result<Vec<u8>> {
    let id = u16::try_from(std::process::id() & 0xffff)?;
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in host.trim_end_matches('.').split('.') {
        packet
            .push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length)).context("name")?);
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    Ok(packet)
}

/// The first A record after the question.
fn first_address(answer: &[u8], question: usize) -> Option<Ipv4Addr> {
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut at = question;
    for _ in 0..count {
        // The record's name: labels, or a pointer, which ends it.
        loop {
            let length = *answer.get(at)?;
            if length >= 0xc0 {
                at += 2;
                break;
            }
            at += usize::from(length) + 1;
            if length == 0 {
                break;
            }
        }
        let head = answer.get(at..at + 10)?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let data = answer.get(at + 10..at + 10 + length)?;
        if head[..4] == [0, 1, 0, 1] {
            return <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from);
        }
        at += 10 + length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{first_address, question};

    #[test]
    fn finds_the_address_behind_an_alias() {
        let mut answer = question("a.b").unwrap();
        let length = answer.len();
        answer[7] = 2;
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 4, 1, b'c', 0xc0, 14]);
        answer.extend([1, b'c', 0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 66, 0, 4]);
        assert_eq!(first_address(&answer, length).unwrap().to_string(), "10.66.0.4");
        assert!(first_address(&answer[..length + 20], length).is_none());
    }
}
