//! Keep-alive connections move over without losing a request, from clients that are never idle and try nothing twice.

use std::process::Stdio;

use anyhow::{Result, ensure};
use lab::wait_until;
use serde_json::Value;
use world::{Bundle, PATIENCE, World};

/// With v1 live, of a bundle that goes start-first.
fn world() -> Result<World> {
    let world = World::up_with_failpoints()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    Ok(world)
}

fn assert_no_rules(world: &World) -> Result<()> {
    let rules = world.rules()?;
    ensure!(!rules.iter().any(|rule| rule.contains("HANDOVER") || rule.contains("NFQUEUE")), "{rules:#?}");
    Ok(())
}

fn releases(seen: &Value) -> Vec<&str> {
    let releases = seen["releases"].as_array();
    let mut names: Vec<&str> =
        releases.into_iter().flatten().filter_map(|one| one["release"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
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
        ensure!(!format!("{report:?}").contains("may lose a request"), "{report:?}");
    }
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && releases(&seen) == ["v1", "v2", "v3"], "{seen}");
    assert_no_rules(&world)
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
    let path = world.bundle(&Bundle::of("v2").start_first().edit("drain = \"2s\"", "drain = \"1m\""))?;
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
    assert_no_rules(&world)?;
    world.assert_settled("v1")
}
