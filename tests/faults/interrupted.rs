//! handover is killed, or the power fails, while a task runs: what whoever comes next does, and says.

use std::process::Child;

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use lab::wait_until;
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "task";

/// A release with a migration that takes so many milliseconds.
fn migrating(milliseconds: u32) -> Bundle {
    let task = "[task.migrate]\ncommand = [\"migrate\"]\nschema = true\nunless = [\"migrate\", \"--check\"]\n[process.web]\n";
    Bundle::of("v2")
        .edit("[environment]\n", &format!("[environment]\nSCHEMA = \"1\"\nMIGRATE_MS = \"{milliseconds}\"\n"))
        .edit("[process.web]\n", task)
}

/// A deployment that is in its migration.
fn in_the_migration(case: &Case, milliseconds: u32) -> Result<Child> {
    let deployment = case.begin("v1", &migrating(milliseconds))?;
    wait_until("the migration has begun", PATIENCE, || {
        Ok(case.world.lab.sql("select count(*) from migrations").is_ok_and(|count| count.trim() == "1"))
    })?;
    Ok(deployment)
}

/// SIGKILL of handover, and the end of the deployment that waits for it.
fn kill_handover(world: &World, deployment: &mut Child) -> Result<()> {
    world.kill_handover()?;
    deployment.wait()?;
    Ok(())
}

fn migrations(world: &World) -> Result<usize> {
    let counts = world.lab.counts()?;
    ensure!(counts["damage"].as_array().is_some_and(Vec::is_empty), "{counts}");
    Ok(counts["migrations"].as_array().map_or(0, Vec::len))
}

#[test]
fn killed_in_a_task_and_given_up() -> Result<()> {
    let case = Case::of(KIND, "handover is killed while a task runs; then handover recover")?;
    let mut deployment = in_the_migration(&case, 600_000)?;
    kill_handover(&case.world, &mut deployment)?;
    assert_snapshot!(case.recovered()?, @r"
    recover ends with 0
    why:   it was interrupted
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    handover: done: the interrupted deployment of status-page r2 was undone, the old release is serving
    ");
    case.is_untouched()?;
    ensure!(migrations(&case.world)? == 1);
    case.mended_by(&migrating(0))
}

#[test]
fn killed_in_a_task_and_resumed() -> Result<()> {
    let case = Case::of(KIND, "handover is killed while a task runs; the same deployment goes on")?;
    let mut deployment = in_the_migration(&case, 8_000)?;
    kill_handover(&case.world, &mut deployment)?;
    let events = "AfterInstall,ApplicationStart,ValidateService";
    case.succeeds_in(case.goes_on(&migrating(8_000), events)?, "v2")?;
    // It was waited for, and not run twice.
    ensure!(migrations(&case.world)? == 1);
    Ok(())
}

#[test]
fn killed_in_a_task_and_replaced() -> Result<()> {
    let case = Case::of(KIND, "handover is killed while a task runs; then another deployment")?;
    let mut deployment = in_the_migration(&case, 600_000)?;
    kill_handover(&case.world, &mut deployment)?;
    case.succeeds(&Bundle::of("v3"))
}

#[test]
fn a_power_cut_in_a_task() -> Result<()> {
    let case = Case::of(KIND, "the power fails while a task runs; then handover recover")?;
    let mut deployment = in_the_migration(&case, 600_000)?;
    case.world.web.cut()?;
    deployment.wait()?;
    case.world.web.boot()?;
    assert_snapshot!(case.recovered()?, @r"
    recover ends with 0
    why:   it was interrupted
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    handover: done: the interrupted deployment of status-page r2 was undone, the old release is serving
    ");
    case.world.assert_settled("v1")?;
    ensure!(migrations(&case.world)? == 1);
    case.mended_by(&migrating(0))
}
