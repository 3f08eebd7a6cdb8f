//! The kernel's table of connections (`conntrack`), by which NAT knows where the packets of each go. A closed one stays in it for two
//! minutes, for packets that are late (`nf_conntrack_tcp_timeout_time_wait`).
//!
//! Clients use their ports again before that. The kernel then makes a new entry, which goes by the rules of now: by a redirect, to
//! another container than before. The Docker Engine forgets the connections of a container that it stops, and names them by what
//! their clients know: their own port and the host's. It reads all first and then forgets one after the other, so it also forgets
//! a new one that took the place of a closed one meanwhile: what the other container answers on that is lost, and its client waits
//! in vain. What is forgotten before, by a name that only the old one has, the Engine does not find.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::netlink;

use super::netlink::{
    ACKNOWLEDGE, BEGINNING, DUMP, FAMILIES, Message, NESTED, Netlink, Request, attribute_in,
};

/// nfnetlink's number for the table, in the upper half of a message's type (`linux/netfilter/nfnetlink_conntrack.h`).
const TABLE: u16 = 1 << 8;
const GET: u16 = TABLE | 1;
const DELETE: u16 = TABLE | 2;

/// The two sides by which the kernel knows a connection: where the packets of each come from and go to.
const SIDES: [u16; 2] = [1, 2];
const PROTOCOL_INFO: u16 = 4;
const ZONE: u16 = 18;
/// In a side: the addresses of both versions of IP, and the ports.
const ADDRESSES: u16 = 1;
const PORTS: u16 = 2;
const SOURCE: End = End { v4: 1, v6: 3, port: 2 };
const DESTINATION: End = End { v4: 2, v6: 4, port: 3 };
/// In what is said of the protocol, where that is TCP: its state.
const TCP: u16 = 1;
const STATE: u16 = 1;
/// Closed from both sides, or broken off (`linux/netfilter/nf_conntrack_tcp.h`). Others still have packets on their way.
const CLOSED: [u8; 2] = [7, 8];

const BUFFER: usize = 64 << 10;

/// Forgets the closed connections that led to these places, the addresses and ports of a container, or to these ports at the loopback
/// addresses, where `docker-proxy` takes them. Says how many.
///
/// Between loopback addresses an entry that changes nothing in its packets is not needed, and goes whatever its state: where the kernel
/// begins to look while a connection ends, as it does for IPv6 with the first rule of a redirect, that may be wrong for minutes.
///
/// # Errors
/// The kernel has no such table, or does not let us have it.
pub async fn forget_closed(places: Vec<SocketAddr>, proxied: Vec<u16>) -> io::Result<usize> {
    let is_meant = move |end: SocketAddr| {
        places.contains(&end) || end.ip().is_loopback() && proxied.contains(&end.port())
    };
    // A busy host's table takes a while.
    tokio::task::spawn_blocking(move || forget(is_meant)).await.map_err(io::Error::other)?
}

fn forget(is_meant: impl Fn(SocketAddr) -> bool) -> io::Result<usize> {
    let (all, one) = (Netlink::open(netlink::NETFILTER)?, Netlink::open(netlink::NETFILTER)?);
    let mut forgotten = 0;
    for family in FAMILIES {
        all.send(&Request::new(GET, DUMP, &beginning(family)).bytes())?;
        all.each(&mut vec![0; BUFFER], |message| {
            if let Some(ended) = Ended::of(&message, &is_meant) {
                forgotten += usize::from(ended.forget(&one, family)?);
            }
            Ok(())
        })?;
    }
    Ok(forgotten)
}

fn beginning(family: u8) -> [u8; BEGINNING] {
    [family, 0, 0, 0]
}

/// A connection that can be forgotten.
struct Ended<'b> {
    /// The side of the server, and what the kernel knows it by. The client is on the other one; also the other way round, if it was
    /// the server's packet that was seen first, because the kernel began to look in between.
    side: u16,
    name: &'b [u8],
    zone: Option<&'b [u8]>,
}

impl<'b> Ended<'b> {
    fn of(message: &Message<'b>, is_meant: impl Fn(SocketAddr) -> bool) -> Option<Self> {
        let whole = message.body.get(BEGINNING..)?;
        let [original, reply] = SIDES.map(|side| attribute_in(whole, side));
        let (original, reply) = (original?, reply?);
        let (original_from, reply_from) = (SOURCE.of(original)?, SOURCE.of(reply)?);
        let (side, name) = if is_meant(reply_from) {
            (SIDES[1], reply)
        } else if is_meant(original_from) {
            (SIDES[0], original)
        } else {
            return None;
        };
        let is_as_it_was = DESTINATION.of(original)? == reply_from && DESTINATION.of(reply)? == original_from;
        let tcp = attribute_in(attribute_in(whole, PROTOCOL_INFO)?, TCP)?;
        let is_closed = CLOSED.contains(attribute_in(tcp, STATE)?.first()?);
        let can_go = is_closed || is_as_it_was && original_from.ip().is_loopback();
        can_go.then_some(Self { side, name, zone: attribute_in(whole, ZONE) })
    }

