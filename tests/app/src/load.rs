//! `app load`: a load client. Open loop: requests start when they are due, whether or not earlier ones have been
//! answered, and what they wait for counts. Bounded in count and in time.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::resolve;

/// What is to be done.
struct Plan {
    address: SocketAddr,
    host: String,
    /// `{}` in it is the number of the request.
    path: String,
    method: &'static str,
    /// Each request has a body, which comes back.
    echo: bool,
    /// How many requests a second; without one each worker sends its next request as soon as it has its answer.
    rate: Option<u32>,
    duration: Duration,
    keep_alive: bool,
    workers: u32,
    timeout: Duration,
    /// An answer that comes later is none.
    within: Option<Duration>,
    /// What each answer's body has to be.
    expected: Option<Vec<u8>>,
    /// The addresses that connections come from, by turns; without one, the kernel's choice.
    from: Vec<IpAddr>,
    /// Keep-alive: a request on a connection that the server closed while it was idle is sent again on a new one,
    /// once, as browsers and load balancers do.
    retry: bool,
}

/// What happened to one request.
struct Outcome {
    /// Since the start of the run: when it was due, and when it was answered.
    due: Duration,
    done: Duration,
    result: Result<String, String>,
}

/// Runs `load URL [--rate N | --never-idle] [--seconds S] [--keep-alive] [--workers N] [--timeout-ms N] [--within-ms N] [--no-retry] [--post]
/// [--echo] [--expect FILE] [--from ADDRESS,...]`; `--echo`: with bodies of up to 300 kB that look like heads of responses, which have
/// to come back as they are; `--expect`: what each answer's body has to be; `--within-ms`: what is answered later has failed.
/// TERM ends the run early; what was seen until then is printed.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let plan = Arc::new(Plan::of(options)?);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let next = Arc::new(AtomicU64::new(0));
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let (start, began) = (Instant::now(), SystemTime::now());
    let workers: Vec<_> = (0..plan.workers)
        .map(|_| {
            let (plan, stop) = (Arc::clone(&plan), Arc::clone(&stop));
            let (next, outcomes) = (Arc::clone(&next), Arc::clone(&outcomes));
            thread::Builder::new().stack_size(256 << 10).spawn(move || {
                let own = work(&plan, &stop, &next, start);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
            })
        })
        .collect::<Result<_, _>>()?;
    for worker in workers {
        worker.join().ok().context("a worker panicked")?;
    }
    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.done);
    println!("{}", report(&plan, &outcomes, began, start.elapsed()));
    Ok(())
}

impl Plan {
    fn of(options: &[&str]) -> Result<Self> {
        let (url, mut rest) = options.split_first().context("load: which URL?")?;
        let place = url.strip_prefix("http://").context("load: only http URLs")?;
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
        let mut plan = Self {
            address: SocketAddr::new(resolve::address(name)?, port.parse().context("load: the port")?),
            host: host.to_owned(),
            path: format!("/{path}"),
            method: "GET",
            echo: false,
            rate: Some(100),
            duration: Duration::from_secs(5),
            keep_alive: false,
            workers: 64,
            timeout: Duration::from_secs(10),
            within: None,
            expected: None,
            from: vec![],
            retry: true,
        };
        while let Some((option, after)) = rest.split_first() {
            rest = after;
            match *option {
                "--keep-alive" => plan.keep_alive = true,
                "--post" => plan.method = "POST",
                "--echo" => (plan.method, plan.echo) = ("POST", true),
                "--never-idle" => plan.rate = None,
                "--no-retry" => plan.retry = false,
                _ => {
                    let value = rest.split_off_first().with_context(|| format!("{option}: which value?"))?;
                    let bad = || format!("{option} {value}");
                    match *option {
                        "--rate" => plan.rate = Some(value.parse().with_context(bad)?),
                        "--seconds" => {
                            plan.duration = Duration::try_from_secs_f64(value.parse().with_context(bad)?)?;
                        }
                        "--workers" => plan.workers = value.parse().with_context(bad)?,
                        "--timeout-ms" => {
                            plan.timeout = Duration::from_millis(value.parse().with_context(bad)?);
                        }
                        "--within-ms" => {
                            plan.within = Some(Duration::from_millis(value.parse().with_context(bad)?));
                        }
                        "--expect" => plan.expected = Some(std::fs::read(value).with_context(bad)?),
                        "--from" => {
                            plan.from = value
                                .split(',')
                                .map(str::parse)
                                .collect::<Result<_, _>>()
                                .with_context(bad)?;
                        }
                        _ => bail!("load: unknown option {option}"),
                    }
                }
            }
        }
        if plan.rate.is_some_and(|rate| rate == 0 || rate > 20_000)
            || plan.workers == 0
            || plan.workers > 2000
        {
            bail!("load: at most 20000 requests/s by at most 2000 workers, and at least one");
        }
        if plan.duration > Duration::from_hours(1) {
            bail!("load: at most an hour");
        }
        Ok(plan)
    }
}

