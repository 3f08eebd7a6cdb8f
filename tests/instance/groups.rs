//! The deployment group, from the hook that named it to the operator who does not.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use world::{Bundle, World, report, text};

/// The memory that live may use.
fn memory(world: &World) -> Result<Value> {
    let live = world.web.docker()?.inspect("status-page-web")?.expect("something is live");
    Ok(live["HostConfig"]["Memory"].clone())
}

#[test]
fn the_group_is_remembered() -> Result<()> {
    let world = World::with_v1()?;
    ensure!(memory(&world)? == 256 << 20, "[group.test] counts");
    ensure!(world.status()?[0]["group"] == "test", "{}", world.status()?);
    ensure!(text(&world.handover(&["status"])?.stdout).starts_with("status-page, group test\n"));

    // Nobody has to know the group to read what is kept.
    let kept = fs::read_to_string(world.web.path("/var/lib/handover/status-page/releases/1/handover.toml"))?;
    ensure!(
        kept.contains("memory = \"256m\"  # [group.test] handover.toml:") && !kept.contains("groups ="),
        "{kept}"
    );

    // An operator gets the same group, with the bundle and without.
    let again = world.handover(&["deploy"])?;
    ensure!(text(&again.stderr).contains("nothing to change"), "{}", text(&again.stderr));
    let path = world.bundle(&Bundle::of("v2"))?;
    let next = world.handover(&["deploy", &path])?;
    ensure!(next.status.success() && memory(&world)? == 256 << 20, "{}", text(&next.stderr));

    // Another one has to be said, and only a bundle knows what it gets.
    let other = world.handover(&["deploy", "--group", "production"])?;
    ensure!(other.status.code() == Some(2), "{}", text(&other.stderr));
    ensure!(
        text(&other.stderr).contains("is for group 'test': give the folder of a bundle"),
        "{}",
        text(&other.stderr)
    );
    let other = world.handover(&["deploy", &path, "--group", "production"])?;
    ensure!(other.status.success() && memory(&world)? == 512 << 20, "{}", text(&other.stderr));
    ensure!(world.status()?[0]["group"] == "production", "{}", world.status()?);
    Ok(())
}

#[test]
fn a_group_that_is_not_meant_leaves_everything_as_it_is() -> Result<()> {
    let world = World::with_v1()?;
    let before = world.web.docker()?.inspect("status-page-web")?;
    let path = world.bundle(&Bundle::of("v2"))?;
    let arguments = ["deploy", "--bundle", &path, "--deployment-id", "d-000000002", "--group", "staging"];
    let done = report(&world.agent("v1", &[]).args(arguments).output()?)?;
    let failure = done.failure().expect("it fails");
    ensure!(failure.event == "BeforeInstall" && failure.exit == Some(2), "{failure:?}");
    ensure!(failure.log.contains("DEPLOYMENT_GROUP_NAME is 'staging'"), "{}", failure.log);
    ensure!(world.web.docker()?.inspect("status-page-web")? == before, "live was touched");
    Ok(())
}
