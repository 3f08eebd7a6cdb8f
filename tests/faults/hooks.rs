//! The hook itself: ended at its timeout, run while another one is at work.

use std::process::Child;

use anyhow::{Context as _, Result, ensure};
use insta::assert_snapshot;
use lab::names::REPOSITORY;
use lab::{Fault, ImageSpec, RegistryFault, wait_until};
use world::{Bundle, PATIENCE};

use crate::case::Case;

const KIND: &str = "hook";

/// Starts a deployment whose pull comes to a stop half-way, for good, and waits until it is there.
fn stalled(case: &Case, agent: &str, bundle: &Bundle) -> Result<Child> {
    let registry = case.world.lab.registry();
    let mut image = ImageSpec::new("v2");
    image.ballast_mb = 1;
    registry.push_image(REPOSITORY, "v2", &image)?;
    let layer = registry.layers_of(REPOSITORY, "v2")?.pop().context("v2 has no layers")?;
    registry.reset_requests()?;
    registry.set_faults(&[RegistryFault::stall(&layer).times(1)])?;
    let deployment = case.begin(agent, bundle)?;
    wait_until("the layer is on its way", PATIENCE, || {
        Ok(registry.requests()?.iter().any(|request| request.path.contains(&layer)))
    })?;
    Ok(deployment)
}

/// A deployment whose hook outlives its timeout: Secrets Manager does not answer.
fn outlives(case: &Case, agent: &str) -> Result<Child> {
    case.world.lab.aws()?.set_faults([("GetSecretValue", Fault::hang())])?;
    let event = "  BeforeInstall:\n    - location: bin/handover\n      timeout: ";
    case.begin(agent, &Bundle::of("v2").edit(&format!("{event}1800"), &format!("{event}3")))
}

#[test]
fn ended_at_its_timeout_by_agent_1() -> Result<()> {
    let case = Case::of(KIND, "ended by SIGTERM at its timeout (agent 1.8)")?;
    // This agent closes the pipes before it waits: what the hook says then, only handover's own log has.
    let told = case.timed_out_in(outlives(&case, "v1")?)?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    CodeDeploy: Script at specified location: bin/handover failed to complete in 3 seconds
    why:   handover was asked to stop while it had to check the host, the registry and the secrets
    runs.jsonl: reverted, exit 1
    ");
    case.world.lab.aws()?.clear_faults()?;
    case.mended()
}

#[test]
fn ended_at_its_timeout_by_agent_2() -> Result<()> {
    let case = Case::of(KIND, "ended by SIGTERM at its timeout (agent 2.x)")?;
    let told = case.timed_out_in(outlives(&case, "v2")?)?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    CodeDeploy: Script at specified location: bin/handover failed to complete in 3 seconds
    why:   handover was asked to stop while it had to check the host, the registry and the secrets
    runs.jsonl: reverted, exit 1
    ");
    case.world.lab.aws()?.clear_faults()?;
    case.mended()
}

#[test]
fn two_at_once() -> Result<()> {
    let case = Case::of(KIND, "another deployment begins while a hook is at work")?;
    let first = stalled(&case, "v1", &Bundle::of("v2"))?;
    // It takes the first one's place, and is not held up by what held up that one.
    case.mended_by(&Bundle::of("v3"))?;
    let told = case.replaced_in(first)?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   handover was asked to stop while it had to pull the image
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.assert_settled("v3")
}

#[test]
fn an_operator_beside_a_hook() -> Result<()> {
    let case = Case::of(KIND, "an operator deploys while a hook is at work")?;
    let hook = stalled(&case, "v1", &Bundle::of("v2"))?;
    let busy = case.world.handover(&["deploy"])?;
    ensure!(busy.status.code() == Some(75), "{busy:?}");
    let told = case.told_by("deploy", &busy)?;
    assert_snapshot!(told, @r"
    deploy ends with 75
    another run holds the lock: pid PID, 'BeforeInstall' of deployment d-000000002, since TIME UTC
    next:  handover status
    handover: FAILED (exit 75): nothing was changed
    ");
    // The hook is none the worse for it.
    case.world.lab.registry().clear_faults()?;
    case.mended_in(hook)
}