/// Takes the next request that nobody has taken, waits until it is due, sends it; until the time is over.
fn work(plan: &Plan, stop: &AtomicBool, next: &AtomicU64, start: Instant) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut kept: Option<BufReader<TcpStream>> = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = match plan.rate {
            Some(rate) => Duration::from_nanos(number * 1_000_000_000 / u64::from(rate)),
            None => start.elapsed(),
        };
        if due >= plan.duration || stop.load(Ordering::Relaxed) {
            return outcomes;
        }
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return outcomes;
        }
        let mut result = request(plan, &mut kept, number);
        let done = start.elapsed();
        if result.is_ok() && plan.within.is_some_and(|within| done.saturating_sub(due) > within) {
            result = Err("late".to_owned());
        }
        // Where nobody listens the next one would fail at once, and the next.
        if result.is_err() && plan.rate.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        outcomes.push(Outcome { due, done, result });
    }
}

fn request(plan: &Plan, kept: &mut Option<BufReader<TcpStream>>, number: u64) -> Result<String, String> {
    if let Some(mut connection) = kept.take() {
        match exchange(plan, &mut connection, number) {
            Ok((release, open)) => {
                *kept = open.then_some(connection);
                return Ok(release);
            }
            // Only if nothing at all was answered may it be sent again.
            Err(error) if plan.retry && error == "closed" => {}
            Err(error) => return Err(format!("kept connection: {error}")),
        }
    }
    let stream = connect(plan, number).map_err(|error| named("connect", &error))?;
    let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(plan.timeout)));
    set.map_err(|error| named("socket", &error))?;
    let mut connection = BufReader::new(stream);
    let (release, open) = exchange(plan, &mut connection, number)?;
    *kept = (open && plan.keep_alive).then_some(connection);
    Ok(release)
}

fn connect(plan: &Plan, number: u64) -> io::Result<TcpStream> {
    let mut turns =
        plan.from.iter().cycle().skip(usize::try_from(number).unwrap_or(0) % plan.from.len().max(1));
    let Some(from) = turns.next() else {
        return TcpStream::connect_timeout(&plan.address, plan.timeout);
    };
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let stream = TcpStream::from(net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?);
    // What bounds a send bounds the connect, too.
    stream.set_write_timeout(Some(plan.timeout))?;
    net::bind(&stream, &SocketAddr::new(*from, 0))?;
    match net::connect(&stream, &plan.address) {
        Err(Errno::INPROGRESS) => Err(io::ErrorKind::TimedOut.into()),
        connected => Ok(connected.map(|()| stream)?),
    }
}

/// One request on a connection: the release that answered, and whether the connection stays open.
fn exchange(
    plan: &Plan,
    connection: &mut BufReader<TcpStream>,
    number: u64,
) -> Result<(String, bool), String> {
    let keep = if plan.keep_alive { "keep-alive" } else { "close" };
    let sent = if plan.echo { body(number) } else { vec![] };
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: {keep}\r\nX-Request-Id: {number}\r\nContent-Length: {}\r\n\r\n",
        plan.method,
        plan.path.replace("{}", &number.to_string()),
        plan.host,
        sent.len()
    );
    let request = [head.as_bytes(), &sent].concat();
    if let Err(error) = connection.get_mut().write_all(&request) {
        return Err(gone(&error).unwrap_or_else(|| named("send", &error)));
    }
    let mut line = String::new();
    match connection.read_line(&mut line) {
        Ok(0) => return Err("closed".to_owned()),
        Ok(_) => {}
        Err(error) => return Err(gone(&error).unwrap_or_else(|| named("receive", &error))),
    }
    let status = line.split_whitespace().nth(1).unwrap_or("?").to_owned();
    let (mut length, mut chunked, mut open, mut release) = (0, false, true, String::new());
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).map_err(|error| named("head", &error))? == 0 {
            return Err("the head was cut".to_owned());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|_| "a bad length".to_owned())?,
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "connection" => open = !value.trim().eq_ignore_ascii_case("close"),
            "x-release" => value.trim().clone_into(&mut release),
            // Where the server says whose answer it is, it has to be ours.
            "x-request-id" if value.trim() != number.to_string() => {
                return Err(format!("the answer to request {}", value.trim()));
            }
            _ => {}
        }
    }
    let mut got = vec![];
    if chunked {
        read_chunks(connection, &mut got)?;
    } else {
        read_exactly(connection, length, &mut got)?;
    }
    let expected = if plan.echo { Some(&sent) } else { plan.expected.as_ref() };
    if expected.is_some_and(|expected| got != *expected) {
        return Err(format!("status {status} with another body"));
    }
    if status.starts_with('2') { Ok((release, open)) } else { Err(format!("status {status}")) }
}

