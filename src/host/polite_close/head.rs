//! The head of an HTTP response, as far as it is in one segment.

/// What is written, and filled up with spaces: those behind a value do not count (RFC 9110, 5.5).
const CLOSE: &[u8] = b"Connection: close";

/// What a head ends with.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What there is to do with a segment that begins a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// It is an interim response (100, 103): another one follows, behind so many bytes, or in another segment.
    Interim {
        /// Where this one ends: that of the segment, if it goes on in the next.
        end: usize,
    },
    /// It says that something else than HTTP follows (101).
    Upgraded,
    /// It says `close` already.
    Closes,
    /// The connection is kept alive; these bytes may say otherwise.
    KeepsAlive {
        /// The first of the line that can be spared.
        start: usize,
        /// The first behind it.
        end: usize,
    },
    /// No line that can be spared is in this segment.
    NoRoom,
}

impl Head {
    /// What a segment says, behind the interim responses that it begins with.
    pub(super) fn behind_interim(segment: &[u8]) -> Option<Self> {
        let mut behind = 0;
        loop {
            match Self::of(&segment[behind..])? {
                Self::Interim { end } if behind + end < segment.len() => behind += end,
                Self::Interim { .. } => return Some(Self::Interim { end: segment.len() }),
                Self::KeepsAlive { start, end } => {
                    return Some(Self::KeepsAlive { start: behind + start, end: behind + end });
                }
                other => return Some(other),
            }
        }
    }

    /// What a segment says; nothing if it does not begin a response of HTTP/1.
    fn of(segment: &[u8]) -> Option<Self> {
        let rest = segment.strip_prefix(b"HTTP/1.0 ").or_else(|| segment.strip_prefix(b"HTTP/1.1 "))?;
        let status = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        if status == b"101" {
            return Some(Self::Upgraded);
        }
        if status[0] == b'1' {
            let end = segment.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END);
            return Some(Self::Interim { end: end.map_or(segment.len(), |at| at + HEAD_END.len()) });
        }
        let (mut keep_alive, mut date) = (None, None);
        for (start, line) in lines(segment).skip(1) {
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = field(line) else { continue };
            let place = (line.len() >= CLOSE.len()).then_some((start, start + line.len()));
            if name.eq_ignore_ascii_case(b"connection") {
                let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                if options.any(|option| option.eq_ignore_ascii_case(b"close")) {
                    return Some(Self::Closes);
                }
                if value.eq_ignore_ascii_case(b"keep-alive") {
                    keep_alive = place;
                }
            } else if name.eq_ignore_ascii_case(b"date") {
                date = place;
            }
        }
        // One that contradicts what is written is not left standing.
        let place = keep_alive.or(date);
        Some(place.map_or(Self::NoRoom, |(start, end)| Self::KeepsAlive { start, end }))
    }
}

/// Writes that the connection closes, in place of a line.
pub(super) fn write_close(line: &mut [u8]) {
    line.fill(b' ');
    line[..CLOSE.len()].copy_from_slice(CLOSE);
}

/// The whole lines of a segment, with where they begin.
fn lines(segment: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &segment[start..];
        let length = rest.windows(2).position(|end| end == b"\r\n")?;
        let line = (start, &rest[..length]);
        start += length + 2;
        Some(line)
    })
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response after it was rewritten, if it was.
    fn closed(response: &str) -> Result<String, Option<Head>> {
        match Head::behind_interim(response.as_bytes()) {
            Some(Head::KeepsAlive { start, end }) => {
                let mut bytes = response.as_bytes().to_vec();
                write_close(&mut bytes[start..end]);
                assert_eq!(bytes.len(), response.len());
                Ok(String::from_utf8(bytes).unwrap())
            }
            other => Err(other),
        }
    }

    #[test]
    fn the_line_that_says_keep_alive_or_the_date_is_taken() {
        assert_eq!(
            closed("HTTP/1.1 200 OK\r\nServer: nginx\r\nConnection: keep-alive\r\nDate: now\r\n\r\nbody")
                .unwrap(),
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nConnection: close     \r\nDate: now\r\n\r\nbody"
        );
        assert_eq!(
            closed("HTTP/1.0 404 x\r\nDATE: Fri, 27 Nov 2026 20:53:19 GMT\r\nX: y\r\n\r\n").unwrap(),
            "HTTP/1.0 404 x\r\nConnection: close                  \r\nX: y\r\n\r\n"
        );
        // The end of the head need not be there.
        assert!(closed("HTTP/1.1 200 OK\r\nconnection:Keep-Alive  \r\nX-Lo").is_ok());
    }

    #[test]
    fn whatever_is_no_place_for_it_is_left_alone() {
        for (response, what) in [
            ("HTTP/1.1 100 Continue\r\n\r\n", Some(Head::Interim { end: 25 })),
            ("HTTP/1.1 103 Early Hints\r\nLi", Some(Head::Interim { end: 28 })),
            ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", Some(Head::Upgraded)),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", Some(Head::Closes)),
            (
                "HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 20:53:19 GMT\r\nconnection: x, Close\r\n\r\n",
                Some(Head::Closes),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some(Head::NoRoom)),
            ("HTTP/1.1 200 OK\r\nDate: short\r\n\r\n", Some(Head::NoRoom)),
            // Of the body nothing is taken, and of a line that goes on in the next segment neither.
            ("HTTP/1.1 200 OK\r\n\r\nDate: Fri, 27 Nov 2026 20:53:19 GMT\r\n\r\n", Some(Head::NoRoom)),
            ("HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 20:53:1", Some(Head::NoRoom)),
            ("HTTP/2.0 200 OK\r\n\r\n", None),
            ("HTTP/1.1 2", None),
            ("", None),
        ] {
            assert_eq!(closed(response), Err(what), "{response}");
        }
    }
}