    /// Whether it was still there.
    fn forget(&self, table: &Netlink, family: u8) -> io::Result<bool> {
        let request = Request::new(DELETE, ACKNOWLEDGE, &beginning(family));
        let mut request = request.attribute(self.side | NESTED, self.name);
        if let Some(zone) = self.zone {
            request = request.attribute(ZONE, zone);
        }
        table.send(&request.bytes())?;
        match table.acknowledged() {
            Ok(()) => Ok(true),
            // Its time was over, or its client has used its port again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The attributes of one end of a side: where its packets come from, or where they go to.
struct End {
    v4: u16,
    v6: u16,
    port: u16,
}

impl End {
    fn of(&self, side: &[u8]) -> Option<SocketAddr> {
        let (addresses, ports) = (attribute_in(side, ADDRESSES)?, attribute_in(side, PORTS)?);
        let port = u16::from_be_bytes(attribute_in(ports, self.port)?.try_into().ok()?);
        if let Some(v4) = attribute_in(addresses, self.v4) {
            return Some((Ipv4Addr::from(<[u8; 4]>::try_from(v4).ok()?), port).into());
        }
        let v6: [u8; 16] = attribute_in(addresses, self.v6)?.try_into().ok()?;
        Some((Ipv6Addr::from(v6), port).into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// Attributes, without the header of a message.
    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let all =
            attributes.iter().fold(Request::new(0, 0, &[]), |all, (kind, value)| all.attribute(*kind, value));
        all.bytes().split_off(16)
    }

    /// From here to there.
    fn side(from: &str, to: &str) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let address = |end: &End, of: SocketAddr| match of.ip() {
            IpAddr::V4(v4) => (end.v4, v4.octets().to_vec()),
            IpAddr::V6(v6) => (end.v6, v6.octets().to_vec()),
        };
        let ((source, a), (destination, b)) = (address(&SOURCE, from), address(&DESTINATION, to));
        let ports = [
            (1, &[6][..]),
            (SOURCE.port, &from.port().to_be_bytes()),
            (DESTINATION.port, &to.port().to_be_bytes()),
        ];
        nested(&[
            (ADDRESSES | NESTED, &nested(&[(source, &a), (destination, &b)])),
            (PORTS | NESTED, &nested(&ports)),
        ])
    }

    fn entry(state: u8, original: &[u8], reply: &[u8]) -> Vec<u8> {
        let info = nested(&[(TCP | NESTED, &nested(&[(STATE, &[state])]))]);
        let mut body = beginning(2).to_vec();
        body.extend(nested(&[(1 | NESTED, original), (2 | NESTED, reply), (PROTOCOL_INFO | NESTED, &info)]));
        body
    }

    /// The side of the server and its address, of what can be forgotten.
    fn led(body: &[u8]) -> Option<(u16, String)> {
        let to: SocketAddr = "172.17.0.2:8000".parse().unwrap();
        let is_meant =
            |server: SocketAddr| server == to || server.ip().is_loopback() && server.port() == 8000;
        let ended = Ended::of(&Message { kind: TABLE, body }, is_meant)?;
        Some((ended.side, SOURCE.of(ended.name).unwrap().to_string()))
    }

    #[test]
    fn what_is_closed_and_led_there_can_be_forgotten() {
        let client = side("10.0.0.9:40000", "10.0.0.1:8000");
        let server = side("172.17.0.2:8000", "10.0.0.9:40000");
        assert_eq!(led(&entry(7, &client, &server)), Some((2, "172.17.0.2:8000".to_owned())));
        // Established, and waiting for the last acknowledgement.
        assert_eq!((led(&entry(3, &client, &server)), led(&entry(6, &client, &server))), (None, None));
        assert_eq!(led(&entry(7, &client, &side("172.17.0.2:8001", "10.0.0.9:40000"))), None);
        // The last attribute has the state: without all of it nothing is made up.
        let whole = entry(7, &client, &server);
        for cut in 0..whole.len() - 4 {
            assert_eq!(led(&whole[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_changes_no_packet_between_loopback_addresses_can_be_forgotten_at_any_time() {
        let (client, server) = (side("[::1]:40000", "[::1]:8000"), side("[::1]:8000", "[::1]:40000"));
        assert_eq!(led(&entry(3, &client, &server)), Some((2, "[::1]:8000".to_owned())));
        // The server's packet was the first that was seen.
        assert_eq!(led(&entry(3, &server, &client)), Some((1, "[::1]:8000".to_owned())));
        // Redirected, to a port of docker-proxy.
        assert_eq!(led(&entry(3, &client, &side("[::1]:32768", "[::1]:40000"))), None);
        // A firewall may let in only the answers to what it has seen going out.
        let (to, from) =
            (side("172.17.0.1:40000", "172.17.0.2:8000"), side("172.17.0.2:8000", "172.17.0.1:40000"));
        assert_eq!(led(&entry(3, &to, &from)), None);
    }
}
