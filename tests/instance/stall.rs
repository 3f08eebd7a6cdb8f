//! `stall` on a real Engine, under load on each path of a client: whoever would be refused waits instead.

use anyhow::{Context as _, Result, ensure};
use lab::{Load, wait_until};
use serde_json::{Value, json};
use world::{Bundle, PATIENCE, World, releases};

use crate::held::Deploying;

/// A bundle whose clients wait, for as long as this.
fn stalling(tag: &'static str, stall: &str) -> Bundle {
    Bundle::of(tag)
        .edit("order        = \"stop-first\"", &format!("order = \"stop-first\"\nstall = \"{stall}\""))
}

/// With v1 live, and the load client on the instance.
fn world() -> Result<World> {
    let world = World::up_with_failpoints()?;
    world.push("slow", "slow")?;
    let report = world.deploy("d-000000001", &stalling("v1", "1m"))?;
    ensure!(report.succeeded(), "{report:?}");
    world::copy(&lab::application::binary()?, &world.web.path(CLIENT))?;
    Ok(world)
}

const CLIENT: &str = "/usr/local/bin/client";

/// Slow is not lost: whoever waits a minute is answered.
const PATIENT: [&str; 4] = ["--seconds", "900", "--timeout-ms", "90000"];

/// Clients wherever they may be: from outside with new connections and with such that are never idle, from the instance itself, and from
/// a container, which is left out of the rest.
struct Clients {
    loads: Vec<(String, Load)>,
}

impl Clients {
    fn of(world: &World) -> Result<Self> {
        let outside = world.web.ip().to_string();
        let url = |address: &str| format!("http://{address}:8000/ping");
        let few = [&["--rate", "40", "--workers", "120"], &PATIENT[..]].concat();
        let mut loads = vec![("from outside".to_owned(), world.lab.load(&url(&outside), &few)?)];
        let never_idle =
            [&["--rate", "20000", "--workers", "12", "--keep-alive", "--no-retry"], &PATIENT[..]].concat();
        loads.push(("never idle".to_owned(), world.lab.load(&url(&outside), &never_idle)?));
        for address in ["127.0.0.1", "[::1]", &outside] {
            let load = Load::by(world.web.command(CLIENT), &url(address), &few)?;
            loads.push((format!("from the host to {address}"), load));
        }
        let words = [&["load", "http://172.17.0.1:8000/ping"], &few[..]].concat();
        let docker = world.web.docker()?;
        let live = docker.inspect("status-page-web")?.context("nothing is live")?;
        docker.run("client", &json!({ "Image": live["Image"], "Cmd": words }))?;
        Ok(Self { loads })
    }

    /// None of them lost a request, and all of them saw these releases, in the order of their names.
    fn assert_none_lost(self, world: &World, expected: &[&str]) -> Result<()> {
        let docker = world.web.docker()?;
        docker.post("/containers/client/kill?signal=TERM", &Value::Null)?;
        docker.post("/containers/client/wait", &Value::Null)?;
        let said = docker.logs("client")?;
        docker.delete("/containers/client?force=true")?;
        let from_container: Value = serde_json::from_str(said.trim()).context(said)?;
        let mut all = vec![("from a container".to_owned(), from_container)];
        for (whose, load) in self.loads {
            all.push((whose, load.stop()?));
        }
        for (whose, seen) in all {
            ensure!(seen["failed"] == 0 && releases(&seen) == expected, "{whose}: {seen}");
        }
        Ok(())
    }
}

/// What the process of handover said to machines that made clients wait.
fn stalled_run(world: &World) -> Result<Value> {
    let runs = std::fs::read_to_string(world.web.path("/var/log/handover/runs.jsonl"))?;
    let stalled = runs.lines().find(|line| line.contains("waited_ms"));
    Ok(serde_json::from_str(stalled.context("nobody waited")?)?)
}

#[test]
fn a_good_release_and_a_bad_one() -> Result<()> {
    let world = world()?;
    let before = world.rules()?;
    let clients = Clients::of(&world)?;
    // It takes its time to come up, also when it is put back.
    let report = world.deploy("d-000000002", &stalling("slow", "1m"))?;
    ensure!(report.succeeded(), "{report:?}");
    clients.assert_none_lost(&world, &["slow", "v1"])?;
    world.assert_settled("slow")?;
    let run = stalled_run(&world)?;
    ensure!(run["waited_ms"].as_u64() > run["silent_ms"].as_u64() && run["silent_ms"] != 0, "{run}");

    let clients = Clients::of(&world)?;
    let report = world.deploy("d-000000003", &stalling("crash", "1m"))?;
    let failure = report.failure().context("it is refused")?;
    ensure!(failure.log.contains("instead of being refused"), "{}", failure.log);
    clients.assert_none_lost(&world, &["slow"])?;
    world.assert_settled("slow")?;
    let after = world.rules()?;
    ensure!(before.len() == after.len(), "{before:#?}\nis not\n{after:#?}");
    Ok(())
}

/// The kernel lets them through at its time, whoever is there: a handover that is killed makes nobody wait for ever.
#[test]
fn killed_while_they_wait() -> Result<()> {
    let world = world()?;
    let holds =
        |rules: &[String]| rules.iter().any(|rule| rule.ends_with("-j DROP") && rule.contains("HANDOVER"));
    Deploying::up_to(&world, "gate web", &stalling("slow", "1m"), "d-000000002")?.kill(&world)?;
    ensure!(holds(&world.rules()?), "{:#?}", world.rules()?);
    let clients = world.lab.load(
        &format!("http://{}:8000/ping", world.web.ip()),
        &[&["--rate", "20", "--workers", "60"], &PATIENT[..]].concat(),
    )?;
    let recovered = world.handover(&["recover"])?;
    ensure!(recovered.status.success(), "{}", world::text(&recovered.stderr));
    world.assert_settled("v1")?;
    world.assert_no_rules()?;
    let seen = clients.stop()?;
    ensure!(seen["failed"] == 0, "{seen}");

    Deploying::up_to(&world, "gate web", &stalling("slow", "1s"), "d-000000003")?.kill(&world)?;
    ensure!(holds(&world.rules()?), "{:#?}", world.rules()?);
    // The new container runs: whoever comes when the time is over is answered by it.
    wait_until("the rule is over", PATIENCE, || Ok(world.release().is_ok_and(|release| release == "slow")))?;
    let recovered = world.handover(&["recover"])?;
    ensure!(recovered.status.success(), "{}", world::text(&recovered.stderr));
    world.assert_settled("v1")?;
    world.assert_no_rules()
}

/// A release that takes longer than its clients wait: they are refused then, and it is said.
#[test]
fn one_that_takes_too_long() -> Result<()> {
    let world = world()?;
    let bundle = stalling("v2", "1s").edit("min-healthy = \"200ms\"", "min-healthy = \"5s\"");
    let path = world.bundle(&bundle)?;
    let output = world.handover(&["deploy", &path, "--group", "test"])?;
    ensure!(output.status.success(), "{}", world::text(&output.stderr));
    let said = world::text(&output.stdout) + &world::text(&output.stderr);
    ensure!(said.contains("the time of stall was over"), "{said}");
    world.assert_settled("v2")?;
    world.assert_no_rules()
}
