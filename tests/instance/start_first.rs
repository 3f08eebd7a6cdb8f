//! Start-first on a real Engine, under load from outside: whatever becomes of a release, and of handover, no request on a new
//! connection is lost.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Load, wait_until};
use serde_json::Value;
use world::{Bundle, PATIENCE, World, releases};

use crate::held::Deploying;

/// With v1 live, of a bundle that goes start-first.
fn world() -> Result<World> {
    let world = World::up_with_failpoints()?;
    world.push("slow", "slow")?;
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v1")?;
    Ok(world)
}

fn new_connections(world: &World) -> Result<Load> {
    let url = format!("http://{}:8000/", world.web.ip());
    world.lab.load(&url, &["--rate", "200", "--seconds", "900", "--timeout-ms", "15000"])
}

/// Nothing was lost, and these releases answered, one after the other as far as can be told.
fn assert_none_lost(load: Load) -> Result<Value> {
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && seen["total"].as_u64() > Some(100), "{seen}");
    Ok(seen)
}

#[test]
fn a_good_release_and_a_bad_one() -> Result<()> {
    let world = world()?;
    let before = world.rules()?;
    let load = new_connections(&world)?;
    let report = world.deploy("d-000000002", &Bundle::of("v2").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let seen = assert_none_lost(load)?;
    ensure!(releases(&seen) == ["v1", "v2"], "{seen}");
    world.assert_settled("v2")?;
    let live = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;

    let load = new_connections(&world)?;
    let report = world.deploy("d-000000003", &Bundle::of("crash").start_first())?;
    ensure!(report.failure().is_some_and(|failure| failure.exit == Some(1)), "{report:?}");
    let seen = assert_none_lost(load)?;
    ensure!(releases(&seen) == ["v2"], "{seen}");
    let after = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    ensure!(after["State"] == live["State"] && after["Id"] == live["Id"], "live was touched: {after}");
    world.assert_settled("v2")?;
    let after = world.rules()?;
    ensure!(before.len() == after.len(), "{before:#?}\nis not\n{after:#?}");
    Ok(())
}

/// The steps at which handover is killed, and whether the run is finished then, or undone.
const SITES: [(&str, bool); 6] = [
    ("redirect", false),
    ("bake", false),
    ("drain-live web", false),
    ("gate web", false),
    ("end-redirect", true),
    ("retire-candidate web", true),
];

#[test]
fn one_that_dies_under_traffic_and_a_new_container_that_does_not_come_up() -> Result<()> {
    let world = world()?;
    // Live takes its time to come up again.
    let slow = world.deploy("d-000000002", &Bundle::of("slow").start_first())?;
    ensure!(slow.succeeded(), "{slow:?}");
    let load = new_connections(&world)?;
    let deploying = Deploying::up_to(&world, "gate web", &Bundle::of("v2").start_first(), "d-000000003")?;
    world.web.docker()?.post("/containers/status-page-web.r3/kill", &Value::Null)?;
    let refused = deploying.ended()?;
    ensure!(refused.failure().is_some_and(|failure| failure.exit == Some(1)), "{refused:?}");
    let seen = assert_none_lost(load)?;
    ensure!(releases(&seen) == ["slow", "v2"], "{seen}");
    world.assert_settled("slow")?;
    world.assert_no_rules()?;

    let before = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    let deploying = Deploying::up_to(&world, "bake", &Bundle::of("v2").start_first(), "d-000000004")?;
    ensure!(world.release()? == "v2", "the candidate has no traffic");
    world.web.docker()?.post("/containers/status-page-web.r4.bridge/kill", &Value::Null)?;
    let refused = deploying.ended()?;
    ensure!(refused.failure().is_some_and(|failure| failure.exit == Some(1)), "{refused:?}");
    let after = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    ensure!(before["State"] == after["State"], "live was touched: {after}");
    world.assert_settled("slow")?;
    world.assert_no_rules()
}

#[test]
fn told_to_stop_under_way() -> Result<()> {
    let world = world()?;
    let load = new_connections(&world)?;
    for (n, step) in ["gate-candidate web", "bake", "drain-live web"].into_iter().enumerate() {
        let deploying =
            Deploying::up_to(&world, step, &Bundle::of("v2").start_first(), &format!("d-00000010{n}"))?;
        world.signal_handover("TERM")?;
        let stopped = deploying.ended()?;
        ensure!(stopped.failure().is_some_and(|failure| failure.exit == Some(1)), "{step}: {stopped:?}");
        world.assert_settled("v1").context(step)?;
        world.assert_no_rules().context(step)?;
    }
    assert_none_lost(load)?;
    Ok(())
}

#[test]
fn a_power_cut_and_a_restart_of_docker() -> Result<()> {
    let world = world()?;
    for (n, (step, is_finished)) in SITES.into_iter().enumerate().step_by(2) {
        let from = world.release()?;
        let tag = if from == "v1" { "v2" } else { "v1" };
        Deploying::up_to(&world, step, &Bundle::of(tag).start_first(), &format!("d-00000010{n}"))?
            .kill(&world)?;
        world.web.cut()?;
        world.web.boot()?;
        let serving = world.release_that_comes_up()?;
        ensure!(serving == from || is_finished, "{step}: {serving} serves");
        let recovered = world.handover(&["recover"])?;
        ensure!(recovered.status.success(), "{step}: {}", world::text(&recovered.stderr));
        world.assert_settled(if is_finished { tag } else { &from }).context(step)?;
    }
    // Nobody runs us again: what ends the redirect then is the kernel, and what serves is live.
    let from = world.release()?;
    let tag = if from == "v1" { "v2" } else { "v1" };
    Deploying::up_to(&world, "bake", &Bundle::of(tag).start_first(), "d-000000200")?.kill(&world)?;
    world.web.restart_docker()?;
    ensure!(world.release_that_comes_up()? == from, "{}", world.release()?);
    // And where somebody does while it is at work, it turns back.
    let recovered = world.handover(&["recover"])?;
    ensure!(recovered.status.success(), "{}", world::text(&recovered.stderr));
    let deploying = Deploying::up_to(&world, "bake", &Bundle::of(tag).start_first(), "d-000000201")?;
    world.web.restart_docker()?;
    let refused = deploying.ended()?;
    ensure!(refused.failure().is_some(), "{refused:?}");
    world.assert_settled(&from)?;
    world.assert_no_rules()
}

#[test]
fn killed_at_any_step_and_recovered() -> Result<()> {
    let world = world()?;
    let rules = world.rules()?.len();
    let load = new_connections(&world)?;
    for (n, (step, is_finished)) in SITES.into_iter().enumerate() {
        let from = world.release()?;
        let tag = if from == "v1" { "v2" } else { "v1" };
        Deploying::up_to(&world, step, &Bundle::of(tag).start_first(), &format!("d-00000010{n}"))?
            .kill(&world)
            .context(step)?;
        let recovered = world.handover(&["recover"])?;
        let said = world::text(&recovered.stderr);
        ensure!(recovered.status.success(), "{step}: {said}");
        world.assert_settled(if is_finished { tag } else { &from }).context(step)?;
        ensure!(world.rules()?.len() == rules, "{step}: {:#?}", world.rules()?);
    }
    assert_none_lost(load)?;
    Ok(())
}

#[test]
fn other_peoples_rules_clients_that_stay_and_tables_that_are_emptied() -> Result<()> {
    let world = world()?;
    world.by_hand(
        "iptables -t nat -N THEIRS; iptables -t nat -A THEIRS -p tcp --dport 9 -j RETURN; \
         iptables -t nat -I PREROUTING -p tcp --dport 9 -m comment --comment \"not ours\" -j THEIRS",
    )?;
    let theirs = |rules: &[String]| -> Vec<String> {
        rules.iter().filter(|rule| rule.contains("THEIRS")).cloned().collect()
    };
    let before = theirs(&world.rules()?);
    ensure!(before.len() == 3, "{before:?}");
    // Connections that nobody closes: they are open when their container is stopped, after its drain.
    let url = format!("http://{}:8000/", world.web.ip());
    let staying =
        world.lab.load(&url, &["--keep-alive", "--rate", "4", "--workers", "8", "--seconds", "900"])?;
    let load = new_connections(&world)?;
    let report = world.deploy("d-000000002", &Bundle::of("v2").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    assert_none_lost(load)?;
    ensure!(theirs(&world.rules()?) == before, "{:#?}", world.rules()?);
    // Somebody empties the table, Docker's rules included: those are the candidate's as long as it is watched, and the way in
    // is docker-proxy's afterwards.
    let deploying = Deploying::up_to(&world, "bake", &Bundle::of("v1").start_first(), "d-000000003")?;
    world.by_hand("iptables -t nat -F PREROUTING")?;
    let report = deploying.ended()?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v1")?;
    world.assert_no_rules()?;
    let seen = staying.stop()?;
    ensure!(seen["failed"] == 0, "{seen}");
    Ok(())
}

/// Says which connections the instance's kernel knows.
const CONNECTIONS: &str = "cat /proc/net/nf_conntrack";

/// How many of them led to a container, and are closed.
fn closed(world: &World, container: &Value) -> Result<usize> {
    let networks = container["NetworkSettings"]["Networks"].as_object().context("no networks")?;
    let ip = networks.values().find_map(|network| network["IPAddress"].as_str()).context("no address")?;
    let table = world.by_hand(CONNECTIONS)?;
    let answers = format!(" src={ip} ");
    let is_from_it =
        |line: &&str| line.contains("TIME_WAIT") && line.contains(&answers) && line.contains(" dport=8000 ");
    Ok(table.lines().filter(is_from_it).count())
}

/// Whether Docker has sent it a signal.
fn is_told_to_stop(world: &World, id: &str) -> Result<bool> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    let filters = format!("%7B%22container%22%3A%5B%22{id}%22%5D%2C%22event%22%3A%5B%22kill%22%5D%7D");
    let path = format!("/events?since=1&until={now:.6}&filters={filters}");
    Ok(!world.web.docker()?.request("GET", &path, None)?.body.is_empty())
}

/// Docker forgets the connections of what it stops by the ports of their clients, also where a client has used its port again
/// meanwhile, for a connection to the candidate: that is cut off. So they are forgotten before Docker is to stop live.
#[test]
fn closed_connections_are_forgotten_before_live_stops() -> Result<()> {
    let world = world()?;
    world.push("deaf", "ignore-term")?;
    // It does not stop before it is killed.
    let deaf = Bundle::of("deaf").edit("stop-timeout = \"35s\"", "stop-timeout = \"5m\"");
    let deployed = world.deploy("d-000000002", &deaf)?;
    ensure!(deployed.succeeded(), "{deployed:?}");
    let docker = world.web.docker()?;
    let live = docker.inspect("status-page-web")?.context("nothing is live")?;
    let load = new_connections(&world)?;
    wait_until("connections to live were closed", PATIENCE, || Ok(closed(&world, &live)? > 100))?;

    let deploying =
        Deploying::up_to(&world, "drain-live web", &Bundle::of("v2").start_first(), "d-000000003")?;
    ensure!(closed(&world, &live)? > 100, "{}", closed(&world, &live)?);
    let updated = std::thread::scope(|scope| {
        let updated = scope.spawn(|| deploying.ended());
        let id = live["Id"].as_str().unwrap_or_default();
        let told = wait_until("live is told to stop", PATIENCE, || is_told_to_stop(&world, id));
        let left = closed(&world, &live);
        let runs = docker.inspect(id)?.is_some_and(|live| live["State"]["Running"] == true);
        let killed = docker.post(&format!("/containers/{id}/kill"), &Value::Null);
        let updated = updated.join().map_err(|_| anyhow!("the deployment panicked"))??;
        told?;
        killed?;
        ensure!(left? == 0 && runs, "live runs: {runs}");
        anyhow::Ok(updated)
    })?;
    ensure!(updated.succeeded(), "{updated:?}");
    let seen = assert_none_lost(load)?;
    ensure!(releases(&seen) == ["deaf", "v2"], "{seen}");
    world.assert_settled("v2")
}

/// A client of the host by IPv6 that says when it has asked, and waits for what it gets. It closes first.
const SLOW: &str = r#"
import socket
client = socket.create_connection(("::1", 8000))
client.sendall(b"GET /ping?ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n")
print("asked", flush=True)
print(client.recv(65536).decode().split("X-Release: ")[1].split()[0])
"#;

/// For IPv6 the kernel begins to track connections with the first rule of a redirect. Of one that waits for its answer then, it
/// sees the server's packet first, and takes the server for the client. A client of the host that uses the port again would be
/// let past the redirect by that, to where live was.
#[test]
fn no_connection_from_before_leads_past_the_redirect() -> Result<()> {
    let world = world()?;
    let deploying = Deploying::up_to(&world, "redirect", &Bundle::of("v2").start_first(), "d-000000002")?;
    let mut client = world.web.command("python3");
    client.args(["-c", SLOW]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn()?;
    let mut said = BufReader::new(client.stdout.take().context("no output")?).lines();
    ensure!(said.next().context("it has not asked")?? == "asked");
    let updated = deploying.ended()?;
    ensure!(updated.succeeded(), "{updated:?}");
    let answer = said.next().transpose()?;
    let ended = client.wait_with_output()?;
    ensure!(answer.as_deref() == Some("v1"), "{answer:?}: {}", world::text(&ended.stderr));
    let six = "0000:0000:0000:0000:0000:0000:0000:0001";
    let leads_past = |line: &&str| line.matches(six).count() == 4 && line.matches("port=8000").count() == 2;
    let table = world.by_hand(CONNECTIONS)?;
    let past: Vec<&str> = table.lines().filter(leads_past).collect();
    ensure!(past.is_empty(), "{past:#?}");
    world.assert_settled("v2")
}
