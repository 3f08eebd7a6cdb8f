//! Every kind of gate, against the real thing.

use anyhow::{Result, ensure};
use lab::{Healthcheck, ImageSpec, names};

use world::{Bundle, World, text};

const HTTP: &str = "http        = \"/health\"";
const STATUS: &str = "status      = [\"200-399\"]";
const DEADLINE: &str = "deadline    = \"2m\"";

fn gated_by(tag: &'static str, probe: &str) -> Bundle {
    Bundle::of(tag).edit(HTTP, probe).edit(STATUS, "").edit(DEADLINE, "deadline = \"6s\"")
}

/// One probe, an image that passes it and one that does not; what the report says of the latter.
fn passes_and_refuses(
    world: &World,
    probe: &str,
    good: &'static str,
    bad: &'static str,
    says: &str,
) -> Result<()> {
    let passed = world.deploy("d-000000001", &gated_by(good, probe))?;
    ensure!(passed.succeeded(), "{passed:?}");
    let refused = world.deploy("d-000000002", &gated_by(bad, probe))?;
    let failure = refused.failure().expect("it is refused");
    ensure!(failure.exit == Some(1) && failure.log.contains(says), "{}", failure.log);
    ensure!(failure.log.contains("gap:   nothing "), "{}", failure.log);
    world.assert_settled(good)
}

#[test]
fn http() -> Result<()> {
    let world = World::up()?;
    world.push("error", "error")?;
    passes_and_refuses(&world, "http = \"/\"", "v1", "error", "was answered with status 500")
}

#[test]
fn tcp() -> Result<()> {
    passes_and_refuses(&World::up()?, "tcp = true", "v1", "silent", "Connection refused")
}

#[test]
fn a_command_in_the_container() -> Result<()> {
    let world = World::up()?;
    passes_and_refuses(&world, "command = [\"/app\", \"check\"]", "v1", "silent", "exited with code 1")
}

#[test]
fn the_health_check_of_the_image() -> Result<()> {
    let world = World::up()?;
    for (tag, variant) in [("checked", "good"), ("sick", "never-listens")] {
        let mut image = ImageSpec::new(tag).variant(variant);
        image.healthcheck = Some(Healthcheck::default());
        world.lab.registry().push_image(names::REPOSITORY, tag, &image)?;
    }
    passes_and_refuses(&world, "docker = true", "checked", "sick", "Docker's health check")
}

#[test]
fn a_process_without_ports_has_to_keep_running() -> Result<()> {
    let world = World::up()?;
    world.push("worker", "worker")?;
    world.push("dies", "crash-later")?;
    let no_port = "publish      = [\"8000:8000\"]";
    let worker = world.deploy("d-000000001", &gated_by("worker", "").edit(no_port, ""))?;
    ensure!(worker.succeeded(), "{worker:?}");
    let live = world.web.docker()?.inspect("status-page-web")?.expect("it is live");
    let refused = world.deploy(
        "d-000000002",
        &gated_by("dies", "").edit(no_port, "").edit("min-healthy = \"200ms\"", "min-healthy = \"2500ms\""),
    )?;
    ensure!(refused.failure().is_some_and(|f| f.log.contains("it exited with code")), "{refused:?}");
    let back = world.web.docker()?.inspect("status-page-web")?.expect("it is live");
    ensure!(live["Id"] == back["Id"] && back["State"]["Running"] == true, "{back}");
    Ok(())
}

#[test]
fn an_application_that_eats_its_memory_is_told_apart() -> Result<()> {
    let world = World::with_v1()?;
    world.push("hungry", "eat-memory")?;
    let refused = world.deploy("d-000000002", &Bundle::of("hungry").edit("\"256m\"", "\"24m\""))?;
    let failure = refused.failure().expect("it is refused");
    ensure!(failure.log.contains("memory limit of 24 MiB (OOM)"), "{}", failure.log);
    world.assert_settled("v1")
}

/// Docker's `OOMKilled` says nothing of children.
#[test]
fn a_child_that_is_killed_for_its_memory_is_seen_and_the_limit_is_named() -> Result<()> {
    let world = World::with_v1()?;
    world.push("children", "hungry-children")?;
    let refused = world.deploy(
        "d-000000002",
        &Bundle::of("children").edit("\"256m\"", "\"24m\"").edit("\"200ms\"", "\"20s\""),
    )?;
    let failure = refused.failure().expect("it is refused");
    ensure!(failure.log.contains("the kernel killed"), "{}", failure.log);
    ensure!(failure.log.contains("memory limit of 24 MiB (OOM)"), "{}", failure.log);
    world.assert_settled("v1")
}

/// They would go on in the container that is to serve.
#[test]
fn health_commands_that_hang_do_not_pile_up() -> Result<()> {
    let world = World::with_v1()?;
    let bundle =
        gated_by("v2", "command = [\"/app\", \"hang\"]").edit("timeout     = \"3s\"", "timeout = \"200ms\"");
    let path = world.bundle(&bundle)?;
    let mut agent = world.agent("v1", &[]);
    agent.args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"]);
    let mut agent = agent.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
    let (mut looks, mut most) = (0, 0);
    while agent.try_wait()?.is_none() {
        let seen = world.web.command("pgrep").args(["-f", "-c", "^/app hang"]).output()?;
        most = most.max(text(&seen.stdout).trim().parse::<u32>()?);
        looks += 1;
    }
    // One, and for a moment its successor.
    ensure!((1..=2).contains(&most), "{most} at once, in {looks} looks");
    world.assert_settled("v1")
}

#[test]
fn account_and_region_come_from_the_instance_when_the_repository_does_not_say_them() -> Result<()> {
    let world = World::up()?;
    let short = Bundle::of("v1").edit(&format!("{}/status-page", names::ECR_HOST), "status-page");
    let deployed = world.deploy("d-000000001", &short)?;
    ensure!(deployed.succeeded(), "{deployed:?}");
    world.assert_settled("v1")?;
    // Without metadata it says what to do.
    let mut silent = world.web.metadata()?;
    silent.role = None;
    world.web.set_metadata(&silent)?;
    let path =
        world.bundle(&Bundle::of("v2").edit(&format!("{}/status-page", names::ECR_HOST), "status-page"))?;
    let output = world
        .web
        .command("env")
        .args(["AWS_EC2_METADATA_DISABLED=true", "handover", "plan", &path])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        said.contains("fix: write its full name, ACCOUNT.dkr.ecr.REGION.amazonaws.com/status-page"),
        "{said}"
    );
    Ok(())
}
