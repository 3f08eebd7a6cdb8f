//! The registry: what it refuses, and what it does not bring to an end.

use anyhow::{Context as _, Result};
use insta::assert_snapshot;
use lab::names::REPOSITORY;
use lab::{Fault, ImageSpec, RegistryFault, wait_until};
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "registry";

fn v2() -> Bundle {
    Bundle::of("v2")
}

/// A case whose Docker Engine tries each layer once, not five times with ever longer pauses, and a v2 with a layer that
/// is not here yet.
fn with_a_new_layer(fault: &'static str) -> Result<Case> {
    let world = World::up()?;
    std::fs::write(world.web.path("/etc/docker/daemon.json"), r#"{ "max-download-attempts": 1 }"#)?;
    world.web.restart_docker()?;
    let mut image = ImageSpec::new("v2");
    image.ballast_mb = 1;
    world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    let first = world.deploy("d-000000001", &Bundle::of("v1"))?;
    anyhow::ensure!(first.succeeded(), "{first:?}");
    Case::on(world, KIND, fault)
}

/// The digest of that layer.
fn new_layer(case: &Case) -> Result<String> {
    case.world.lab.registry().layers_of(REPOSITORY, "v2")?.pop().context("v2 has no layers")
}

#[test]
fn a_missing_repository() -> Result<()> {
    let case = Case::of(KIND, "repository missing")?;
    // In ECR's words; the lab's own registry knows no repositories, only images.
    let words = "The repository with name 'statuspage' does not exist in the registry with id '123456789012'";
    let unknown = RegistryFault::error("^/v2/statuspage/", 404, "NAME_UNKNOWN", words);
    case.world.lab.registry().set_faults(&[unknown])?;
    let elsewhere = v2().edit("amazonaws.com/status-page", "amazonaws.com/statuspage");
    assert_snapshot!(case.refused(&elsewhere)?, @"");
    case.mended()
}

#[test]
fn a_missing_tag() -> Result<()> {
    let case = Case::of(KIND, "tag missing")?;
    assert_snapshot!(case.refused(&Bundle::of("v9"))?, @"");
    case.mended()
}

#[test]
fn a_layer_that_never_ends() -> Result<()> {
    let case = with_a_new_layer("hangs in the middle of a layer")?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::stall(&new_layer(&case)?)])?;
    // A pull may take what is left of the hook's timeout, less five seconds.
    let event = "  BeforeInstall:\n    - location: bin/handover\n      timeout: ";
    let short = v2().edit(&format!("{event}1800"), &format!("{event}10"));
    assert_snapshot!(case.refused(&short)?, @"");
    registry.clear_faults()?;
    case.mended()
}

#[test]
fn a_digest_that_is_gone() -> Result<()> {
    let case = with_a_new_layer("digest deleted after it was resolved")?;
    let (registry, aws) = (case.world.lab.registry(), case.world.lab.aws()?);
    let digest = registry.digest_of(REPOSITORY, "v2")?.context("it was pushed")?;
    aws.reset_calls()?;
    aws.set_faults([("GetSecretValue", Fault::hold())])?;
    let deployment = case.begin("v1", &v2())?;
    wait_until("it is resolved, and secrets are read", PATIENCE, || {
        Ok(case.world.journal().contains(&digest) && aws.calls()?.contains_key("GetSecretValue"))
    })?;
    registry.delete_manifest(REPOSITORY, &digest)?;
    aws.clear_faults()?;
    assert_snapshot!(case.refused_in(deployment)?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to pull
           '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST
           manifest for
           123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST
           not found: manifest unknown: manifest unknown
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.push("v2", "good")?;
    case.mended()
}

#[test]
fn a_registry_that_is_down() -> Result<()> {
    let case = Case::of(KIND, "down: connections are refused")?;
    let registry = case.world.lab.registry();
    registry.stop()?;
    assert_snapshot!(case.refused(&v2())?, @r#"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry: Get
           "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/": dial tcp 10.66.0.2:443: connect: connection
           refused
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    registry.start()?;
    case.mended()
}

fn always_refused(fault: &'static str, status: u16, code: &str, message: &str) -> Result<(Case, String)> {
    let case = Case::of(KIND, fault)?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::error(RegistryFault::MANIFESTS, status, code, message)])?;
    let told = case.refused(&v2())?.to_string();
    registry.clear_faults()?;
    case.mended()?;
    Ok((case, told))
}

#[test]
fn not_authorized() -> Result<()> {
    let (_, told) = always_refused("401", 401, "UNAUTHORIZED", "authentication required")?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry:
           unauthorized
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    Ok(())
}

#[test]
fn denied() -> Result<()> {
    let message = "User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to perform: \
                   ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/status-page because \
                   no identity-based policy allows the ecr:BatchGetImage action";
    let (_, told) = always_refused("403", 403, "DENIED", message)?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry: denied:
           User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to perform:
           ecr:BatchGetImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/status-page because no
           identity-based policy allows the ecr:BatchGetImage action
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    Ok(())
}

#[test]
fn too_many_requests_for_ever() -> Result<()> {
    let (_, told) = always_refused("429 for ever", 429, "TOOMANYREQUESTS", "Rate exceeded")?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry:
           toomanyrequests: Rate exceeded
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    Ok(())
}

#[test]
fn errors_of_the_registry_for_ever() -> Result<()> {
    let (_, told) = always_refused("500 for ever", 500, "UNKNOWN", "unknown error")?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry: received
           unexpected HTTP status: 500 Internal Server Error
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    Ok(())
}

#[test]
fn a_registry_that_is_busy_for_a_while() -> Result<()> {
    let case = Case::of(KIND, "429 and 500 for a while")?;
    case.world.lab.registry().set_faults(&[
        RegistryFault::error(RegistryFault::MANIFESTS, 429, "TOOMANYREQUESTS", "Rate exceeded").times(1),
        RegistryFault::error(RegistryFault::MANIFESTS, 500, "UNKNOWN", "unknown error").times(1),
    ])?;
    case.succeeds(&v2())
}

#[test]
fn a_layer_that_is_cut_off() -> Result<()> {
    let case = with_a_new_layer("layer is truncated")?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::cut(&new_layer(&case)?)])?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to pull
           '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST
           unexpected EOF
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    registry.clear_faults()?;
    case.mended()
}

#[test]
fn a_layer_with_another_digest() -> Result<()> {
    let case = with_a_new_layer("layer has another digest")?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::flip(&new_layer(&case)?)])?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to pull
           '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST
           filesystem layer verification failed for digest
           sha256:DIGEST
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    registry.clear_faults()?;
    case.mended()
}
