//! A small HTTP/1.1 client: one request on one connection. It is enough for the Docker Engine, the registry and
//! moto over their Unix sockets, and for plain requests inside the VPC.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Far beyond what any part of the lab needs for an answer: a hanging part shows as an error, not as a hanging test.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The value of the `Host` header.
    pub host: &'a str,
    /// The path with the query.
    pub path: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; without one no length is sent for a GET.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// Sends a request over a Unix socket.
pub fn over_unix(socket: &Path, request: &Request<'_>) -> Result<Response> {
    let stream =
        UnixStream::connect(socket).with_context(|| format!("no answer from {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    exchange(stream, request)
}

/// Sends a request and reads the whole answer.
pub fn exchange(mut stream: impl Read + Write, request: &Request<'_>) -> Result<Response> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        request.method, request.path, request.host
    )
    .into_bytes();
    for (name, value) in request.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if !request.body.is_empty() || request.method != "GET" {
        write!(head, "Content-Length: {}\r\n", request.body.len())?;
    }
    head.extend(b"\r\n");
    stream.write_all(&head)?;
    stream.write_all(request.body)?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    // Not `read_to_end`: what came before a broken end still tells more than the error alone.
    loop {
        if complete(&answer, request.method) {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("{} {}: after {} bytes", request.method, request.path, answer.len())
                });
            }
        }
    }
    parse(&answer, request.method).with_context(|| format!("{} {}", request.method, request.path))
}

/// Whether the answer is all there, where its head says how long it is.
fn complete(answer: &[u8], method: &str) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    if method == "HEAD" || matches!(status_of(head), Some(204 | 304)) {
        return true;
    }
    head_lines(head)
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((&answer[..end], &answer[end + 4..]))
}

fn status_of(head: &[u8]) -> Option<u16> {
    String::from_utf8_lossy(head).split_whitespace().nth(1)?.parse().ok()
}

fn head_lines(head: &[u8]) -> impl Iterator<Item = (String, String)> {
    String::from_utf8_lossy(head)
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn parse(answer: &[u8], method: &str) -> Result<Response> {
    let Some((head, body)) = split(answer) else {
        bail!("the answer ended within its head ({} bytes)", answer.len());
    };
    let status = status_of(head).context("the answer has no status")?;
    let headers: Vec<_> = head_lines(head).collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked"));
    let body = match (method, chunked) {
        ("HEAD", _) => Vec::new(),
        (_, true) => unchunk(body)?,
        (_, false) => body.to_vec(),
    };
    Ok(Response { status, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").context("a chunk without a size")?;
        let size = std::str::from_utf8(&rest[..end])?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("the answer ended within a chunk")?);
        rest = rest.get(size + 2..).context("the answer ended after a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_chunks() {
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(answer, "GET").unwrap().text(), "abcde");
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", "GET").is_err());
        assert!(parse(b"HTTP/1.1 200", "GET").is_err());
    }
}
