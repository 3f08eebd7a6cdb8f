//! HTTP/1.1 with keep-alive, a thread for each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::iterator::Signals;

use crate::number;
use crate::routes::Routes;

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

/// Behind this a connection gives back what it gets.
const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nDate: Fri, 27 Nov 2026 21:00:00 GMT\r\n\r\n";

/// How much of a body is given back at a time.
const PIECE: usize = 1000;

/// What all connections share.
struct Server {
    answers: Answers,
    routes: Routes,
    ending: AtomicBool,
    connections: Mutex<Connections>,
    changed: Condvar,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: Vec<Open>,
}

struct Open {
    number: u64,
    stream: TcpStream,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Nothing has come yet, since then: a request may be on its way.
    New(Instant),
    /// A request is being answered.
    Busy,
    /// The last request has been answered.
    Idle,
}

/// How long a connection on which nothing has come may hold up the end.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// One request, as far as it matters.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) id: Option<String>,
    body: Vec<u8>,
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
        routes: Routes::from_environment(answers)?,
        ending: AtomicBool::new(false),
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
        // A connection that was gone before it was taken is no reason to end.
        if let Ok(stream) = stream {
            server.take(stream)?;
        }
        if server.ending.load(Ordering::SeqCst) {
            break;
        }
    }
    // The kernel has told the clients in the queue that they are connected: closing now would cut them off.
    listener.set_nonblocking(true)?;
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(false)?;
        server.take(stream)?;
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

    /// Answers a connection in a thread of its own. It is known from now on, not when that thread gets to run.
    fn take(self: &Arc<Self>, stream: TcpStream) -> Result<()> {
        let Ok(copy) = stream.try_clone() else { return Ok(()) };
        let mut connections = self.lock();
        connections.next += 1;
        let number = connections.next;
        connections.open.push(Open { number, stream: copy, phase: Phase::New(Instant::now()) });
        drop(connections);
        let server = Arc::clone(self);
        thread::Builder::new().stack_size(256 << 10).spawn(move || {
            // Whatever ends a connection ends only that connection.
            let _ = server.answer_all(stream, number);
            server.lock().open.retain(|open| open.number != number);
            server.changed.notify_all();
        })?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the idle connections, and waits for the requests that are being answered.
    fn drain(&self) {
        let deadline = Instant::now() + Duration::from_millis(number("DRAIN_MS", 5000));
        let mut connections = self.lock();
        loop {
            let is_done = |open: &Open| match open.phase {
                Phase::New(since) => since.elapsed() >= FIRST_REQUEST,
                Phase::Busy => false,
                Phase::Idle => true,
            };
            for open in connections.open.iter().filter(|open| is_done(open)) {
                let _ = open.stream.shutdown(Shutdown::Both);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if connections.open.iter().all(is_done) || left.is_zero() {
                return;
            }
            // New connections become old without telling.
            let left = left.min(FIRST_REQUEST);
            connections =
                self.changed.wait_timeout(connections, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn set_phase(&self, number: u64, phase: Phase) {
        if let Some(open) = self.lock().open.iter_mut().find(|open| open.number == number) {
            open.phase = phase;
        }
        self.changed.notify_all();
    }

    /// Gives a body back, in pieces that are segments of their own.
    fn echo(&self, writer: &mut TcpStream, body: &[u8], close: bool) -> Result<()> {
        let connection = if close { "close" } else { "keep-alive" };
        let (length, release) = (body.len(), &self.routes.release);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: {connection}\r\nX-Release: {release}\r\n\r\n"
        );
        writer.write_all(head.as_bytes())?;
        for piece in body.chunks(PIECE) {
            writer.write_all(piece)?;
        }
        Ok(())
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
            self.set_phase(number, Phase::Busy);
            let Some(asked) = read_request(&mut reader)? else { return Ok(()) };
            if self.answers == Answers::Never {
                std::io::copy(&mut reader, &mut std::io::sink())?;
                return Ok(());
            }
            if asked.path == "/upgrade" {
                writer.write_all(UPGRADED)?;
                std::io::copy(&mut reader, &mut writer)?;
                return Ok(());
            }
            let close = asked.close || self.ending.load(Ordering::SeqCst);
            if asked.path == "/echo" {
                self.echo(&mut writer, &asked.body, close)?;
                if close {
                    return Ok(());
                }
                self.set_phase(number, Phase::Idle);
                continue;
            }
            let (status, body) = self.routes.answer(&asked);
            let close = close || self.ending.load(Ordering::SeqCst);
            let body = if asked.method == "HEAD" { String::new() } else { format!("{body}\n") };
            let connection = if close { "close" } else { "keep-alive" };
            let id = asked.id.map(|id| format!("X-Request-Id: {id}\r\n")).unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: {connection}\r\nX-Release: {}\r\n{id}\r\n{body}",
                if status < 300 { "OK" } else { "Error" },
                body.len(),
                self.routes.release,
            );
            writer.write_all(answer.as_bytes())?;
            if close {
                return Ok(());
            }
            self.set_phase(number, Phase::Idle);
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut asked = Asked {
        method,
        path,
        host: String::new(),
        id: None,
        body: vec![],
        close: line.trim_end().ends_with("HTTP/1.0"),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.trim().to_ascii_lowercase().as_str() {
            "host" => value.trim().clone_into(&mut asked.host),
            "x-request-id" => asked.id = Some(value.trim().to_owned()),
            "connection" => asked.close |= value.trim().eq_ignore_ascii_case("close"),
            "content-length" => length = value.trim().parse()?,
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut asked.body)?;
    Ok(Some(asked))
}
