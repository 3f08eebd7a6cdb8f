//! `handover run`: a command in a container of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::names::CACHE_PASSWORD;
use lab::wait_until;
use serde_json::Value;
use world::{Bundle, PATIENCE, World, text};

fn with_a_file(tag: &'static str) -> Bundle {
    Bundle::of(tag)
        .edit(
            "[environment]",
            "[file.\"/etc/settings.py\"]\ntemplate = \"templates/settings.py\"\n\n[environment]",
        )
        .file("templates/settings.py", "CACHE = {{ redis.value | python }}\n")
}

fn run(world: &World, command: &[&str]) -> Result<Output> {
    world.handover(&[&["run", "--"], command].concat())
}

/// The containers of operators' commands, by name.
fn of_operators(world: &World) -> Result<Vec<String>> {
    let containers = world.web.docker()?.containers()?;
    let ours = containers.iter().filter(|container| container["Labels"]["handover.kind"] == "run");
    Ok(ours
        .filter_map(|container| Some(container["Names"][0].as_str()?.trim_start_matches('/').to_owned()))
        .collect())
}

fn assert_nothing_is_left(world: &World) -> Result<()> {
    ensure!(of_operators(world)?.is_empty(), "{:?}", of_operators(world)?);
    let folders = std::fs::read_dir(world.web.path("/var/lib/handover/status-page/runs"))?;
    ensure!(folders.count() == 0, "files are left");
    Ok(())
}

fn live(world: &World) -> Result<Value> {
    let live = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    Ok(live["State"].clone())
}

#[test]
fn it_has_what_the_release_has_and_leaves_nothing() -> Result<()> {
    let world = World::up()?;
    ensure!(world.deploy("d-000000001", &with_a_file("v1"))?.succeeded());
    let before = live(&world)?;

    let shown = run(&world, &["show", "/etc/settings.py"])?;
    ensure!(shown.status.code() == Some(0), "{}", text(&shown.stderr));
    ensure!(text(&shown.stdout) == format!("CACHE = '{CACHE_PASSWORD}'\n"), "{}", text(&shown.stdout));
    ensure!(text(&shown.stderr).contains("web of r1, in container status-page-web.r1.run-"));
    // The database is the release's.
    let migrated = run(&world, &["migrate"])?;
    ensure!(migrated.status.code() == Some(0), "{}", text(&migrated.stderr));
    // Its exit code is ours.
    ensure!(run(&world, &["exit", "7"])?.status.code() == Some(7));

    let mut typing = world.web.command("handover");
    typing.args(["run", "--release", "r1", "--process", "web", "--", "show"]);
    let mut child = typing.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(b"what is typed\n")?;
    let typed = child.wait_with_output()?;
    ensure!(text(&typed.stdout) == "what is typed\n", "{}", text(&typed.stderr));
    ensure!(text(&typed.stderr).contains("no terminal"), "{}", text(&typed.stderr));

    let script = ["-qec", "handover run -- show", "/dev/null"];
    let mut child =
        world.web.command("script").args(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut shown = BufReader::new(child.stdout.take().context("no stdout")?);
    let mut said = String::new();
    while !said.contains("a terminal") {
        ensure!(shown.read_line(&mut said)? > 0, "{said}");
    }
    // Ctrl-D at the beginning of a line is the end of what is typed, to whoever has the terminal by then.
    child.stdin.take().context("no stdin")?.write_all(b"\x04")?;
    let ended = child.wait()?;
    ensure!(ended.success() && !said.contains("no terminal"), "{ended}: {said}");

    ensure!(live(&world)? == before, "{}", live(&world)?);
    assert_nothing_is_left(&world)
}

#[test]
fn a_refused_first_release_can_be_migrated_for() -> Result<()> {
    let world = World::up()?;
    ensure!(run(&world, &["migrate"])?.status.code() == Some(2), "nothing was deployed here");
    ensure!(!world.deploy("d-000000001", &with_a_file("crash"))?.succeeded());
    let migrated = run(&world, &["migrate"])?;
    ensure!(migrated.status.code() == Some(0), "{}", text(&migrated.stderr));
    let shown = run(&world, &["show", "/etc/settings.py"])?;
    ensure!(text(&shown.stdout).contains(CACHE_PASSWORD), "{}", text(&shown.stderr));
    for (arguments, told) in [
        (["run", "--release", "9", "--", "migrate"], "there is no r9 of status-page"),
        (["run", "--process", "worker", "--", "migrate"], "r1 has no process 'worker'"),
    ] {
        let refused = world.handover(&arguments)?;
        let said = text(&refused.stderr);
        ensure!(
            refused.status.code() == Some(1) && said.contains(told) && said.contains("takes one of: "),
            "{said}"
        );
    }
    assert_nothing_is_left(&world)
}

#[test]
fn who_ends_it_ends_its_command_and_what_a_kill_leaves_is_swept() -> Result<()> {
    let world = World::with_v1()?;
    let started = || -> Result<_> {
        let mut command = world.web.command("handover");
        command.args(["run", "--", "hang"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        wait_until("the command runs", PATIENCE, || {
            let all = world.web.docker()?.containers()?;
            Ok(all.iter().any(|c| c["Labels"]["handover.kind"] == "run" && c["State"] == "running"))
        })?;
        Ok(child)
    };
    // TERM, and the terminal that is closed.
    for signal in [15, 1] {
        let mut child = started()?;
        world.web.signal(&child, signal)?;
        let ended = child.wait()?;
        ensure!(ended.code().is_some_and(|code| code > 128), "signal {signal}: {ended}");
        assert_nothing_is_left(&world)?;
    }
    let mut child = started()?;
    world.web.signal(&child, 9)?;
    child.wait()?;
    // It may be in the middle of a migration.
    ensure!(world.handover(&["prune"])?.status.success());
    let [left] = of_operators(&world)?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    world.web.docker()?.post(&format!("/containers/{left}/kill"), &Value::Null)?;
    ensure!(world.handover(&["prune"])?.status.success());
    assert_nothing_is_left(&world)
}
