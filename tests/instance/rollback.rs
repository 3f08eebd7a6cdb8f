//! The way back to an earlier release on a real Engine, with all of AWS cut off.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use lab::wait_until;
use serde_json::Value;
use world::{Bundle, PATIENCE, World, text};

/// Neither AWS nor the registry nor the instance's metadata answers.
fn cut_off(world: &World) -> Result<()> {
    world.web.stop_metadata()?;
    world.lab.stop("aws")?;
    world.lab.stop("registry")
}

fn deployed(tags: [&'static str; 2], start_first: bool) -> Result<World> {
    let world = World::up()?;
    for (n, tag) in tags.into_iter().enumerate() {
        let bundle = Bundle::of(tag);
        let bundle = if start_first { bundle.start_first() } else { bundle };
        let report = world.deploy(&format!("d-00000000{n}"), &bundle)?;
        ensure!(report.succeeded(), "{report:?}");
    }
    world.assert_settled(tags[1])?;
    Ok(world)
}

fn succeeded(output: &Output) -> Result<String> {
    let told = text(&output.stdout) + &text(&output.stderr);
    ensure!(output.status.success(), "{told}");
    Ok(told)
}

/// What a container has in its environment.
fn environment(world: &World, name: &str) -> Result<Vec<String>> {
    let inspect = world.web.docker()?.inspect(name)?.unwrap_or_default();
    let all = inspect["Config"]["Env"].as_array().cloned().unwrap_or_default();
    Ok(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[test]
fn under_load_with_all_of_aws_cut_off_no_new_connection_is_lost() -> Result<()> {
    let world = deployed(["v1", "v2"], true)?;
    let before = environment(&world, "status-page-web.r1")?;
    cut_off(&world)?;
    let url = format!("http://{}:8000/", world.web.ip());
    let load = world.lab.load(&url, &["--rate", "200", "--seconds", "900", "--timeout-ms", "15000"])?;
    let told = succeeded(&world.handover(&["rollback", "--block-digest"])?)?;
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && seen["total"].as_u64() > Some(100), "{seen}");
    eprintln!("{seen}\n{told}");
    world.assert_settled("v1")?;
    ensure!(environment(&world, "status-page-web")? == before, "it was given something else");
    for words in ["goes back from r2 to r1", "not verified", "is serving", "CodeDeploy does not know of this"]
    {
        ensure!(told.contains(words), "'{words}' is not in:\n{told}");
    }
    let rules = world.rules()?;
    ensure!(!rules.iter().any(|rule| rule.contains("HANDOVER")), "{rules:#?}");
    let history = succeeded(&world.handover(&["history"])?)?;
    ensure!(history.contains("rollback to r1") && history.contains("good, serves"), "{history}");
    let story = succeeded(&world.handover(&["history", "r3"])?)?;
    ensure!(story.contains("as it was kept here"), "{story}");

    // What was left is not brought again, until it is released.
    world.lab.start("registry")?;
    world.lab.start("aws")?;
    world.web.start_metadata()?;
    let refused = world.deploy("d-000000007", &Bundle::of("v2").start_first())?;
    ensure!(
        !refused.succeeded() && format!("{refused:?}").contains("is blocked on this instance"),
        "{refused:?}"
    );
    world.assert_settled("v1")?;
    let releases = succeeded(&world.handover(&["releases"])?)?;
    let blocked = releases.lines().find_map(|line| line.strip_prefix("blocked: ")?.split(',').next());
    succeeded(&world.handover(&["releases", "--unblock", blocked.unwrap_or_default()])?)?;
    ensure!(world.deploy("d-000000008", &Bundle::of("v2").start_first())?.succeeded());
    world.assert_settled("v2")
}

#[test]
fn after_a_prune_of_the_parked_container_it_is_made_again() -> Result<()> {
    let world = deployed(["v1", "v2"], false)?;
    let before = environment(&world, "status-page-web.r1")?;
    world.web.docker()?.post("/containers/prune", &Value::Null)?;
    world.web.docker()?.post("/images/prune", &Value::Null)?;
    let releases = succeeded(&world.handover(&["releases"])?)?;
    ensure!(releases.contains("status-page-web.r1 is gone"), "{releases}");
    cut_off(&world)?;
    let told = succeeded(&world.handover(&["rollback"])?)?;
    ensure!(told.contains("(r2), not verified"), "{told}");
    world.assert_settled("v1")?;
    ensure!(environment(&world, "status-page-web")? == before, "it was given something else");
    Ok(())
}

/// Neither release is well without it: the earlier one does not pass its gate, and live, which was not touched, is what is left.
#[test]
fn with_the_database_down_live_is_left_alone() -> Result<()> {
    let world = World::up()?;
    for (id, tag) in [("d-000000001", "v1"), ("d-000000002", "v2")] {
        let bundle = Bundle::of(tag).start_first().edit("deadline    = \"2m\"", "deadline    = \"5s\"");
        ensure!(world.deploy(id, &bundle)?.succeeded());
    }
    let live = || world.web.docker()?.inspect("status-page-web")?.context("nothing is live");
    let before = live()?;
    world.lab.stop("database")?;
    let output = world.handover(&["rollback"])?;
    let said = text(&output.stdout) + &text(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("is not healthy"), "{said}");
    ensure!(live()?["State"] == before["State"], "live was touched: {said}");
    world.lab.start("database")?;
    wait_until("live answers again", PATIENCE, || Ok(world.release().is_ok()))?;
    world.assert_settled("v2")?;
    world.assert_no_rules()?;
    let output = world.handover(&["rollback"])?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    world.assert_settled("v1")
}
