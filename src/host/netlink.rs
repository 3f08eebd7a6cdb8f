//! Netlink, the kernel's protocol for its own subsystems (netlink(7)): messages of a header, a body and attributes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Flags of a message (linux/netlink.h).
pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACKNOWLEDGE: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;

/// The families of addresses, of IPv4 and of IPv6 (`AF_INET`, `AF_INET6`).
pub(super) const FAMILIES: [u8; 2] = [2, 10];
/// What messages of netfilter's subsystems begin with: a family, a version and a number (`struct nfgenmsg`).
pub(super) const BEGINNING: usize = 4;

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The header of a message: its length, type, flags, number and port, in the machine's order.
const HEADER: usize = 16;
/// The header of an attribute: its length and type.
const ATTRIBUTE: usize = 4;
/// In an attribute's type: that others are in it.
pub(super) const NESTED: u16 = 0x8000;
/// The same, and that it is in the network's order.
const TYPE_FLAGS: u16 = NESTED | 0x4000;

/// A connection to a subsystem.
pub(super) struct Netlink(OwnedFd);

/// A message that the kernel sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'b> {
    pub(super) kind: u16,
    pub(super) body: &'b [u8],
}

impl Netlink {
    /// To this subsystem, in the network namespace of this thread.
    pub(super) fn open(subsystem: Protocol) -> io::Result<Self> {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, Some(subsystem))?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Lets so many bytes wait to be read.
    pub(super) fn set_buffer(&self, bytes: usize) -> io::Result<()> {
        // Beyond the usual limit, which only root may.
        Ok(rustix::net::sockopt::set_socket_recv_buffer_size_force(&self.0, bytes)?)
    }

    pub(super) fn send(&self, message: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.0, message, SendFlags::empty())?;
        Ok(())
    }

    /// Reads what is there, or waits for it. One read may have several messages.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(&self.0, buffer, RecvFlags::empty())?;
        Ok(read)
    }

    /// Reads until the kernel says what became of a request.
    pub(super) fn acknowledged(&self) -> io::Result<()> {
        self.each(&mut [0; 8192], |_| Ok(()))
    }

    /// The same, and what is answered before that.
    pub(super) fn each(
        &self,
        buffer: &mut [u8],
        mut answered: impl FnMut(Message<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let read = self.receive(buffer)?;
            for message in messages(&buffer[..read]) {
                if let Some(ended) = message.end() {
                    return ended;
                }
                answered(message)?;
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<'b> Message<'b> {
    /// Whether this ends the answer to a request, and how.
    pub(super) fn end(&self) -> Option<io::Result<()>> {
        match self.kind {
            DONE => Some(Ok(())),
            ERROR => Some(match number(self.body, 0).map(u32::cast_signed) {
                Some(0) => Ok(()),
                Some(code) => Err(io::Error::from_raw_os_error(-code)),
                None => Err(io::ErrorKind::InvalidData.into()),
            }),
            _ => None,
        }
    }

    /// What stands behind so many bytes of the body.
    pub(super) fn attributes(&self, behind: usize) -> impl Iterator<Item = (u16, &'b [u8])> + use<'b> {
        attributes(self.body.get(behind..).unwrap_or_default())
    }
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(rest, 0)?);
        let kind = short(rest, 2)? & !TYPE_FLAGS;
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of this attribute, among those that stand one after the other.
pub(super) fn attribute_in(all: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(all).find_map(|(its, value)| (its == kind).then_some(value))
}

/// The messages of one read.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let (kind, body) = (short(bytes, 4)?, bytes.get(HEADER..length)?);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

/// A message to the kernel, put together.
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        let mut request = Self(bytes);
        request.pad();
        request
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad();
        self
    }

    pub(super) fn bytes(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }

    fn pad(&mut self) {
        self.0.resize(aligned(self.0.len()), 0);
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A number of the machine's order.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_taken_apart() {
        let one = Request::new(7, ACKNOWLEDGE, b"body").attribute(3, b"value").attribute(4, b"").bytes();
        let mut bytes = one.clone();
        bytes.extend(Request::new(8, 0, b"abc").bytes());
        let all: Vec<Message<'_>> = messages(&bytes).collect();
        assert_eq!(all.iter().map(|message| message.kind).collect::<Vec<_>>(), [7, 8]);
        let attributes: Vec<_> = all[0].attributes(4).collect();
        assert_eq!(attributes, [(3, &b"value"[..]), (4, &b""[..])]);
        assert_eq!(&all[1].body[..3], b"abc");
        // Cut off anywhere, nothing is made up.
        for end in 0..one.len() {
            assert_eq!(messages(&one[..end]).count(), 0, "{end}");
        }
    }

    #[test]
    fn an_end_is_told_from_its_reason() {
        let ended =
            |kind, code: i32| Message { kind, body: &code.to_ne_bytes() }.end().map(|end| end.is_ok());
        assert_eq!(
            (ended(DONE, 0), ended(ERROR, 0), ended(ERROR, -1), ended(16, 0)),
            (Some(true), Some(true), Some(false), None)
        );
    }
}
