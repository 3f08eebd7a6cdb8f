//! As much of Redis's protocol as a counter needs.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tls::Stream;
use crate::{resolve, tls};

const PATIENCE: Duration = Duration::from_secs(3);

/// A connection that has been let in.
pub(crate) struct Connection {
    reader: BufReader<Box<dyn Stream>>,
}

/// The parts of `redis[s]://[user]:password@host:port/database`.
#[derive(Debug, PartialEq)]
struct Parts {
    secure: bool,
    user: String,
    password: String,
    host: String,
    port: u16,
}

impl Connection {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let parts = Parts::of(url)?;
        let stream = resolve::connect(&parts.host, parts.port, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Stream> =
            if parts.secure { Box::new(tls::secure(stream, &parts.host)?) } else { Box::new(stream) };
        let mut connection = Self { reader: BufReader::new(stream) };
        match (parts.user.as_str(), parts.password.as_str()) {
            (_, "") => {}
            ("", password) => drop(connection.ask(&["AUTH", password])?),
            (user, password) => drop(connection.ask(&["AUTH", user, password])?),
        }
        Ok(connection)
    }

    /// Sends a command; the answer is a line.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<String> {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            write!(text, "${}\r\n{word}\r\n", word.len())?;
        }
        let stream = self.reader.get_mut();
        stream.write_all(&text)?;
        stream.flush()?;
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("Redis closed the connection");
        }
        match line.trim_end().split_at_checked(1) {
            Some(("+" | ":", value)) => Ok(value.to_owned()),
            Some(("-", error)) => bail!("Redis: {error}"),
            _ => bail!("Redis said {line:?}"),
        }
    }
}

impl Parts {
    fn of(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("REDIS_URL is not a URL")?;
        let secure = match scheme {
            "rediss" => true,
            "redis" => false,
            _ => bail!("REDIS_URL has the scheme {scheme}"),
        };
        let place = rest.split('/').next().unwrap_or_default();
        let (login, host) = place.rsplit_once('@').unwrap_or(("", place));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = host.split_once(':').unwrap_or((host, "6379"));
        Ok(Self {
            secure,
            user: unescape(user)?,
            password: unescape(password)?,
            host: host.to_owned(),
            port: port.parse().context("REDIS_URL has no port that is a number")?,
        })
    }
}

fn unescape(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
            bytes
                .push(u8::from_str_radix(std::str::from_utf8(&digits)?, 16).context("a bad % in REDIS_URL")?);
        } else {
            bytes.push(byte);
        }
    }
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn takes_urls_apart() {
        let parts = Parts::of("rediss://:Tok%23en%5E1@cache.internal:6379/0").unwrap();
        assert_eq!((parts.secure, parts.password.as_str()), (true, "Tok#en^1"));
        assert_eq!((parts.host.as_str(), parts.port), ("cache.internal", 6379));
        let parts = Parts::of("redis://host").unwrap();
        assert_eq!((parts.secure, parts.password.as_str(), parts.port), (false, "", 6379));
        assert!(Parts::of("http://host").is_err());
        // Unescaped, the # is part of the name of nothing that listens; what matters is that it is an error or wrong.
        assert!(Parts::of("rediss://:a%zz@host:1").is_err());
    }
}
