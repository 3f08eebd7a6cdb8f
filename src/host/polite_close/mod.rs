//! The polite close: keep-alive connections move over without a proxy. The redirect leaves established connections where they are;
//! a client that is never idle would stay with the old container until that stops, and lose the request that is on its way.
//!
//! So while a container drains, one line of the next response on each of its connections is overwritten, in place and with the
//! same length, by `Connection: close`. The client reads its response, closes, and opens a new connection, which goes to the other
//! container. No number of a sequence changes, so nothing has to be tracked afterwards.
//!
//! The kernel hands over what goes to the container, and of what comes from it the segments in which a head may begin. When nobody
//! reads the queue, packets pass it by, and a full one lets them through.

mod connections;
mod head;
mod packet;
mod queue;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use connections::Connections;
pub use connections::Tally;
use packet::Packet;
use queue::{LONGEST, Queue};

use super::iptables::{Family, Hook, Iptables, IptablesError, Mark, Place, Table, Wanted};
use crate::model::AppName;

/// Where packets come from a container, to another host or network and to this one, and where they go to it. In all of them the
/// container has its own address, and the client that which it had when it came to this host: also one that is masqueraded on its
/// way to the container.
const FROM_IT: [&str; 2] = ["FORWARD", "INPUT"];
const TO_IT: &str = "POSTROUTING";

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PoliteCloseError {
    /// The kernel gives no queue.
    #[error("the kernel hands over no packets ({0})")]
    Queue(#[source] io::Error),
    /// It takes no rules for it.
    #[error(transparent)]
    Rules(#[from] IptablesError),
}

/// The polite close of one container, at work until it is ended.
pub struct PoliteClose {
    app: AppName,
    iptables: Iptables,
    connections: Arc<Mutex<Connections>>,
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl PoliteClose {
    /// From now on the connections to these places, the addresses and ports of a container, are closed after their next
    /// response. `pid` is a process in the container, `proc` where the kernel tells of it.
    pub async fn begin(
        app: &AppName,
        deployment: &str,
        iptables: Iptables,
        places: &[SocketAddr],
        (proc, pid): (&Path, u32),
    ) -> Result<Self, PoliteCloseError> {
        let queue = Queue::open().map_err(PoliteCloseError::Queue)?;
        let number = queue.number();
        let close = Self::of(app, iptables, queue, places).map_err(PoliteCloseError::Queue)?;
        let rules = Rules { mark: Mark { app, deployment }, places, number };
        let mut put = rules.put(&close.iptables, true).await;
        if put.is_err() {
            // A kernel that cannot look into packets hands over all of them.
            put = rules.put(&close.iptables, false).await;
        }
        if let Err(error) = put {
            remove(app, &close.iptables).await?;
            return Err(error.into());
        }
        if let Err(error) = learn(&close.connections, || waiting::connections(proc, pid)) {
            // They are found at their next request.
            tracing::warn!("cannot tell which connections wait for a response: {error}");
        }
        Ok(close)
    }

    /// Reads the queue in a thread of its own: whatever the rest of the program waits for, packets do not.
    fn of(app: &AppName, iptables: Iptables, queue: Queue, places: &[SocketAddr]) -> io::Result<Self> {
        let connections = Arc::new(Mutex::new(Connections::to(places.to_vec())));
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (shared, ended) = (Arc::clone(&connections), end.try_clone()?);
        let thread = thread::Builder::new().name("polite close".to_owned()).spawn(move || {
            // On a busy host packets must not wait for a processor. Only of this thread, and only if that is allowed.
            let _ = rustix::process::nice(-10);
            if let Err(error) = serve(&queue, &ended, &shared) {
                tracing::warn!("the polite close ended: {error}");
            }
        })?;
        Ok(Self { app: app.clone(), iptables, connections, end, thread: Some(thread) })
    }

    /// Ends it, and says what became of the connections.
    pub async fn end(self) -> Result<Tally, IptablesError> {
        // The rules first: what nobody reads is let through, but not what waits already.
        remove(&self.app, &self.iptables).await?;
        Ok(locked(&self.connections).tally())
    }
}

impl Drop for PoliteClose {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Removes whatever rules of the polite close there are of an app.
pub async fn remove(app: &AppName, iptables: &Iptables) -> Result<(), IptablesError> {
    iptables.change_both(Table::Mangle, app, &Wanted::Gone).await
}

/// What brings packets into the queue.
struct Rules<'a> {
    mark: Mark<'a>,
    places: &'a [SocketAddr],
    /// The queue's.
    number: u16,
}

impl Rules<'_> {
    /// `heads`: only those packets from the container in which a head may begin.
    async fn put(&self, iptables: &Iptables, heads: bool) -> Result<(), IptablesError> {
        for family in Family::BOTH {
            let of_family = self.places.iter().filter(|place| family.is_of(place.ip()));
            let hooks = of_family.flat_map(|place| self.hooks(family, place, heads)).collect();
            let chain = vec![format!("-j NFQUEUE --queue-num {} --queue-bypass", self.number)];
            let wanted = Wanted::Hooked { chain, hooks };
            iptables.change(Table::Mangle, family, self.mark.app, &wanted).await?;
        }
        Ok(())
    }

    /// To a place: what begins a connection, and what ends something that was written, as a request does. From it: the segments
    /// in which a head may begin. So a large download costs the kernel a look, and us nothing.
    fn hooks(&self, family: Family, place: &SocketAddr, heads: bool) -> Vec<Hook> {
        let (ip, port, comment) = (place.ip(), place.port(), self.mark.comment());
        let comment = format!("-m comment --comment \"{comment}\"");
        // Behind the shortest headers, and behind the longest ones.
        let (from, to) = if family == Family::V4 { (40, 120) } else { (60, 140) };
        let head = format!("-m string --algo bm --from {from} --to {to} --string \"HTTP/1.\" ");
        let head = if heads { head } else { String::new() };
        let asks = "! --tcp-flags SYN,PSH NONE";
        let from_it = format!("-s {ip} -p tcp --sport {port} {head}{comment}");
        let to_it = format!("-d {ip} -p tcp --dport {port} {asks} {comment}");
        let mut rules = FROM_IT.map(|chain| (chain, from_it.clone())).to_vec();
        rules.push((TO_IT, to_it));
        // The last ones: a packet that comes back from the queue goes past the rest of its chain, such as other people's marks.
        rules.into_iter().map(|(from, matches)| Hook { from, at: Place::Last, matches }).collect()
    }
}

/// Learns which connections wait for a response. No packet is looked at meanwhile: else the head of a response could go by before
/// its connection is known to wait for one, and its body, which may look like a head, would be taken for it.
fn learn(
    connections: &Mutex<Connections>,
    ask: impl FnOnce() -> io::Result<Vec<waiting::Ends>>,
) -> io::Result<()> {
    let mut connections = locked(connections);
    for (client, place) in ask()? {
        connections.waits(client, place);
    }
    Ok(())
}

/// Looks at each packet and lets it go, until it is ended and none waits any more: the kernel drops what does.
fn serve(queue: &Queue, ended: &OwnedFd, connections: &Mutex<Connections>) -> io::Result<()> {
    let (mut buffer, mut packets, mut last) = (vec![0; LONGEST], 0_u64, 0_u32);
    loop {
        let mut ready = [PollFd::new(queue, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        if !ready[0].revents().contains(PollFlags::IN) {
            let used = clock_gettime(ClockId::ThreadCPUTime);
            tracing::info!(packets, cpu_us = used.tv_sec * 1_000_000 + used.tv_nsec / 1000, "polite close");
            return Ok(());
        }
        for waiting in queue.read(&mut buffer)? {
            let mut connections = locked(connections);
            if waiting.number() != last.wrapping_add(1) {
                connections.some_went_unseen();
            }
            last = waiting.number();
            let changed = rewritten(waiting.bytes, &mut connections);
            drop(connections);
            queue.accept(waiting.id(), changed.as_deref())?;
            packets += 1;
        }
    }
}

/// The packet with other bytes, if it is to have them.
fn rewritten(bytes: &[u8], connections: &mut Connections) -> Option<Vec<u8>> {
    let packet = Packet::of(bytes)?;
    let line = connections.see(&packet, &bytes[packet.data.clone()])?;
    let mut bytes = bytes.to_vec();
    let data = packet.data.start;
    head::write_close(&mut bytes[data + line.start..data + line.end]);
    packet.sum_up(&mut bytes);
    Some(bytes)
}

fn locked(connections: &Mutex<Connections>) -> std::sync::MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::packet::tests::{is_whole, packet};
    use super::*;

    const LINE: &str = "Connection: keep-alive\r\n";

    #[test]
    fn no_packet_is_looked_at_while_the_kernel_is_asked_who_waits() {
        let place = "172.18.0.2:8000".parse().unwrap();
        let connections = Mutex::new(Connections::to(vec![place]));
        let asked = learn(&connections, || {
            assert!(connections.try_lock().is_err(), "packets go by unseen");
            Ok(vec![("10.0.0.1:5000".parse().unwrap(), place)])
        });
        asked.unwrap();
        assert_ne!(format!("{:?}", locked(&connections)), format!("{:?}", Connections::to(vec![place])));
    }

    proptest! {
        /// Whatever stands around the line: the packet is as long as before, its checksum is right, and nothing else is changed.
        #[test]
        fn only_one_line_of_a_packet_changes(
            before in "([A-Z][a-z]{0,8}: [a-z]{0,20}\r\n){0,5}",
            after in "([A-Z][a-z]{0,8}: [a-z]{0,20}\r\n){0,5}",
            body in proptest::collection::vec(any::<u8>(), 0..1000),
            sequence: u32,
            of_ipv6: bool,
        ) {
            prop_assume!(!before.starts_with("Date:") && !before.starts_with("Connection:") && !after.contains("Connection:"));
            let (client, place) =
                if of_ipv6 { ("[fd00::1]:5000", "[fd00::2]:8000") } else { ("10.0.0.1:5000", "172.18.0.2:8000") };
            let mut connections = Connections::to(vec![place.parse().unwrap()]);
            let request = packet(client, place, 1, sequence, 0x18, b"GET / HTTP/1.1\r\n\r\n");
            prop_assert_eq!(rewritten(&request, &mut connections), None);
            let mut data = format!("HTTP/1.1 200 OK\r\n{before}{LINE}{after}\r\n").into_bytes();
            data.extend(body);
            let response = packet(place, client, sequence, 1, 0x18, &data);
            let changed = rewritten(&response, &mut connections).unwrap();
            prop_assert!(is_whole(&changed));
            let header = response.len() - data.len();
            let start = header + "HTTP/1.1 200 OK\r\n".len() + before.len();
            let end = start + LINE.len();
            prop_assert_eq!(&changed[start..end], b"Connection: close     \r\n");
            prop_assert_eq!(&changed[end..], &response[end..]);
            // In front of it only the checksum.
            let differs = (0..start).filter(|at| changed[*at] != response[*at]);
            prop_assert!(differs.into_iter().all(|at| [header - 4, header - 3].contains(&at)));
        }
    }
}
