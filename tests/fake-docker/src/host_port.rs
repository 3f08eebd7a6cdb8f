//! A port of 127.0.0.1 for one test.

use std::{
    fs,
    io::{Error, Result},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Below it are the ports of well-known services.
const LOWEST: usize = 10_000;
/// One more than the highest.
const ALL: usize = 65_536;

/// A TCP port of 127.0.0.1 that containers may publish, and that is given to nobody else, in any process, as long as this
/// lives. It is none that the machine gives to outgoing connections: those take a port that was free a moment ago.
#[derive(Debug)]
pub struct HostPort {
    number: u16,
    /// The UDP port of the same number: TCP's stays free for who publishes it.
    _held: UdpSocket,
}

impl HostPort {
    /// Takes one.
    ///
    /// # Errors
    /// All are taken.
    pub fn take() -> Result<Self> {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let ours = ours();
        // Test processes begin far from each other.
        let process = usize::try_from(std::process::id()).unwrap_or_default();
        let first = process * 7919 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let count = ours.iter().map(Range::len).sum();
        let port = |turn: usize| {
            let place = (first + turn) % count;
            let below = ours[0].len();
            if place < below { ours[0].start + place } else { ours[1].start + place - below }
        };
        let takes = |turn| Self::of(u16::try_from(port(turn)).ok()?);
        (0..count).find_map(takes).ok_or_else(|| Error::other("no port of 127.0.0.1 is free"))
    }

    /// The port.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn of(number: u16) -> Option<Self> {
        let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // Whoever listens on all addresses has it as well.
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
        Some(Self { number, _held: held })
    }
}

/// The ports below and above those that outgoing connections get.
fn ours() -> [Range<usize>; 2] {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse().ok());
    let (first, last) = (ends.next().unwrap_or(32768), ends.next().unwrap_or(60999));
    let ours = [LOWEST..first, last + 1..ALL];
    // A machine that gives all of them away leaves no choice.
    if ours.iter().all(Range::is_empty) { [LOWEST..ALL, ALL..ALL] } else { ours }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{HostPort, ours};

    #[test]
    fn a_port_is_given_once_and_to_no_connection() {
        let held: Vec<_> = (0..300).map(|_| HostPort::take().unwrap()).collect();
        assert_eq!(held.iter().map(HostPort::number).collect::<HashSet<_>>().len(), held.len());
        let ours = ours();
        let is_ours = |port: &HostPort| ours.iter().any(|range| range.contains(&port.number().into()));
        assert!(held.iter().all(is_ours), "{held:?}");
        // Held means from other sockets too, and free means free for a container.
        assert!(HostPort::of(held[0].number()).is_none());
        std::net::TcpListener::bind(("127.0.0.1", held[0].number())).unwrap();
    }
}
