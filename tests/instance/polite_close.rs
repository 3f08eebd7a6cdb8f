//! Keep-alive connections move over without losing a request, from clients that are never idle and try nothing twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab::{Load, wait_until};
use world::{Bundle, PATIENCE, World, releases};

/// With v1 live, of a bundle that goes start-first.
fn world() -> Result<World> {
    let world = World::up_with_failpoints()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    Ok(world)
}

/// What the log of handover says of each polite close so far.
fn tallies(world: &World) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(world.web.path("/var/log/handover/handover.log"))?;
    let tallies: Vec<String> = log.lines().filter(|line| line.contains("Tally")).map(str::to_owned).collect();
    ensure!(!tallies.is_empty(), "nothing was closed politely: {log}");
    Ok(tallies)
}

#[test]
fn clients_that_are_never_idle_lose_nothing() -> Result<()> {
    let world = world()?;
    // More than they can send: each sends its next request as soon as it has its answer.
    let options = ["--rate", "20000", "--seconds", "900", "--keep-alive", "--no-retry", "--workers", "24"];
    let load = world.lab.load(&format!("http://{}:8000/ping", world.web.ip()), &options)?;
    for (id, tag) in [("d-000000002", "v2"), ("d-000000003", "v3")] {
        let report = world.deploy(id, &Bundle::of(tag).start_first())?;
        ensure!(report.succeeded(), "{report:?}");
    }
    let missed = |tally: &String| !tally.contains("upgraded: 0, no_room: 0, unanswered: 0");
    ensure!(!tallies(&world)?.iter().any(missed), "{:#?}", tallies(&world)?);
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && releases(&seen) == ["v1", "v2", "v3"], "{seen}");
    world.assert_no_rules()
}

/// What is left of a handover that is killed while it drains lets everything through, and goes.
#[test]
fn a_handover_that_is_killed_in_a_drain_stalls_nobody() -> Result<()> {
    let world = world()?;
    let url = format!("http://{}:8000/ping", world.web.ip());
    // A request that goes on for a while keeps the drain open.
    let options =
        ["--rate", "1", "--seconds", "900", "--workers", "1", "--keep-alive", "--timeout-ms", "90000"];
    let _slow = world.lab.load(&format!("{url}?ms=20000"), &options)?;
    let path = world.bundle(&Bundle::of("v2").start_first().edit("drain = \"10s\"", "drain = \"1m\""))?;
    let mut agent = world.agent("v1", &[]);
    let agent = agent.args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let rules = || world.rules();
    wait_until("it drains", PATIENCE, || Ok(rules()?.iter().any(|rule| rule.contains("NFQUEUE"))))?;
    world.kill_handover()?;
    let _ = agent.kill();
    agent.wait()?;
    ensure!(rules()?.iter().any(|rule| rule.contains("NFQUEUE")), "{:#?}", rules()?);
    let load = world.lab.load(&url, &["--rate", "200", "--seconds", "2", "--workers", "8"])?;
    let seen = load.finish()?;
    ensure!(seen["failed"] == 0 && seen["total"] == 400, "{seen}");
    let recovered = world.handover(&["recover"])?;
    ensure!(recovered.status.success(), "{recovered:?}");
    world.assert_no_rules()?;
    world.assert_settled("v1")
}

/// Clients that send their next request as soon as they have their answer, and try nothing twice.
fn never_idle(world: &World) -> Result<Load> {
    let options = ["--rate", "20000", "--seconds", "900", "--keep-alive", "--no-retry", "--workers", "12"];
    world.lab.load(&format!("http://{}:8000/ping", world.web.ip()), &options)
}

/// Bodies of each request and response look like heads of responses, a hundred bytes each, and the responses' come in segments that
/// begin with one. None is changed. Nor is a slow request lost, where the drain has time for two: one that had begun before, and
/// the next one on the same connection.
#[test]
fn bodies_come_back_as_they_went() -> Result<()> {
    let world = world()?;
    let url = format!("http://{}:8000", world.web.ip());
    let keep = ["--seconds", "900", "--keep-alive", "--no-retry", "--timeout-ms", "20000"];
    let some = |rate, workers| [&["--rate", rate, "--workers", workers], &keep[..]].concat();
    let echo = world.lab.load(&format!("{url}/echo"), &[&some("20000", "8")[..], &["--echo"]].concat())?;
    let slow = world.lab.load(&format!("{url}/ping?ms=2000"), &some("100", "4"))?;
    for (id, tag) in [("d-000000002", "v2"), ("d-000000003", "v3")] {
        let report = world.deploy(id, &Bundle::of(tag).start_first())?;
        ensure!(report.succeeded(), "{report:?}");
    }
    for load in [echo, slow] {
        let seen = load.stop()?;
        ensure!(seen["failed"] == 0 && releases(&seen) == ["v1", "v2", "v3"], "{seen}");
    }
    world.assert_no_rules()?;
    let queues = world.by_hand("cat /proc/net/netfilter/nfnetlink_queue")?;
    ensure!(queues.trim().is_empty(), "{queues}");
    Ok(())
}

