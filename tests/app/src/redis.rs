//! As much of Redis's protocol as a counter and a queue need.

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

    /// Sends a command; a refusal is an error.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Reply> {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            write!(text, "${}\r\n{word}\r\n", word.len())?;
        }
        let stream = self.reader.get_mut();
        stream.write_all(&text)?;
        stream.flush()?;
        read(&mut self.reader)
    }
}

/// What Redis answers.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Nothing,
    Text(String),
    List(Vec<Self>),
}

impl Reply {
    /// The text, if it is one.
    pub(crate) fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number that it is.
    pub(crate) fn number(self) -> Result<u64> {
        let text = self.text().context("Redis was to answer a number")?;
        text.parse().with_context(|| format!("Redis said '{text}', which is no number"))
    }

    /// The texts of a list.
    pub(crate) fn texts(self) -> Vec<String> {
        if let Self::List(all) = self { all.into_iter().filter_map(Self::text).collect() } else { vec![] }
    }
}

/// One answer: a line, so many bytes, or a list of answers.
fn read(reader: &mut impl BufRead) -> Result<Reply> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("Redis closed the connection");
    }
    match line.trim_end().split_at_checked(1) {
        Some(("+" | ":", value)) => Ok(Reply::Text(value.to_owned())),
        Some(("-", error)) => bail!("Redis: {error}"),
        Some(("$" | "*", "-1")) => Ok(Reply::Nothing),
        Some(("$", length)) => {
            let mut bytes = vec![0; length.parse::<usize>()? + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(Reply::Text(String::from_utf8(bytes)?))
        }
        Some(("*", count)) => {
            Ok(Reply::List((0..count.parse()?).map(|_| read(reader)).collect::<Result<_>>()?))
        }
        _ => bail!("Redis said {line:?}"),
    }
}

/// Whether this is a URL of a Redis.
pub(crate) fn check(url: &str) -> Result<()> {
    Parts::of(url).map(drop)
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
    use super::{Parts, Reply, read};

    #[test]
    fn reads_answers() {
        let text = |text: &str| Reply::Text(text.to_owned());
        let mut said: &[u8] = b"+OK\r\n:7\r\n$4\r\na\r\nb\r\n$-1\r\n*2\r\n$1\r\nx\r\n*-1\r\n-ERR no\r\n";
        assert_eq!(read(&mut said).unwrap(), text("OK"));
        assert_eq!(read(&mut said).unwrap().number().unwrap(), 7);
        assert_eq!(read(&mut said).unwrap(), text("a\r\nb"));
        assert_eq!(read(&mut said).unwrap(), Reply::Nothing);
        assert_eq!(read(&mut said).unwrap(), Reply::List(vec![text("x"), Reply::Nothing]));
        assert_eq!(read(&mut said).unwrap_err().to_string(), "Redis: ERR no");
        assert!(read(&mut said).is_err());
    }

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
