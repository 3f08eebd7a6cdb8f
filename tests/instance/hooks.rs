//! Deployments as CodeDeploy runs them.

use anyhow::{Result, ensure};
use codedeploy::ErrorCode;

use world::{Bundle, World, report, text};

#[test]
fn a_first_deployment_an_update_and_a_refused_one() -> Result<()> {
    let world = World::up()?;
    world.lab.aws()?.reset_calls()?;
    let first = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    world.assert_settled("v1")?;
    let answer = world.answer()?;
    ensure!(answer["database"] == "statuspage" && answer["cache"].is_number(), "{answer}");
    // One password for the process that pulls, one read of each secret in the process that needs the values.
    let calls = world.lab.aws()?.calls()?;
    ensure!(
        calls["GetAuthorizationToken"] == 1 && calls["GetSecretValue"] == 2 && calls.len() == 2,
        "{calls:?}"
    );

    let update = world.deploy("d-000000002", &Bundle::of("v2"))?;
    ensure!(update.succeeded(), "{update:?}");
    world.assert_settled("v2")?;
    ensure!(world.containers()?.contains_key("status-page-web.r1"), "v1 is not parked");

    let live = world.web.docker()?.inspect("status-page-web")?.expect("v2 is live");
    let refused = world.deploy("d-000000003", &Bundle::of("crash"))?;
    let failure = refused.failure().expect("it fails");
    ensure!(failure.event == "ApplicationStart" && failure.exit == Some(1), "{failure:?}");
    let last = failure.log.trim_end().lines().last().unwrap_or_default();
    ensure!(
        last.ends_with("handover: FAILED (exit 1): status-page r3 was refused, the old release is serving"),
        "{last}"
    );
    ensure!(
        failure.log.contains("it exited with code 1") && failure.log.contains("crashing"),
        "{}",
        failure.log
    );
    world.assert_settled("v2")?;
    let after = world.web.docker()?.inspect("status-page-web")?.expect("v2 is live");
    ensure!(after["Id"] == live["Id"], "another container is live");
    Ok(())
}

#[test]
fn agent_v2_and_a_bundle_that_wires_one_event() -> Result<()> {
    let world = World::up()?;
    let path = world.bundle(&Bundle::of("v1"))?;
    let spec = world.web.path(&format!("{path}/appspec.yml"));
    std::fs::write(
        &spec,
        "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: bin/handover\n      timeout: 600\n",
    )?;
    let deploy = |id: &str| {
        report(&world.agent("v2", &[]).args(["deploy", "--bundle", &path, "--deployment-id", id]).output()?)
    };
    let done = deploy("d-000000001")?;
    ensure!(done.succeeded(), "{done:?}");
    world.assert_settled("v1")?;
    // Nothing to change: the same container goes on.
    let live = world.web.docker()?.inspect("status-page-web")?.expect("v1 is live");
    ensure!(deploy("d-000000002")?.succeeded());
    let same = world.web.docker()?.inspect("status-page-web")?.expect("v1 is live");
    ensure!(live["Id"] == same["Id"] && live["State"]["StartedAt"] == same["State"]["StartedAt"]);
    Ok(())
}

#[test]
fn a_first_deployment_that_is_refused_says_that_nothing_serves() -> Result<()> {
    let world = World::up()?;
    let refused = world.deploy("d-000000001", &Bundle::of("crash"))?;
    let failure = refused.failure().expect("it fails");
    ensure!(failure.exit == Some(3) && failure.log.contains("NOTHING healthy is serving"), "{failure:?}");
    ensure!(world.containers()?.is_empty(), "{:?}", world.containers()?);
    Ok(())
}

#[test]
fn the_hooks_of_the_old_bundle_never_fail() -> Result<()> {
    let world = World::with_v1()?;
    // Everything that could be wrong is: no Engine, no configuration, no readable state.
    let deployed = world.web.path("/opt/codedeploy-agent/deployment-root");
    for group in std::fs::read_dir(&deployed)? {
        let config = group?.path().join("d-000000001/deployment-archive/handover.toml");
        if config.is_file() {
            std::fs::write(config, "rubbish [")?;
        }
    }
    std::fs::write(world.journal_file().expect("there was a run"), "rubbish\nrubbish\n")?;
    world.web.stop_docker()?;
    for version in ["v1", "v2"] {
        let path = world.bundle(&Bundle::of("v2"))?;
        let id = format!("d-00000000{version}");
        let arguments = [
            "deploy",
            "--bundle",
            &path,
            "--deployment-id",
            &id,
            "--load-balancer",
            "--stop-after",
            "ApplicationStop",
        ];
        let run = report(&world.agent(version, &["--cwd", "deleted"]).args(arguments).output()?)?;
        for event in ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"] {
            let event = run.event(event).expect("it is in the order");
            ensure!(event.error_code == ErrorCode::Success && event.exit == Some(0), "{event:?}");
        }
    }
    Ok(())
}

#[test]
fn a_timeout_that_leaves_no_room_is_refused_before_live_is_touched() -> Result<()> {
    let world = World::with_v1()?;
    let live = world.web.docker()?.inspect("status-page-web")?.expect("v1 is live");
    let short = world.deploy("d-000000002", &Bundle::of("v2").edit("timeout: 900", "timeout: 20"))?;
    let failure = short.failure().expect("it fails");
    ensure!(failure.event == "BeforeInstall" && failure.exit == Some(2), "{failure:?}");
    ensure!(failure.log.contains("the timeout of ApplicationStart is 20 s"), "{}", failure.log);
    let same = world.web.docker()?.inspect("status-page-web")?.expect("v1 is live");
    ensure!(live == same, "live was touched");
    Ok(())
}

#[test]
fn operators_use_the_same_binary() -> Result<()> {
    let world = World::with_v1()?;
    let plan = world.handover(&["plan"])?;
    ensure!(text(&plan.stdout).contains("nothing would change"), "{}", text(&plan.stdout));
    // Without a bundle: the configuration of the last good release.
    world.push("v1", "good")?;
    let again = world.handover(&["deploy"])?;
    ensure!(
        again.status.success() && text(&again.stderr).contains("nothing to change"),
        "{}",
        text(&again.stderr)
    );
    let path = world.bundle(&Bundle::of("v2"))?;
    let plan = world.handover(&["plan", &path])?;
    ensure!(text(&plan.stdout).contains("to be pulled"), "{}", text(&plan.stdout));
    ensure!(world.release()? == "v1", "a plan changed something");
    let deploy = world.handover(&["deploy", &path])?;
    ensure!(deploy.status.success(), "{}", text(&deploy.stderr));
    world.assert_settled("v2")?;
    let status = world.status()?;
    ensure!(status[0]["format"] == 1 && status[0]["containers"][0]["role"] == "live", "{status}");
    ensure!(status[0]["run"]["state"] == "deployed", "{status}");
    // One line for machines per run.
    let runs = std::fs::read_to_string(world.web.path("/var/log/handover/runs.jsonl"))?;
    let last: serde_json::Value = serde_json::from_str(runs.lines().last().unwrap_or_default())?;
    ensure!(last["outcome"] == "deployed" && last["exit"] == 0 && last["release"] == 3, "{last}");
    Ok(())
}
