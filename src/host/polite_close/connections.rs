//! The connections of a container that drains: what is known of each, and what is to be done with a packet of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

use super::head::Head;
use super::packet::Packet;

/// The records of TLS 1.0 and later, of any kind.
const TLS: [std::ops::RangeInclusive<u8>; 2] = [0x14..=0x17, 0x03..=0x03];
/// How HTTP/2 begins without TLS.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// All connections to some ports of a container.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// The container's own addresses, with its ports.
    places: Vec<SocketAddr>,
    /// What is known, by the client and the place.
    known: HashMap<(SocketAddr, SocketAddr), State>,
    tally: Tally,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request has come. Its response begins with this byte: the one that the client waits for; any one if the request came
    /// before we were there.
    Asked(Option<u32>),
    /// The response that begins with this byte says that the connection closes.
    Closed(u32),
    /// The container closes it.
    ClosesItself,
    /// Encrypted, or HTTP/2.
    Unreadable,
    /// No HTTP any more.
    Upgraded,
    /// The last response had no room; the next one may have.
    NoRoom,
}

/// What became of the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Their clients were told that they close.
    pub closed: usize,
    /// The container said so itself.
    pub closed_by_itself: usize,
    /// Encrypted in the container (TLS), or HTTP/2: no response is seen.
    pub unreadable: usize,
    /// Something else than HTTP: upgraded, such as a `WebSocket`.
    pub upgraded: usize,
    /// Their responses had no line that can be spared.
    pub no_room: usize,
    /// Asked for something, and had no answer of HTTP/1.
    pub unanswered: usize,
}

impl Tally {
    fn add(&mut self, state: State) {
        match state {
            // The kernel may have been wrong about it.
            State::Asked(None) => {}
            State::Asked(Some(_)) => self.unanswered += 1,
            State::Closed(_) => self.closed += 1,
            State::ClosesItself => self.closed_by_itself += 1,
            State::Unreadable => self.unreadable += 1,
            State::Upgraded => self.upgraded += 1,
            State::NoRoom => self.no_room += 1,
        }
    }
}

impl Connections {
    /// Those to these addresses and ports.
    pub(super) fn to(places: Vec<SocketAddr>) -> Self {
        Self { places, ..Self::default() }
    }

    /// One of them waits for a response, as the kernel says.
    pub(super) fn waits(&mut self, client: SocketAddr, place: SocketAddr) {
        if self.places.contains(&place) {
            // What was seen since then is newer.
            self.known.entry((client, place)).or_insert(State::Asked(None));
        }
    }

    /// Some packets went by unseen. Where a response begins that the kernel only said is to come is not known any more; where the
    /// request was seen, it is.
    pub(super) fn some_went_unseen(&mut self) {
        self.known.retain(|_, state| *state != State::Asked(None));
    }

    /// A packet: which of its bytes are to say that the connection closes, if any are.
    pub(super) fn see(&mut self, packet: &Packet, data: &[u8]) -> Option<Range<usize>> {
        if self.places.contains(&packet.to) {
            self.request(packet, data);
            return None;
        }
        if self.places.contains(&packet.from) && !data.is_empty() {
            return self.response(packet, data);
        }
        None
    }

    fn request(&mut self, packet: &Packet, data: &[u8]) {
        let key = (packet.from, packet.to);
        if packet.begins
            && let Some(earlier) = self.known.remove(&key)
        {
            // It had the same port.
            self.tally.add(earlier);
        }
        let state = match self.known.get(&key) {
            _ if data.is_empty() => return,
            None | Some(State::Asked(None)) if is_unreadable(data) => State::Unreadable,
            // Of a longer request each segment: between them there may have been an interim response.
            None | Some(State::Asked(_) | State::NoRoom) => State::Asked(Some(packet.acknowledged)),
            Some(State::Closed(_) | State::ClosesItself | State::Unreadable | State::Upgraded) => return,
        };
        self.known.insert(key, state);
    }