/// A packet that was looked at goes past the rest of its chain: so the others' rules come first. Here without their mark no response
/// leaves the instance. Then the container sees the clients by another address than the one that they come from.
#[test]
fn other_peoples_marks_are_set_and_their_translations_are_seen_through() -> Result<()> {
    let world = world()?;
    let theirs = "iptables -t mangle -A PREROUTING -p tcp --sport 8000 -j MARK --set-mark 7\n\
                  iptables -t mangle -A FORWARD -p tcp --sport 8000 -m mark ! --mark 7 -j DROP";
    world.by_hand(theirs)?;
    let load = never_idle(&world)?;
    let report = world.deploy("d-000000002", &Bundle::of("v2").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && releases(&seen) == ["v1", "v2"], "marked: {seen}");
    world.by_hand(&theirs.replace(" -A ", " -D "))?;

    world.by_hand("iptables -t nat -I POSTROUTING -p tcp --dport 8000 -j MASQUERADE")?;
    let load = never_idle(&world)?;
    let report = world.deploy("d-000000003", &Bundle::of("v3").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && releases(&seen) == ["v2", "v3"], "masqueraded: {seen}");
    let missed = |tally: &String| !tally.contains("upgraded: 0, no_room: 0, unanswered: 0");
    ensure!(!tallies(&world)?.iter().any(missed), "{:#?}", tallies(&world)?);
    world.assert_no_rules()
}

/// Two connections without HTTP, used all the time: one upgraded, as to a `WebSocket`, whose frames hold heads of responses; the other
/// one begins as TLS does. Says how many frames came back as they went, once both have been closed.
const NO_HTTP: &str = r#"
import socket, sys, time
to = (sys.argv[1], 8000)
head = b"HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 21:00:00 GMT\r\n\r\n"
frame = b"\x81\x7e\x00" + bytes([len(head)]) + head
upgraded, encrypted = socket.create_connection(to), socket.create_connection(to)
upgraded.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\n")
reader = upgraded.makefile("rb")
while reader.readline() != b"\r\n":
    pass
frames = 0
try:
    while True:
        encrypted.sendall(b"\x16\x03\x01\x00\x01\x01")
        upgraded.sendall(frame)
        got = reader.read(len(frame))
        if len(got) < len(frame):
            break
        assert got == frame, got
        frames += 1
        time.sleep(0.02)
except (ConnectionResetError, BrokenPipeError):
    pass
print(frames)
"#;

#[test]
fn what_is_no_http_is_left_alone_and_told() -> Result<()> {
    let world = world()?;
    let mut client = world.lab.command("python3")?;
    client.args(["-c", NO_HTTP, &world.web.ip().to_string()]);
    let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Its clients do not close.
    let bundle = Bundle::of("v2").start_first().edit("drain = \"10s\"", "drain = \"2s\"");
    let report = world.deploy("d-000000002", &bundle)?;
    ensure!(report.succeeded(), "{report:?}");
    let seen = client.wait_with_output()?;
    ensure!(seen.status.success(), "{}", world::text(&seen.stderr));
    ensure!(world::text(&seen.stdout).trim().parse::<u32>()? > 50, "{seen:?}");
    let tallies = tallies(&world)?;
    let told = |tally: &String| tally.contains("unreadable: 1") && tally.contains("unanswered: 1");
    ensure!(tallies.iter().any(told), "{tallies:#?}");
    world.assert_no_rules()
}

/// A client that has asked for much, on a connection that its server closes as soon as all of it is written, and takes its time to
/// read: from a line on its standard input on, and then a little at a time. Says how much came.
const SLOW_READER: &str = r#"
import socket, sys, time
size = 3_000_000
client = socket.socket()
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
client.connect((sys.argv[1], 8000))
client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
client.sendall(b"x" * size)
print("asked", flush=True)
sys.stdin.readline()
got = 0
while some := client.recv(65536):
    got += len(some)
    time.sleep(0.02)
print(got - size)
"#;

#[test]
fn what_is_written_and_not_yet_read_is_waited_for() -> Result<()> {
    let world = world()?;
    let mut client = world.lab.command("python3")?;
    client.args(["-c", SLOW_READER, &world.web.ip().to_string()]).stdin(Stdio::piped());
    let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(client.stdout.take().context("no output")?);
    let mut asked = String::new();
    said.read_line(&mut asked)?;
    ensure!(asked.trim() == "asked", "{asked}: {:?}", client.wait_with_output()?);

    let path = world.bundle(&Bundle::of("v2").start_first().edit("drain = \"10s\"", "drain = \"1m\""))?;
    let mut agent = world.agent("v1", &[]);
    let agent = agent.args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"]);
    let agent = agent.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let began = "\"entry\":\"began\",\"step\":\"drain-live web\"";
    wait_until("it drains", PATIENCE, || Ok(world.journal().contains(began)))?;
    client.stdin.take().context("no input")?.write_all(b"\n")?;
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    let ended = client.wait_with_output()?;
    let report = world::report(&agent.wait_with_output()?)?;
    ensure!(report.succeeded(), "{report:?}");
    let beyond: i64 = rest.trim().parse().with_context(|| format!("{rest}: {ended:?}"))?;
    // The head of the answer, and nothing is missing.
    ensure!((1..1000).contains(&beyond), "{beyond} bytes more than the body");
    world.assert_settled("v2")
}
