//! Power cuts and SIGKILL on a real Engine, at a sample of the sites that tests/crash walks through completely.

use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use lab::wait_until;

use world::{Bundle, PATIENCE, World, text};

/// Starts a deployment that stops for good right after the journal's nth entry is on the disk.
fn deploy_up_to_entry(world: &World, tag: &'static str, id: &str, entries: usize) -> Result<Child> {
    let path = world.bundle(&Bundle::of(tag))?;
    let crash_point = format!("FAILPOINTS=journal-after-append={}*off->sleep(600000)", entries - 1);
    let mut agent = world.agent("v1", &["--agent-env", &crash_point]);
    let child = agent
        .args(["deploy", "--bundle", &path, "--deployment-id", id, "--only", "ApplicationStart"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

/// Prepares an update completely, so that what follows is the switch.
fn prepare(world: &World, tag: &'static str, id: &str) -> Result<usize> {
    let path = world.bundle(&Bundle::of(tag))?;
    let output = world
        .agent("v1", &[])
        .args(["deploy", "--bundle", &path, "--deployment-id", id, "--stop-after", "AfterInstall"])
        .output()?;
    ensure!(output.status.success(), "{}", text(&output.stdout));
    Ok(world.journal().lines().count())
}

/// The entries of the switch, by how many there are after `prepare`. The first is that another process took the run up.
const SITES: [(usize, &str); 6] = [
    (4, "\"began\",\"step\":\"protect-live web\""),
    (6, "\"began\",\"step\":\"stop-live web\""),
    (8, "\"began\",\"step\":\"start-new web\""),
    (11, "\"done\",\"step\":\"gate web\""),
    (13, "\"began\",\"step\":\"keep-new web\""),
    (17, "\"began\",\"step\":\"park-old web\""),
];

fn at_every_site(tag: &'static str, then: impl Fn(&World, &str) -> Result<()>) -> Result<()> {
    for (entries, says) in SITES {
        let world = World::with_v1()?;
        let before = prepare(&world, tag, "d-000000002")?;
        let mut agent = deploy_up_to_entry(&world, tag, "d-000000002", entries)?;
        wait_until("the site is reached", PATIENCE, || {
            Ok(world.journal().lines().count() >= before + entries)
        })?;
        let journal = world.journal();
        let last = journal.lines().last().unwrap_or_default().to_owned();
        ensure!(last.contains(says), "entry {entries} after the preparation is {last}");
        then(&world, says)?;
        let _ = agent.kill();
        let _ = agent.wait();
    }
    Ok(())
}

/// Which release has to serve: before the commit the old one.
fn after(says: &str) -> &'static str {
    if says.contains("keep-new") || says.contains("park-old") { "v2" } else { "v1" }
}

#[test]
fn after_a_power_cut_a_release_serves_by_itself_and_recover_settles_it() -> Result<()> {
    at_every_site("v2", |world, says| {
        world.web.cut()?;
        world.web.boot()?;
        let serving = world.release_that_comes_up()?;
        ensure!(serving == "v1" || serving == after(says), "{serving} serves after {says}");
        let recovered = world.handover(&["recover"])?;
        ensure!(recovered.status.success(), "{says}: {}", text(&recovered.stderr));
        world.assert_settled(after(says))?;
        world.web.cut()?;
        world.web.boot()?;
        world.assert_settled(after(says))
    })
}

#[test]
fn after_a_kill_the_same_deployment_goes_on() -> Result<()> {
    at_every_site("v2", |world, says| {
        kill_handover(world)?;
        let path = "/opt/codedeploy-agent/bundles/v2";
        for event in ["ApplicationStart", "ValidateService"] {
            let arguments = ["event", event, "--deployment-id", "d-000000002", "--bundle", path];
            let output = world.agent("v1", &[]).args(arguments).output()?;
            ensure!(output.status.success(), "{says}: {}", text(&output.stdout));
        }
        world.assert_settled("v2")
    })
}

#[test]
fn after_a_kill_another_deployment_brings_it_to_its_end_first() -> Result<()> {
    at_every_site("v2", |world, says| {
        kill_handover(world)?;
        let next = world.deploy("d-000000003", &Bundle::of("v3"))?;
        ensure!(next.succeeded(), "{says}: {next:?}");
        world.assert_settled("v3")
    })
}

/// SIGKILL of the process that the lock's file names, and of nothing else.
fn kill_handover(world: &World) -> Result<()> {
    let output = world
        .web
        .command("sh")
        .args(["-c", r#"kill -9 "$(sed 's/.*"pid":\([0-9]*\).*/\1/' /run/handover/status-page.lock)""#])
        .output()?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    wait_until("it is gone", PATIENCE, || {
        let status = world.status()?;
        Ok(status[0]["run"]["state"] == "interrupted")
    })
}
