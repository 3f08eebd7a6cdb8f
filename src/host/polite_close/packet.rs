//! A packet of TCP over IPv4 or IPv6, as the kernel hands it over: one segment, its checksum filled in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

const TCP: u8 = 6;
const IPV6_HEADER: usize = 40;
const DO_NOT_FRAGMENT: u16 = 0x4000;
/// Where in TCP's header its checksum is.
const CHECKSUM: usize = 16;

/// What counts of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// The number of its first byte.
    pub(super) sequence: u32,
    /// The number of the byte that its sender waits for.
    pub(super) acknowledged: u32,
    /// Whether it begins a connection.
    pub(super) begins: bool,
    /// Whether it ends one, in one direction or both.
    pub(super) ends: bool,
    /// Where TCP's header begins.
    header: usize,
    /// Where its data are.
    pub(super) data: Range<usize>,
}

impl Packet {
    /// Takes a packet apart; nothing if it is another one.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (from, to, header, end) = addresses(bytes)?;
        let tcp = bytes.get(header..end)?;
        let (flags, offset) = (*tcp.get(13)?, usize::from(tcp.get(12)? >> 4) * 4);
        if offset < 20 || offset > tcp.len() {
            return None;
        }
        Some(Self {
            from: SocketAddr::new(from, short(tcp, 0)?),
            to: SocketAddr::new(to, short(tcp, 2)?),
            sequence: number(tcp, 4)?,
            acknowledged: number(tcp, 8)?,
            begins: flags & 0x02 != 0,
            ends: flags & 0x05 != 0,
            header,
            data: header + offset..end,
        })
    }

    /// Computes TCP's checksum anew, over the changed bytes.
    pub(super) fn sum_up(&self, bytes: &mut [u8]) {
        let at = self.header + CHECKSUM;
        bytes[at..at + 2].fill(0);
        let sum = checksum(bytes, self.header, self.data.end);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The addresses, and where TCP's header begins and its data end.
fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr, usize, usize)> {
    match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 0x0f) * 4;
            let end = usize::from(short(bytes, 2)?);
            // A fragment has no header of TCP, or not all of its data: one that more follow, or that is not the first.
            let is_whole = matches!(short(bytes, 6)?, 0 | DO_NOT_FRAGMENT);
            let address = |at: usize| Some(Ipv4Addr::from_bits(number(bytes, at)?).into());
            let is_tcp = *bytes.get(9)? == TCP && header >= 20 && is_whole;
            is_tcp.then_some((address(12)?, address(16)?, header, end))
        }
        6 => {
            let end = IPV6_HEADER + usize::from(short(bytes, 4)?);
            let address = |at: usize| {
                let bytes: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(bytes).into())
            };
            (*bytes.get(6)? == TCP).then_some((address(8)?, address(24)?, IPV6_HEADER, end))
        }
        _ => None,
    }
}

/// The sum over the addresses, the protocol, the length and the segment (RFC 9293, 3.1).
fn checksum(bytes: &[u8], header: usize, end: usize) -> u16 {
    let addresses = if header == IPV6_HEADER && bytes[0] >> 4 == 6 { 8..40 } else { 12..20 };
    let length = u32::try_from(end - header).unwrap_or_default();
    let pairs = |bytes: &[u8]| -> u64 {
        let mut pairs = bytes.chunks_exact(2);
        let whole: u64 = pairs.by_ref().map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        whole + pairs.remainder().first().map_or(0, |last| u64::from(*last) << 8)
    };
    let mut sum = pairs(&bytes[addresses]) + u64::from(TCP) + u64::from(length) + pairs(&bytes[header..end]);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A packet with these data, as the kernel would hand it over.
    pub(in crate::host::polite_close) fn packet(
        from: &str,
        to: &str,
        sequence: u32,
        acknowledged: u32,
        flags: u8,
        data: &[u8],
    ) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let length = 20 + data.len();
        let mut bytes = match (from.ip(), to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let mut header = vec![0; 20];
                header[0] = 0x45;
                header[2..4].copy_from_slice(&u16::try_from(20 + length).unwrap().to_be_bytes());
                header[9] = TCP;
                header[12..16].copy_from_slice(&source.octets());
                header[16..20].copy_from_slice(&target.octets());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let mut header = vec![0; 40];
                header[0] = 0x60;
                header[4..6].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                header[6] = TCP;
                header[8..24].copy_from_slice(&source.octets());
                header[24..40].copy_from_slice(&target.octets());
                header
            }
            _ => panic!("two families"),
        };
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(acknowledged.to_be_bytes());
        bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(data);
        Packet::of(&bytes).unwrap().sum_up(&mut bytes);
        bytes
    }

    /// Whether its checksum is right: the sum over all of it is nothing then.
    pub(in crate::host::polite_close) fn is_whole(bytes: &[u8]) -> bool {
        Packet::of(bytes).is_some_and(|seen| checksum(bytes, seen.header, seen.data.end) == 0)
    }

    #[test]
    fn a_segment_is_taken_apart() {
        for (from, to) in [("10.0.0.1:5000", "172.18.0.2:8000"), ("[fd00::1]:5000", "[fd00::2]:8000")] {
            let bytes = packet(from, to, 7, 9, 0x18, b"GET /");
            let seen = Packet::of(&bytes).unwrap();
            assert_eq!((seen.from.to_string(), seen.to.to_string()), (from.to_owned(), to.to_owned()));
            assert_eq!((seen.sequence, seen.acknowledged, &bytes[seen.data.clone()]), (7, 9, &b"GET /"[..]));
            assert!(!seen.begins && !seen.ends);
            assert!(Packet::of(&packet(from, to, 7, 0, 0x02, b"")).unwrap().begins);
            assert!(Packet::of(&packet(from, to, 7, 0, 0x11, b"")).unwrap().ends);
            for end in 0..bytes.len() {
                assert_eq!(Packet::of(&bytes[..end]), None, "{end}");
            }
        }
        let mut fragment = packet("10.0.0.1:5000", "172.18.0.2:8000", 7, 9, 0x18, b"GET /");
        fragment[6] = 0x20;
        assert_eq!(Packet::of(&fragment), None);
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        for (from, to) in [("10.0.0.1:5000", "172.18.0.2:8000"), ("[fd00::1]:5000", "[fd00::2]:8000")] {
            for data in [&b""[..], b"a", b"HTTP/1.1 200 OK\r\n"] {
                assert!(is_whole(&packet(from, to, 1 << 31, u32::MAX, 0x18, data)));
            }
        }
    }
}