fn read_exactly(connection: &mut BufReader<TcpStream>, length: u64, got: &mut Vec<u8>) -> Result<(), String> {
    let read = connection.take(length).read_to_end(got).map_err(|error| named("body", &error))?;
    if read as u64 == length { Ok(()) } else { Err("the body was cut".to_owned()) }
}

/// A body in chunks, without trailers.
fn read_chunks(connection: &mut BufReader<TcpStream>, got: &mut Vec<u8>) -> Result<(), String> {
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).map_err(|error| named("body", &error))?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| "the body was cut".to_owned())?;
        read_exactly(connection, length, got)?;
        read_exactly(connection, 2, &mut vec![])?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// The body of a request: most are short, one of eight is long. Each hundred bytes of it look like the head of a response.
fn body(number: u64) -> Vec<u8> {
    const DATE: &str = "Date: Fri, 27 Nov 2026 21:00:00 GMT\r\n";
    let most = if number.is_multiple_of(8) { 3000 } else { 30 };
    let head = |n: u64| format!("HTTP/1.1 200 OK\r\n{DATE}X-Request-Id: {:<28}\r\n\r\n", number + n);
    (0..number.wrapping_mul(7919) % most).flat_map(|n| head(n).into_bytes()).collect()
}

/// Errors that say: the other side had closed before the request came.
fn gone(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset).then(|| "closed".to_owned())
}

fn named(what: &str, error: &std::io::Error) -> String {
    format!("{what}: {}", error.kind())
}

fn report(plan: &Plan, outcomes: &[Outcome], began: SystemTime, took: Duration) -> serde_json::Value {
    let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed_at = vec![];
    let mut releases: Vec<(String, u64, Duration, Duration)> = Vec::new();
    let mut times = Vec::new();
    let (mut gap, mut gap_at, mut last) = (Duration::ZERO, Duration::ZERO, None::<Duration>);
    for outcome in outcomes {
        match &outcome.result {
            Ok(release) => {
                times.push(outcome.done.saturating_sub(outcome.due));
                if let Some(last) = last.filter(|&last| outcome.done.saturating_sub(last) > gap) {
                    (gap, gap_at) = (outcome.done.saturating_sub(last), last);
                }
                last = Some(outcome.done);
                match releases.last_mut() {
                    Some(seen) if seen.0 == *release => {
                        seen.1 += 1;
                        seen.3 = outcome.done;
                    }
                    _ => releases.push((release.clone(), 1, outcome.done, outcome.done)),
                }
            }
            Err(error) => {
                *failures.entry(error).or_default() += 1;
                failed_at.push(ms(outcome.due));
            }
        }
    }
    times.sort();
    let quantile = |percent: usize| times.get(times.len() * percent / 100).map(|&time| ms(time));
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "began_unix_ms": ms(began), "url": format!("http://{}{}", plan.host, plan.path), "rate": plan.rate, "keep_alive": plan.keep_alive,
        "seconds": took.as_secs_f64(), "total": outcomes.len(), "succeeded": times.len(),
        "failed": outcomes.len() - times.len(), "failures": failures,
        "failed_at_ms": failed_at.get(..20).unwrap_or(&failed_at),
        "releases": releases.iter().map(|(release, count, first, last)| json!({
            "release": release, "count": count, "first_ms": ms(*first), "last_ms": ms(*last),
        })).collect::<Vec<_>>(),
        "longest_gap_ms": ms(gap), "longest_gap_at_ms": ms(gap_at),
        "latency_ms": { "p50": quantile(50), "p99": quantile(99), "max": times.last().map(|&time| ms(time)) },
    })
}

/// Milliseconds with three digits.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