    fn response(&mut self, packet: &Packet, data: &[u8]) -> Option<Range<usize>> {
        let state = self.known.get_mut(&(packet.to, packet.from))?;
        match *state {
            // Sent again, because it was lost on the way.
            State::Closed(at) if at == packet.sequence => return line(Head::behind_interim(data)),
            // A body may look like a head, and so may what is sent again.
            State::Asked(at) if at.is_none_or(|at| at == packet.sequence) => {}
            _ => return None,
        }
        let head = Head::behind_interim(data);
        *state = match head {
            Some(Head::KeepsAlive { .. }) => State::Closed(packet.sequence),
            Some(Head::Interim { .. }) => {
                let length = u32::try_from(data.len()).unwrap_or_default();
                State::Asked(Some(packet.sequence.wrapping_add(length)))
            }
            Some(Head::Closes) => State::ClosesItself,
            Some(Head::Upgraded) => State::Upgraded,
            Some(Head::NoRoom) => State::NoRoom,
            None => {
                // It was in the middle of a response, or is none of HTTP.
                self.known.remove(&(packet.to, packet.from));
                return None;
            }
        };
        line(head)
    }

    /// What has become of them so far.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally;
        self.known.values().for_each(|state| tally.add(*state));
        tally
    }
}

fn line(head: Option<Head>) -> Option<Range<usize>> {
    match head {
        Some(Head::KeepsAlive { start, end }) => Some(start..end),
        _ => None,
    }
}

