//! The kernel's table of connections (`conntrack`), by which NAT knows where the packets of each go. A closed one stays in it for two
//! minutes, for packets that are late (`nf_conntrack_tcp_timeout_time_wait`).
//!
//! Clients use their ports again before that. The kernel then makes a new entry, which goes by the rules of now: by a redirect, to
//! another container than before. The Docker Engine forgets the connections of a container that it stops, and names them by what
//! their clients know: their own port and the host's. It reads all first and then forgets one after the other, so it also forgets
//! a new one that took the place of a closed one meanwhile: what the other container answers on that is lost, and its client waits
//! in vain. What is forgotten before, by a name that only the old one has, the Engine does not find.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::netlink;

use super::netlink::{ACKNOWLEDGE, DUMP, Message, NESTED, Netlink, Request, attribute_in};

/// nfnetlink's number for the table, in the upper half of a message's type (`linux/netfilter/nfnetlink_conntrack.h`).
const TABLE: u16 = 1 << 8;
const GET: u16 = TABLE | 1;
const DELETE: u16 = TABLE | 2;
/// What each message begins with: the family, a version and a number.
const BEGINNING: usize = 4;
const FAMILIES: [u8; 2] = [2, 10];

/// What stands in an answer of the other side: where it comes from and goes to, as the network sees it there.
const REPLY: u16 = 2;
const PROTOCOL_INFO: u16 = 4;
const ZONE: u16 = 18;
/// In it: the addresses, and the ports.
const ADDRESSES: u16 = 1;
const SOURCE_V4: u16 = 1;
const SOURCE_V6: u16 = 3;
const PORTS: u16 = 2;
const SOURCE_PORT: u16 = 2;
/// In what is said of the protocol, where that is TCP: its state.
const TCP: u16 = 1;
const STATE: u16 = 1;
/// Closed from both sides, or broken off (`linux/netfilter/nf_conntrack_tcp.h`). Others still have packets on their way.
const CLOSED: [u8; 2] = [7, 8];

const BUFFER: usize = 64 << 10;

/// Forgets the closed connections that led to these places, the addresses and ports of a container, or to these ports at the loopback
/// addresses, where `docker-proxy` takes them. Says how many.
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
            if let Some(closed) = Closed::of(&message).filter(|closed| is_meant(closed.end)) {
                forgotten += usize::from(closed.forget(&one, family)?);
            }
            Ok(())
        })?;
    }
    Ok(forgotten)
}

fn beginning(family: u8) -> [u8; BEGINNING] {
    [family, 0, 0, 0]
}

/// A closed connection.
struct Closed<'b> {
    /// Where it ended.
    end: SocketAddr,
    /// What the kernel knows it by from that side.
    reply: &'b [u8],
    zone: Option<&'b [u8]>,
}

impl<'b> Closed<'b> {
    fn of(message: &Message<'b>) -> Option<Self> {
        let whole = message.body.get(BEGINNING..)?;
        let tcp = attribute_in(attribute_in(whole, PROTOCOL_INFO)?, TCP)?;
        let state = attribute_in(tcp, STATE)?.first()?;
        if !CLOSED.contains(state) {
            return None;
        }
        let reply = attribute_in(whole, REPLY)?;
        let port: [u8; 2] = attribute_in(attribute_in(reply, PORTS)?, SOURCE_PORT)?.try_into().ok()?;
        let end = SocketAddr::new(source(attribute_in(reply, ADDRESSES)?)?, u16::from_be_bytes(port));
        Some(Self { end, reply, zone: attribute_in(whole, ZONE) })
    }

    /// Whether it was still there.
    fn forget(&self, table: &Netlink, family: u8) -> io::Result<bool> {
        let request = Request::new(DELETE, ACKNOWLEDGE, &beginning(family));
        let mut request = request.attribute(REPLY | NESTED, self.reply);
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

fn source(addresses: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = attribute_in(addresses, SOURCE_V4) {
        return Some(Ipv4Addr::from(<[u8; 4]>::try_from(v4).ok()?).into());
    }
    let v6: [u8; 16] = attribute_in(addresses, SOURCE_V6)?.try_into().ok()?;
    Some(Ipv6Addr::from(v6).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attributes, without the header of a message.
    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let all =
            attributes.iter().fold(Request::new(0, 0, &[]), |all, (kind, value)| all.attribute(*kind, value));
        all.bytes().split_off(16)
    }

    fn entry(state: u8, source: (u16, &[u8])) -> Vec<u8> {
        let ports = nested(&[(1, &[6]), (SOURCE_PORT, &[0x1f, 0x40]), (3, &[0x80, 0])]);
        let reply = nested(&[(ADDRESSES | NESTED, &nested(&[source])), (PORTS | NESTED, &ports)]);
        let info = nested(&[(TCP | NESTED, &nested(&[(STATE, &[state])]))]);
        let mut body = beginning(2).to_vec();
        body.extend(nested(&[
            (1 | NESTED, b"orig"),
            (REPLY | NESTED, &reply),
            (PROTOCOL_INFO | NESTED, &info),
        ]));
        body
    }

    #[test]
    fn only_what_is_closed_counts_and_where_it_ended() {
        let end =
            |body: &[u8]| Closed::of(&Message { kind: TABLE, body }).map(|closed| closed.end.to_string());
        let (v4, v6) = ((SOURCE_V4, &[172, 17, 0, 2][..]), (SOURCE_V6, &Ipv6Addr::LOCALHOST.octets()[..]));
        assert_eq!(end(&entry(7, v4)).unwrap(), "172.17.0.2:8000");
        assert_eq!(end(&entry(8, v6)).unwrap(), "[::1]:8000");
        // Established, and waiting for the last acknowledgement.
        assert_eq!((end(&entry(3, v4)), end(&entry(6, v4))), (None, None));
        let whole = entry(7, v4);
        for cut in 0..whole.len() {
            // The last attribute has the state: without all of it nothing is made up.
            assert_eq!(end(&whole[..cut.min(whole.len() - 4)]), None, "{cut}");
        }
    }
}
