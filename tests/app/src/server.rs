//! HTTP/1.1 with keep-alive, a thread for each connection.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use signal_hook::iterator::Signals;

use crate::backends::Backends;
use crate::number;

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answers {
    Good,
    /// 500.
    Error,
    /// 200 once, then 500.
    Flaky,
    /// Not at all.
    Never,
}

/// What all connections share.
struct Server {
    answers: Answers,
    release: String,
    container: String,
    backends: Backends,
    ending: AtomicBool,
    answered: AtomicUsize,
    connections: Mutex<Connections>,
    changed: Condvar,
}

#[derive(Default)]
struct Connections {
    next: u64,
    /// The open ones, and whether a request is being answered on them.
    open: Vec<(u64, TcpStream, bool)>,
}

/// One request, as far as it matters.
struct Asked {
    method: String,
    path: String,
    id: Option<String>,
    close: bool,
}

/// Listens at once.
pub(crate) fn run(answers: Answers, signals: Option<Signals>) -> Result<()> {
    serve(answers, Duration::ZERO, signals)
}

/// Listens after a while; a signal before that ends it as well.
pub(crate) fn run_after(delay: Duration, signals: Option<Signals>) -> Result<()> {
    serve(Answers::Good, delay, signals)
}

fn serve(answers: Answers, delay: Duration, signals: Option<Signals>) -> Result<()> {
    let server = Arc::new(Server {
        answers,
        release: env::var("RELEASE").unwrap_or_default(),
        container: fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned(),
        backends: Backends::from_environment()?,
        ending: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
        connections: Mutex::default(),
        changed: Condvar::new(),
    });
    let port = u16::try_from(number("PORT", 8000)).context("PORT")?;
    if let Some(mut signals) = signals {
        let server = Arc::clone(&server);
        thread::spawn(move || {
            signals.forever().next();
            server.end(port);
        });
    }
    thread::sleep(delay);
    let listener = listen(port)?;
    println!("app listens on {port}");
    for stream in listener.incoming() {
        if server.ending.load(Ordering::SeqCst) {
            break;
        }
        // A connection that was gone before it was taken is no reason to end.
        let Ok(stream) = stream else { continue };
        let server = Arc::clone(&server);
        thread::Builder::new().stack_size(256 << 10).spawn(move || server.converse(stream))?;
    }
    drop(listener);
    server.drain();
    println!("app ends");
    Ok(())
}

/// All addresses; only those of IPv4 where there is no IPv6.
fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
        .with_context(|| format!("cannot listen on {port}"))
}

impl Server {
    /// Told to end: the listener is woken up by a connection of our own.
    fn end(&self, port: u16) {
        self.ending.store(true, Ordering::SeqCst);
        let own = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpStream::connect_timeout(&own, Duration::from_secs(1)).is_err() {
            // It does not listen yet, so nobody waits for an answer.
            std::process::exit(0);
        }
    }

    /// Closes the idle connections, and waits for the requests that are being answered.
    fn drain(&self) {
        let deadline = Instant::now() + Duration::from_millis(number("DRAIN_MS", 5000));
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            for (_, stream, busy) in &connections.open {
                if !busy {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !connections.open.iter().any(|(_, _, busy)| *busy) || left.is_zero() {
                return;
            }
            connections =
                self.changed.wait_timeout(connections, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn converse(&self, stream: TcpStream) {
        let Ok(copy) = stream.try_clone() else { return };
        let number = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.next += 1;
            let number = connections.next;
            connections.open.push((number, copy, false));
            number
        };
        // Whatever ends a connection ends only that connection.
        let _ = self.answer_all(stream, number);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.open.retain(|(open, _, _)| *open != number);
        drop(connections);
        self.changed.notify_all();
    }

    fn busy(&self, number: u64, is: bool) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = connections.open.iter_mut().find(|(open, _, _)| *open == number) {
            entry.2 = is;
        }
        drop(connections);
        self.changed.notify_all();
    }

    fn answer_all(&self, stream: TcpStream, number: u64) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            // Busy from the first byte of a request on.
            if reader.fill_buf()?.is_empty() {
                return Ok(());
            }
            self.busy(number, true);
            let Some(asked) = read_request(&mut reader)? else { return Ok(()) };
            if self.answers == Answers::Never {
                std::io::copy(&mut reader, &mut std::io::sink())?;
                return Ok(());
            }
            let (status, body) = self.answer(&asked);
            let close = asked.close || self.ending.load(Ordering::SeqCst);
            let body = if asked.method == "HEAD" { String::new() } else { format!("{body}\n") };
            let connection = if close { "close" } else { "keep-alive" };
            let answer = format!(
                "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: {connection}\r\nX-Release: {}\r\n\r\n{body}",
                if status == 200 { "OK" } else { "Error" },
                body.len(),
                self.release,
            );
            writer.write_all(answer.as_bytes())?;
            if close {
                return Ok(());
            }
            self.busy(number, false);
        }
    }

    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let first = self.answered.fetch_add(1, Ordering::SeqCst) == 0;
        if self.answers == Answers::Error || (self.answers == Answers::Flaky && !first) {
            return (500, json!({ "error": "as I was told", "release": self.release }));
        }
        // A request that takes its time, for drains: /?ms=500
        if let Some(wait) = query.strip_prefix("ms=").and_then(|wait| wait.parse().ok()) {
            thread::sleep(Duration::from_millis(wait));
        }
        match path {
            "/ping" => (200, json!({ "release": self.release })),
            "/health" => match self.backends.database().and_then(|_| self.backends.cache()) {
                Ok(_) => (200, json!({ "release": self.release, "ready": true })),
                Err(error) => (503, json!({ "error": format!("{error:#}"), "ready": false })),
            },
            "/" => match self.backends.database().and_then(|name| Ok((name, self.backends.cache()?))) {
                Ok((database, cache)) => (
                    200,
                    json!({
                        "release": self.release, "container": self.container, "request": asked.id,
                        "database": database, "cache": cache,
                    }),
                ),
                Err(error) => (503, json!({ "error": format!("{error:#}"), "release": self.release })),
            },
            _ => match path.strip_prefix("/env/").map(env::var) {
                Some(Ok(value)) => (200, json!({ "sha256": sha256(&value) })),
                _ => (404, json!({ "error": "no such path" })),
            },
        }
    }
}

/// Only the digest of a value ever leaves the application.
fn sha256(value: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, value.as_bytes());
    digest.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn read_request(reader: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut asked = Asked { method, path, id: None, close: line.trim_end().ends_with("HTTP/1.0") };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.trim().to_ascii_lowercase().as_str() {
            "x-request-id" => asked.id = Some(value.trim().to_owned()),
            "connection" => asked.close |= value.trim().eq_ignore_ascii_case("close"),
            "content-length" => length = value.trim().parse()?,
            _ => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(asked))
}
