//! As much of PostgreSQL's protocol as one query needs: TLS or none, SCRAM-SHA-256, the simple query.

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2, rand};

use crate::tls::Stream;
use crate::{resolve, tls};

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the database is, and as whom to go there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// With TLS; without, for a server of a test environment.
    pub(crate) secure: bool,
}

/// A connection that has been let in.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
}

impl Connection {
    pub(crate) fn open(place: &Place) -> Result<Self> {
        let mut stream = resolve::connect(&place.host, place.port, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Stream> = if place.secure {
            // The request for TLS: its length and a magic number.
            stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            if answer != *b"S" {
                bail!("the database has no TLS");
            }
            Box::new(tls::secure(stream, &place.host)?)
        } else {
            Box::new(stream)
        };
        let mut connection = Self { stream };
        let mut hello = vec![0, 3, 0, 0];
        for word in ["user", &place.user, "database", &place.database, ""] {
            hello.extend(word.bytes());
            hello.push(0);
        }
        connection.send(None, &hello)?;
        connection.log_in(&place.password)?;
        Ok(connection)
    }

    /// Runs a query, or several in one transaction; the answer is the first field of the last row.
    pub(crate) fn query(&mut self, text: &str) -> Result<Option<String>> {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        let mut value = None;
        let mut refused = None;
        loop {
            match self.receive()? {
                (b'D', row) => value = first_field(&row),
                (b'E', error) => refused = Some(plain(&error)),
                (b'Z', _) => break,
                _ => {}
            }
        }
        refused.map_or(Ok(value), |refused| bail!("{refused}"))
    }

    fn log_in(&mut self, password: &str) -> Result<()> {
        let mut exchange = None;
        loop {
            let (kind, body) = self.receive()?;
            match (kind, body.get(..4)) {
                (b'R', Some([0, 0, 0, 10])) => {
                    let begun = Scram::begin()?;
                    let first = begun.first();
                    let mut message = b"SCRAM-SHA-256\0".to_vec();
                    message.extend(u32::try_from(first.len())?.to_be_bytes());
                    message.extend(first.bytes());
                    self.send(Some(b'p'), &message)?;
                    exchange = Some(begun);
                }
                (b'R', Some([0, 0, 0, 11])) => {
                    let challenge = String::from_utf8_lossy(&body[4..]).into_owned();
                    let begun = exchange.as_ref().context("an answer to nothing")?;
                    self.send(Some(b'p'), begun.last(&challenge, password)?.as_bytes())?;
                }
                (b'E', _) => bail!("{}", plain(&body)),
                (b'R', Some([0, 0, 0, 0 | 12])) => {}
                (b'R', _) => bail!("the database wants another kind of password"),
                (b'Z', _) => return Ok(()),
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<()> {
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(u32::try_from(body.len() + 4)?.to_be_bytes());
        message.extend(body);
        self.stream.write_all(&message)?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.checked_sub(4).context("a message without a length")?];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

fn first_field(row: &[u8]) -> Option<String> {
    let length = i32::from_be_bytes(row.get(2..6)?.try_into().ok()?);
    let end = 6 + usize::try_from(length).ok()?;
    Some(String::from_utf8_lossy(row.get(6..end)?).into_owned())
}

/// A text as SQL writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An error message's text: it is the field that starts with M.
fn plain(error: &[u8]) -> String {
    let mut fields = error.split(|&byte| byte == 0);
    let message = fields.find_map(|field| field.strip_prefix(b"M")).unwrap_or(b"unknown error");
    String::from_utf8_lossy(message).into_owned()
}

/// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
struct Scram {
    nonce: String,
}

impl Scram {
    fn begin() -> Result<Self> {
        let mut bytes = [0; 18];
        rand::SystemRandom::new().fill(&mut bytes).ok().context("no random bytes")?;
        Ok(Self { nonce: base64(&bytes) })
    }

    fn first(&self) -> String {
        format!("n,,n=,r={}", self.nonce)
    }

    fn last(&self, challenge: &str, password: &str) -> Result<String> {
        let part = |name: &str| {
            let mut parts = challenge.split(',');
            parts
                .find_map(|part| part.strip_prefix(name))
                .with_context(|| format!("no {name} in {challenge}"))
        };
        let (nonce, salt) = (part("r=")?, unbase64(part("s=")?)?);
        let rounds: NonZeroU32 = part("i=")?.parse()?;
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let bare = format!("c=biws,r={nonce}");
        let all = format!("n=,r={},{challenge},{bare}", self.nonce);
        let signature = sign(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<_> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        Ok(format!("{bare},p={}", base64(&proof)))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(sextet) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0_u32, 0);
    for letter in text.bytes().take_while(|&letter| letter != b'=') {
        let sextet = ALPHABET.iter().position(|&known| known == letter).context("not base64")?;
        group = group << 6 | u32::try_from(sextet)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(group >> bits & 0xff)?);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{base64, first_field, unbase64};

    #[test]
    fn base64_there_and_back() {
        for text in ["", "f", "fo", "foo", "foob", "\u{fe}\u{ff}"] {
            assert_eq!(unbase64(&base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(base64(b"fo"), "Zm8=");
    }

    #[test]
    fn a_row() {
        assert_eq!(first_field(b"\0\x01\0\0\0\x02ab").unwrap(), "ab");
        assert_eq!(first_field(b"\0\x01\xff\xff\xff\xff"), None);
    }
}
