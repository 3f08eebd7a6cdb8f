//! A queue of the kernel's from which packets are read, and into which they are put back (`linux/netfilter/nfnetlink_queue.h`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::netlink;

use crate::host::netlink::{ACKNOWLEDGE, BEGINNING, Message, Netlink, Request, messages};

/// nfnetlink's number for queues, in the upper half of a message's type.
const QUEUE: u16 = 3 << 8;
const PACKET: u16 = QUEUE;
const VERDICT: u16 = QUEUE | 1;
const CONFIGURE: u16 = QUEUE | 2;

const COMMAND: u16 = 1;
const BIND: u8 = 1;
const COPY: u16 = 2;
const COPY_WHOLE_PACKETS: u8 = 2;
const LONGEST_QUEUE: u16 = 3;
const FLAGS_MASK: u16 = 4;
const FLAGS: u16 = 5;
/// Lets packets through that the queue has no room for.
const FAIL_OPEN: u32 = 1;

const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const PAYLOAD: u16 = 10;
const ACCEPT: u32 = 1;

/// How many packets may wait for us: more than the buffer holds. Of those for which that has no room the numbers are missing.
const LENGTH: u32 = 1 << 16;
/// How many bytes of them.
const BUFFER: usize = 8 << 20;
/// Room for the longest packet, and what is said about it.
pub(super) const LONGEST: usize = 72 << 10;

/// The numbers that are tried: far from those that others begin with.
const NUMBERS: std::ops::Range<u16> = 26_900..26_964;

/// A queue that is ours until this is dropped. Rules that say `--queue-bypass` then let everything through.
pub(super) struct Queue {
    netlink: Netlink,
    number: u16,
}

/// A packet that waits for a verdict.
pub(super) struct Waiting<'b> {
    id: [u8; 4],
    pub(super) bytes: &'b [u8],
}

impl Queue {
    /// One that nobody else has.
    pub(super) fn open() -> io::Result<Self> {
        let mut last = io::Error::from(Errno::BUSY);
        for number in NUMBERS {
            match Self::bind(number) {
                Ok(queue) => return Ok(queue),
                // The one for a queue of the same process, the other for somebody else's: and for whoever may not have any.
                Err(error) if [Errno::BUSY, Errno::PERM].contains(&errno(&error)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn bind(number: u16) -> io::Result<Self> {
        let netlink = Netlink::open(netlink::NETFILTER)?;
        netlink.set_buffer(BUFFER)?;
        let queue = Self { netlink, number };
        queue.configure(|request| request.attribute(COMMAND, &[BIND, 0, 0, 0]))?;
        let mut copy = u32::MAX.to_be_bytes().to_vec();
        copy.push(COPY_WHOLE_PACKETS);
        queue.configure(|request| {
            request
                .attribute(COPY, &copy)
                .attribute(LONGEST_QUEUE, &LENGTH.to_be_bytes())
                .attribute(FLAGS, &FAIL_OPEN.to_be_bytes())
                .attribute(FLAGS_MASK, &FAIL_OPEN.to_be_bytes())
        })?;
        Ok(queue)
    }

    fn configure(&self, with: impl FnOnce(Request) -> Request) -> io::Result<()> {
        self.netlink.send(&with(self.request(CONFIGURE, ACKNOWLEDGE)).bytes())?;
        self.netlink.acknowledged()
    }

    /// Its number is that of the queue.
    fn request(&self, kind: u16, flags: u16) -> Request {
        let [high, low] = self.number.to_be_bytes();
        Request::new(kind, flags, &[0, 0, high, low])
    }

    /// The number by which rules name it.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Reads the packets that wait.
    pub(super) fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<impl Iterator<Item = Waiting<'b>>> {
        let read = match self.netlink.receive(buffer) {
            // Some went through unseen, because the buffer was full.
            Err(error) if errno(&error) == Errno::NOBUFS => 0,
            read => read?,
        };
        Ok(messages(&buffer[..read]).filter_map(Waiting::of))
    }

    /// Lets a packet go, as it is or with other bytes.
    pub(super) fn accept(&self, id: [u8; 4], changed: Option<&[u8]>) -> io::Result<()> {
        let mut header = ACCEPT.to_be_bytes().to_vec();
        header.extend(id);
        let mut request = self.request(VERDICT, 0).attribute(VERDICT_HEADER, &header);
        if let Some(bytes) = changed {
            request = request.attribute(PAYLOAD, bytes);
        }
        self.netlink.send(&request.bytes())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

impl<'b> Waiting<'b> {
    fn of(message: Message<'b>) -> Option<Self> {
        if message.kind != PACKET {
            return None;
        }
        let (mut id, mut bytes) = (None, &[][..]);
        for (kind, value) in message.attributes(BEGINNING) {
            match kind {
                PACKET_HEADER => id = value.get(..4)?.try_into().ok(),
                PAYLOAD => bytes = value,
                _ => {}
            }
        }
        Some(Self { id: id?, bytes })
    }

    /// The kernel counts from 1 all that were to come here, also those for which there was no room.
    pub(super) fn number(&self) -> u32 {
        u32::from_be_bytes(self.id)
    }

    /// What the kernel calls it.
    pub(super) fn id(&self) -> [u8; 4] {
        self.id
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
