//! Which connections of a container wait for a response: asked of the kernel (`sock_diag(7)`), because their requests came before
//! there was anybody to see them.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;

use rustix::net::netlink;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::host::netlink::{DUMP, FAMILIES, Message, Netlink, Request, number};

const BY_FAMILY: u16 = 20;
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;
/// That `struct tcp_info` is asked for, and the attribute that it comes in.
const INFO: u16 = 2;
/// An answer (`struct inet_diag_msg`), and where in it the ends of the connection are.
const ANSWER: usize = 72;
const ENDS: usize = 4;
/// In `struct tcp_info`: how many segments the client has not acknowledged, and the milliseconds since the last data were sent,
/// and since some were received.
const UNACKNOWLEDGED: usize = 24;
const LAST_SENT: usize = 44;
const LAST_RECEIVED: usize = 52;
/// The connections of a busy container.
const BUFFER: usize = 64 << 10;

/// A connection of a container: its client and its own end.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// The connections of the process's network namespace that have received something after they last sent something. The kernel
/// counts in its ticks: who asked in the same one as it was answered is not among them, and is found at its next request.
pub(super) fn connections(proc: &Path, pid: u32) -> io::Result<Vec<Ends>> {
    let namespace = File::open(proc.join(pid.to_string()).join("ns/net"))?;
    // A thread of its own: only that leaves the namespace of everybody else.
    let asked = thread::Builder::new().name("sock_diag".to_owned()).spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let netlink = Netlink::open(netlink::SOCK_DIAG)?;
        let mut found = vec![];
        for family in FAMILIES {
            of_family(&netlink, family, &mut found)?;
        }
        Ok(found)
    })?;
    asked.join().unwrap_or_else(|_| Err(io::Error::other("the thread that asks the kernel ended")))
}

fn of_family(netlink: &Netlink, family: u8, found: &mut Vec<Ends>) -> io::Result<()> {
    let mut body = vec![family, TCP, 1 << (INFO - 1), 0];
    body.extend(ESTABLISHED.to_ne_bytes());
    // Any ends (`struct inet_diag_sockid`).
    body.resize(8 + 48, 0);
    netlink.send(&Request::new(BY_FAMILY, DUMP, &body).bytes())?;
    netlink.each(&mut vec![0; BUFFER], |message| {
        found.extend(waits(&message));
        Ok(())
    })
}

/// The ends of a connection that waits for a response.
fn waits(message: &Message<'_>) -> Option<Ends> {
    let family = *message.body.first()?;
    let (_, info) = message.attributes(ANSWER).find(|(kind, _)| *kind == INFO)?;
    let has_asked = has_asked(info)?;
    let ends = message.body.get(ENDS..)?;
    let place = SocketAddr::new(address(family, ends, 4)?, port(ends, 0)?);
    let client = SocketAddr::new(address(family, ends, 20)?, port(ends, 2)?);
    has_asked.then_some((client, place))
}

/// Whether something has been received since the last was sent (`struct tcp_info`).
fn has_asked(info: &[u8]) -> Option<bool> {
    let is_sent = number(info, UNACKNOWLEDGED)? == 0;
    // In the same tick it may be the beginning of a response that was sent last: the rest of it would be taken for the head.
    Some(is_sent && number(info, LAST_RECEIVED)? < number(info, LAST_SENT)?)
}

/// An address; one of IPv4 also where the socket is for both.
fn address(family: u8, ends: &[u8], at: usize) -> Option<IpAddr> {
    let bytes: [u8; 16] = ends.get(at..at + 16)?.try_into().ok()?;
    if family == FAMILIES[0] {
        let [a, b, c, d, ..] = bytes;
        return Some(Ipv4Addr::new(a, b, c, d).into());
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

fn port(ends: &[u8], at: usize) -> Option<u16> {
    ends.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    /// What is sent in the tick of the request may be the beginning of the response.
    #[test]
    fn a_response_that_may_have_begun_is_not_waited_for() {
        let info = |unacknowledged: u32, sent: u32, received: u32| {
            let mut info = vec![0; 232];
            for (at, number) in
                [(UNACKNOWLEDGED, unacknowledged), (LAST_SENT, sent), (LAST_RECEIVED, received)]
            {
                info[at..at + 4].copy_from_slice(&number.to_ne_bytes());
            }
            has_asked(&info).unwrap()
        };
        assert!(info(0, 12, 8));
        assert!(!info(0, 8, 8) && !info(0, 8, 12) && !info(1, 12, 8));
    }

    /// In a namespace that is there: that of this process.
    #[test]
    fn a_connection_waits_from_the_request_to_the_response() {
        for listening in ["127.0.0.1:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(listening) else { continue };
            let port = listener.local_addr().unwrap().port();
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let ends = (client.local_addr().unwrap(), SocketAddr::from(([127, 0, 0, 1], port)));
            // The kernel counts in ticks: what happens in one is not told apart.
            let until = |waits: bool, from: &mut TcpStream, to: &mut TcpStream| {
                let deadline = Instant::now() + Duration::from_secs(10);
                loop {
                    from.write_all(b"x").unwrap();
                    to.read_exact(&mut [0]).unwrap();
                    let all = connections(Path::new("/proc"), std::process::id()).unwrap();
                    if all.contains(&ends) == waits {
                        return;
                    }
                    assert!(Instant::now() < deadline, "{listening}: waits is not {waits}");
                }
            };
            until(false, &mut server, &mut client);
            until(true, &mut client, &mut server);
            until(false, &mut server, &mut client);
        }
    }
}
