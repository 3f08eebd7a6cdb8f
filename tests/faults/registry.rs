//! The registry: what it refuses, and what it does not bring to an end.

use anyhow::{Context as _, Result};
use insta::assert_snapshot;
use lab::names::REPOSITORY;
use lab::{ImageSpec, RegistryFault, wait_until};
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
    // Faster than a restart of the Engine, which waits a second for its containerd.
    world.web.cut()?;
    world.web.boot()?;
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
    assert_snapshot!(case.refused(&elsewhere)?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/statuspage:v2' in its registry: name
           unknown: The repository with name 'statuspage' does not exist in the registry with id '123456789012'
    fix:   there is no repository 'statuspage' in '123456789012.dkr.ecr.eu-west-1.amazonaws.com': check its name, account
           123456789012 and region eu-west-1
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended()
}

#[test]
fn a_missing_tag() -> Result<()> {
    let case = Case::of(KIND, "tag missing")?;
    assert_snapshot!(case.refused(&Bundle::of("v9"))?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v9' in its registry: manifest
           unknown: manifest unknown
    fix:   tag 'v9' is not in 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page: was it pushed to account
           123456789012 in eu-west-1?
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
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
    assert_snapshot!(case.refused(&short)?, @r"
    BeforeInstall ends with 1
    why:   Docker did not pull
           '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST'
           within the N s that were left for it
    fix:   give the hook a longer timeout in appspec.yml, or look why the registry is slow
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    registry.clear_faults()?;
    case.mended()
}

#[test]
fn a_digest_that_is_gone() -> Result<()> {
    let case = with_a_new_layer("digest deleted after it was resolved")?;
    let registry = case.world.lab.registry();
    let digest = registry.digest_of(REPOSITORY, "v2")?.context("it was pushed")?;
    // The Engine and handover have each looked at it when the pull begins.
    let pull = RegistryFault::hold(&digest).method("GET").after(2);
    registry.set_faults(&[pull])?;
    registry.reset_requests()?;
    let deployment = case.begin("v1", &v2())?;
    wait_until("it is pulled", PATIENCE, || Ok(registry.requests()?.iter().any(|request| request.fault)))?;
    registry.delete_manifest(REPOSITORY, &digest)?;
    registry.clear_faults()?;
    let told = case.refused_in(deployment)?;
    if case.engine.in_containerd {
        assert_snapshot!(told, @r#"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               failed to resolve reference
               "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST":
               123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST:
               not found (asked 5 times)
        fix:   its tag means this image, and 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page does not have it: a
               pull-through cache may still be filling (deploy again in a minute), or a lifecycle policy has removed it (push
               it again)
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    } else {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               manifest for
               123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST
               not found: manifest unknown: manifest unknown (asked 5 times)
        fix:   its tag means this image, and 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page does not have it: a
               pull-through cache may still be filling (deploy again in a minute), or a lifecycle policy has removed it (push
               it again)
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    }
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
           refused (asked 5 times)
    fix:   a subnet without a NAT gateway needs the interface endpoints com.amazonaws.eu-west-1.ecr.dkr and .ecr.api
           (private DNS on, port 443 let in) and the gateway endpoint .s3
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
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
           unauthorized (asked 3 times)
    fix:   the registry does not accept ECR's token for eu-west-1: check 'region' in [image]
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
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
    fix:   the instance's role needs ecr:BatchGetImage on 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    Ok(())
}

#[test]
fn a_pull_through_cache_that_may_not_import() -> Result<()> {
    let message = "User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to perform: \
                   ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/status-page because \
                   no identity-based policy allows the ecr:BatchImportUpstreamImage action";
    let (_, told) = always_refused("403 of a pull-through cache", 403, "DENIED", message)?;
    assert_snapshot!(told, @"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' in its registry: denied:
           User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to perform:
           ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/status-page because no
           identity-based policy allows the ecr:BatchImportUpstreamImage action
    fix:   the instance's role needs ecr:BatchImportUpstreamImage and ecr:CreateRepository on
           123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page: it is below a pull-through cache rule, which fetches
           what the account does not have yet
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
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
           toomanyrequests: Rate exceeded (asked 5 times)
    fix:   deploy to fewer instances at a time, or later
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
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
           unexpected HTTP status: 500 Internal Server Error (asked 5 times)
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
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

/// Its tag means a digest, and the digest is not there for a while.
#[test]
fn a_pull_through_cache_that_fills() -> Result<()> {
    let case = Case::of(KIND, "pull-through cache fills")?;
    let registry = case.world.lab.registry();
    let digest = registry.digest_of(REPOSITORY, "v2")?.context("it was pushed")?;
    let missing = RegistryFault::error(&digest, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    registry.set_faults(&[missing.method("GET").times(2)])?;
    case.succeeds(&v2())
}

#[test]
fn a_layer_that_is_cut_off() -> Result<()> {
    let case = with_a_new_layer("layer is truncated")?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::cut(&new_layer(&case)?)])?;
    let told = case.refused(&v2())?;
    if case.engine.in_containerd {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               short read: expected N bytes but got M: unexpected EOF (asked 5 times)
        fix:   the connection breaks in the middle of a layer, every time: look for a proxy or a firewall in between
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    } else {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               unexpected EOF (asked 5 times)
        fix:   the connection breaks in the middle of a layer, every time: look for a proxy or a firewall in between
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    }
    registry.clear_faults()?;
    case.mended()
}

#[test]
fn a_layer_with_another_digest() -> Result<()> {
    let case = with_a_new_layer("layer has another digest")?;
    let registry = case.world.lab.registry();
    registry.set_faults(&[RegistryFault::flip(&new_layer(&case)?)])?;
    let told = case.refused(&v2())?;
    if case.engine.in_containerd {
        assert_snapshot!(told, @r#"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               failed commit on ref "layer-sha256:DIGEST": commit
               failed: unexpected commit digest sha256:DIGEST,
               expected sha256:DIGEST: failed precondition (asked 3
               times)
        fix:   what is downloaded does not match the manifest, every time: push the image again, or look for a proxy that
               changes it
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    } else {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   Docker refuses to pull
               '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page@sha256:DIGEST':
               filesystem layer verification failed for digest
               sha256:DIGEST (asked 3 times)
        fix:   what is downloaded does not match the manifest, every time: push the image again, or look for a proxy that
               changes it
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    }
    registry.clear_faults()?;
    case.mended()
}
