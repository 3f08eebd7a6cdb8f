//! Two runs at once, signals, and what a late hook may not do.

use std::process::Stdio;

use anyhow::{Result, ensure};

use world::{Bundle, World, report, text};

/// A deployment that waits in its gate for an application that never listens.
fn deploy_that_waits(world: &World) -> Result<std::process::Child> {
    let path = world.bundle(&Bundle::of("silent"))?;
    let child = world
        .agent("v1", &[])
        .args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    world.wait_for_gate("d-000000002")?;
    Ok(child)
}

#[test]
fn a_new_deployment_takes_over_from_one_that_codedeploy_gave_up() -> Result<()> {
    let world = World::with_v1()?;
    let first = deploy_that_waits(&world)?;
    let second = world.deploy("d-000000003", &Bundle::of("v3"))?;
    ensure!(second.succeeded(), "{second:?}");
    let first = report(&first.wait_with_output()?)?;
    let failure = first.failure().expect("it was given up");
    ensure!(failure.exit == Some(1) && failure.log.contains("asked to stop"), "{failure:?}");
    world.assert_settled("v3")?;
    // A late hook of it.
    let arguments = ["event", "ValidateService", "--deployment-id", "d-000000002"];
    let late = text(&world.agent("v1", &[]).args(arguments).output()?.stdout);
    ensure!(late.contains("deployment d-000000003 took its place"), "{late}");
    world.assert_settled("v3")
}

#[test]
fn an_operator_is_told_who_is_at_work() -> Result<()> {
    let world = World::with_v1()?;
    let mut first = deploy_that_waits(&world)?;
    let busy = world.handover(&["deploy"])?;
    ensure!(busy.status.code() == Some(75), "{}", text(&busy.stderr));
    ensure!(
        text(&busy.stderr).contains("'ApplicationStart' of deployment d-000000002"),
        "{}",
        text(&busy.stderr)
    );
    ensure!(world.handover(&["recover"])?.status.code() == Some(75));
    ensure!(world.status()?[0]["run"]["state"] == "running");
    world.signal_handover("TERM")?;
    first.wait()?;
    world.assert_settled("v1")
}

#[test]
fn a_hook_that_is_told_to_stop_puts_the_old_release_back() -> Result<()> {
    for version in ["v1", "v2"] {
        let world = World::with_v1()?;
        // Enough for the hook to begin, not for the gate's own deadline of two minutes.
        let bundle = Bundle::of("silent").edit("stop-timeout = \"35s\"", "stop-timeout = \"1s\"");
        let path = world.bundle(&bundle)?;
        let child = world
            .agent(version, &[])
            .args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        world.wait_for_gate("d-000000002")?;
        world.signal_handover("TERM")?;
        let stopped = report(&child.wait_with_output()?)?;
        let failure = stopped.failure().expect("it fails");
        // A second is what it may take to come up again. On a busy machine that can be too short, and then that is said.
        let no_time = "status-page-web was started again, and there was no time to see it healthy";
        if failure.log.contains(no_time) {
            ensure!(failure.exit == Some(3), "{failure:?}");
            let recovered = world.handover(&["recover"])?;
            ensure!(recovered.status.success(), "{}", text(&recovered.stderr));
        } else {
            ensure!(failure.exit == Some(1) && failure.signal.is_none(), "{failure:?}");
            ensure!(failure.log.contains("the old release is serving"), "{}", failure.log);
        }
        world.assert_settled("v1")?;
    }
    Ok(())
}