/// Whether a client's first bytes say that no head will be seen.
fn is_unreadable(data: &[u8]) -> bool {
    let is_tls = data.len() > 2 && TLS.iter().zip(data).all(|(range, byte)| range.contains(byte));
    is_tls || data.starts_with(HTTP_2)
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::packet;
    use super::*;

    const CLIENT: &str = "10.0.0.1:5000";
    const PLACE: &str = "172.18.0.2:8000";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n";
    const LINE: Option<Range<usize>> = Some(17..39);

    struct Seen(Connections);

    impl Seen {
        fn new() -> Self {
            Self(Connections::to(vec![PLACE.parse().unwrap()]))
        }

        fn see(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
            let packet = Packet::of(bytes).unwrap();
            let data = packet.data.clone();
            self.0.see(&packet, &bytes[data])
        }

        /// The client waits for byte `acknowledged`.
        fn request(&mut self, acknowledged: u32, data: &[u8]) {
            assert_eq!(self.see(&packet(CLIENT, PLACE, 1, acknowledged, 0x18, data)), None);
        }

        fn response(&mut self, sequence: u32, data: &[u8]) -> Option<Range<usize>> {
            self.see(&packet(PLACE, CLIENT, sequence, 1, 0x18, data))
        }
    }

    #[test]
    fn the_response_to_a_request_closes_and_nothing_else_does() {
        let mut seen = Seen::new();
        // In the middle of something that was asked before.
        assert_eq!(seen.response(7, RESPONSE), None);
        seen.request(9, b"GET / HTTP/1.1\r\n\r\n");
        // A body that looks like a head, sent again.
        assert_eq!(seen.response(7, RESPONSE), None);
        assert_eq!(seen.response(9, RESPONSE), LINE);
        // Its body, which looks the same; and the head again, which was lost.
        assert_eq!(seen.response(53, RESPONSE), None);
        assert_eq!(seen.response(9, RESPONSE), LINE);
        // A client that goes on all the same is not closed twice.
        seen.request(99, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.response(99, RESPONSE), None);
        assert_eq!(seen.0.tally(), Tally { closed: 1, ..Tally::default() });
    }

    #[test]
    fn a_request_from_before_is_known_from_the_kernel() {
        let mut seen = Seen::new();
        seen.0.waits(CLIENT.parse().unwrap(), PLACE.parse().unwrap());
        seen.0.waits(CLIENT.parse().unwrap(), "172.18.0.2:9000".parse().unwrap());
        assert_eq!(seen.response(7, RESPONSE), LINE);
        assert_eq!(seen.0.known.len(), 1);
        // One that was in the middle of a response after all is looked at again with its next request.
        let mut seen = Seen::new();
        seen.0.waits(CLIENT.parse().unwrap(), PLACE.parse().unwrap());
        assert_eq!(seen.response(7, b"body"), None);
        assert_eq!(seen.response(11, RESPONSE), None);
        seen.request(55, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.response(55, RESPONSE), LINE);
    }

    /// The head may have gone by, and its body looks like one.
    #[test]
    fn when_packets_were_missed_only_what_was_asked_since_is_closed() {
        let mut seen = Seen::new();
        seen.0.waits(CLIENT.parse().unwrap(), PLACE.parse().unwrap());
        seen.0.some_went_unseen();
        assert_eq!(seen.response(7, RESPONSE), None);
        seen.request(55, b"GET / HTTP/1.1\r\n\r\n");
        seen.0.some_went_unseen();
        assert_eq!(seen.response(99, RESPONSE), None);
        assert_eq!(seen.response(55, RESPONSE), LINE);
    }

    #[test]
    fn an_interim_response_is_followed_by_another_one() {
        let mut seen = Seen::new();
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        seen.request(9, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(seen.response(9, interim), None);
        assert_eq!(seen.response(9 + 25, RESPONSE), LINE);
        // The body comes in between.
        let mut seen = Seen::new();
        seen.request(9, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(seen.response(9, interim), None);
        seen.request(9 + 25, b"body");
        assert_eq!(seen.response(9 + 25, RESPONSE), LINE);
    }

    /// Where the next segment begins with a body that looks like a head, that is left alone.
    #[test]
    fn an_interim_response_may_share_its_segment() {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
        let both = [&hints[..], RESPONSE].concat();
        let mut seen = Seen::new();
        seen.request(9, b"GET / HTTP/1.1\r\n\r\n");
        let line = seen.response(9, &both).unwrap();
        assert_eq!(&both[line], b"Connection: keep-alive");
        let next = 9 + u32::try_from(both.len()).unwrap();
        assert_eq!(seen.response(next, RESPONSE), None);
        // Sent again.
        assert!(seen.response(9, &both).is_some());
        assert_eq!(seen.0.tally(), Tally { closed: 1, ..Tally::default() });
        // Of the final one only the beginning is there: nothing is known of where it goes on.
        let mut seen = Seen::new();
        seen.request(9, b"GET / HTTP/1.1\r\n\r\n");
        let cut = [&hints[..], b"HTT"].concat();
        assert_eq!(seen.response(9, &cut), None);
        assert_eq!(seen.response(9 + u32::try_from(cut.len()).unwrap(), RESPONSE), None);
    }

    #[test]
    fn what_cannot_be_closed_politely_is_counted() {
        let keep = |lines: &str| format!("HTTP/1.1 {lines}\r\n\r\n");
        for (request, response, tally) in [
            ("\u{16}\u{3}\u{1}", None, Tally { unreadable: 1, ..Tally::default() }),
            ("PRI * HTTP/2.0\r\n", None, Tally { unreadable: 1, ..Tally::default() }),
            ("GET", Some(keep("101 Switching Protocols")), Tally { upgraded: 1, ..Tally::default() }),
            (
                "GET",
                Some(keep("200 OK\r\nConnection: close")),
                Tally { closed_by_itself: 1, ..Tally::default() },
            ),
        ] {
            let mut seen = Seen::new();
            seen.request(9, request.as_bytes());
            if let Some(response) = response {
                assert_eq!(seen.response(9, response.as_bytes()), None, "{response}");
            }
            // Whatever comes then is left alone.
            seen.request(99, b"GET / HTTP/1.1\r\n\r\n");
            assert_eq!(seen.response(99, RESPONSE), None);
            assert_eq!(seen.0.tally(), tally, "{request:?}");
        }
    }

    #[test]
    fn a_response_without_room_is_followed_by_one_that_has_some() {
        let mut seen = Seen::new();
        seen.request(9, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.response(9, b"HTTP/1.1 204 No Content\r\n\r\n"), None);
        assert_eq!(seen.0.tally(), Tally { no_room: 1, ..Tally::default() });
        seen.request(36, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.0.tally(), Tally { unanswered: 1, ..Tally::default() });
        assert_eq!(seen.response(36, RESPONSE), LINE);
        assert_eq!(seen.0.tally(), Tally { closed: 1, ..Tally::default() });
    }

    #[test]
    fn a_port_of_the_client_that_comes_again_is_a_new_connection() {
        let mut seen = Seen::new();
        seen.request(9, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.response(9, RESPONSE), LINE);
        assert_eq!(seen.see(&packet(CLIENT, PLACE, 0, 0, 0x02, b"")), None);
        seen.request(1009, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.response(1009, RESPONSE), LINE);
        assert_eq!(seen.0.tally(), Tally { closed: 2, ..Tally::default() });
        // Nobody else's packets are looked at.
        assert_eq!(seen.see(&packet("10.0.0.7:1", "10.0.0.8:2", 9, 1, 0x18, RESPONSE)), None);
    }
}
