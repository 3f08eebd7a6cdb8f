//! A migration in a fleet: one instance at a time, by a lock of the database itself.

use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::wait_until;
use world::{Bundle, PATIENCE, World, text};

const CA: &str = "/etc/ssl/rds.pem";

/// A release that migrates, which takes so many milliseconds.
fn migrating(tag: &'static str, milliseconds: u32) -> Bundle {
    let tables = format!(
        "[check.database]\npostgres = {{ secret = \"database\", ca = \"{CA}\" }}\n\
         [task.migrate]\ncommand = [\"migrate\"]\nunless = [\"migrate\", \"--check\"]\nschema = true\n\
         exclusive = \"check.database\"\ntimeout = \"2m\"\n[process.web]\n"
    );
    Bundle::of(tag)
        .edit("[environment]\n", &format!("[environment]\nSCHEMA = \"1\"\nMIGRATE_MS = \"{milliseconds}\"\n"))
        .edit("[process.web]\n", &tables)
}

fn begin(world: &World, bundle: &Bundle) -> Result<Child> {
    std::fs::copy(world.lab.dir().join("vpc/ca.pem"), world.web.path(CA))?;
    let path = world.bundle(bundle)?;
    let mut command = world.web.command("handover");
    command.args(["deploy", &path, "--group", "test"]).stdin(Stdio::null());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

fn wait_for_the_migration(world: &World) -> Result<()> {
    wait_until("the migration runs", PATIENCE, || {
        let all = world.containers()?;
        Ok(all.iter().any(|(name, (running, _))| name.strip_suffix(".task").is_some() && *running))
    })
}

/// How many connections hold the lock, or wait for it.
fn locks(world: &World, granted: bool) -> Result<String> {
    let count = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = {granted} AND objsubid = 1"
    );
    Ok(world.lab.sql(&count)?.trim().to_owned())
}

#[test]
fn two_instances_that_deploy_at_once_migrate_once() -> Result<()> {
    let one = World::up()?;
    let two = one.another("web-2")?;
    let bundle = migrating("v1", 15_000);
    let first = begin(&one, &bundle)?;
    wait_for_the_migration(&one)?;
    let second = begin(&two, &bundle)?;
    wait_until("the other one waits for the lock", PATIENCE, || Ok(locks(&one, false)? == "1"))?;
    for (world, child) in [(&one, first), (&two, second)] {
        let output = child.wait_with_output()?;
        ensure!(output.status.code() == Some(0), "{}", text(&output.stderr));
        ensure!(world.release_that_comes_up()? == "v1");
    }
    let counts = one.lab.counts()?;
    ensure!(counts["migrations"].as_array().map(Vec::len) == Some(1), "{counts}");
    ensure!(counts["damage"].as_array().is_some_and(Vec::is_empty), "{counts}");
    ensure!(locks(&one, true)? == "0", "a lock is left");
    Ok(())
}

#[test]
fn a_lock_that_is_lost_ends_the_task_and_a_killed_handover_frees_it() -> Result<()> {
    let world = World::with_v1()?;
    let before = world.containers()?;
    let child = begin(&world, &migrating("v2", 60_000))?;
    wait_for_the_migration(&world)?;
    ensure!(locks(&world, true)? == "1");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'handover status-page%'";
    world.lab.sql(cut)?;
    let output = child.wait_with_output()?;
    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("its lock was lost"), "{said}");
    ensure!(said.contains("schema:") && said.contains("did not come to its end"), "{said}");
    ensure!(world.containers()? == before, "{:?}", world.containers()?);

    let mut child = begin(&world, &migrating("v3", 60_000))?;
    wait_for_the_migration(&world)?;
    let pid = world.web.process_of(&child).context("handover is gone")?;
    ensure!(pid > 0);
    world.web.signal(&child, 9)?;
    child.wait()?;
    wait_until("the lock is free", PATIENCE, || Ok(locks(&world, true)? == "0"))?;
    // Its migration goes on, until somebody takes the run up.
    wait_for_the_migration(&world)?;
    let recovered = world.handover(&["recover"])?;
    ensure!(recovered.status.success(), "{}", text(&recovered.stderr));
    ensure!(world.containers()? == before, "{:?}", world.containers()?);
    Ok(())
}
