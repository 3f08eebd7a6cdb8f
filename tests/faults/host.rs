//! The instance: its disk, its Docker Engine, its ports.

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use lab::names::{REPOSITORY, REPOSITORY_URL};
use lab::{Hardware, ImageSpec, RegistryFault, wait_until};
use serde_json::json;
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "instance";

fn v2() -> Bundle {
    Bundle::of("v2")
}

/// Another port of the host, to the application's.
const ANOTHER_PORT: (&str, &str) = ("[\"8000:8000\"]", "[\"8000:8000\", \"9000:8001\"]");

fn on_another_port() -> Bundle {
    let health = "http        = \"/health\"";
    v2().edit(ANOTHER_PORT.0, ANOTHER_PORT.1).edit(health, &format!("port = 8000\n{health}"))
}

#[test]
fn a_disk_that_is_too_small() -> Result<()> {
    let world = World::up_on(&Hardware { docker_disk: Some(64) })?;
    let first = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let mut image = ImageSpec::new("v2");
    image.ballast_mb = 40;
    world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    let case = Case::on(world, KIND, "disk too small")?;
    let told = case.refused(&v2())?;
    if case.engine.in_containerd {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   the disk of '/var/lib/docker/containerd/daemon' has N MiB free, and 128 MiB are needed (the image: 3 times
               the 42 MiB that are to be pulled)
        fix:   make room: 'docker system df' says what Docker keeps, 'handover prune' removes old releases
        now:   status-page-web (r1) is running
        next:  handover plan BUNDLE --group test
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    } else {
        assert_snapshot!(told, @r"
        BeforeInstall ends with 1
        why:   the disk of '/var/lib/docker' has N MiB free, and 128 MiB are needed (the image: 3 times the 42 MiB that are
               to be pulled)
        fix:   make room: 'docker system df' says what Docker keeps, 'handover prune' removes old releases
        now:   status-page-web (r1) is running
        next:  handover plan BUNDLE --group test
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        ");
    }
    case.world.web.resize_docker_disk(512)?;
    case.mended()
}

/// It is waited for, up to half of the hook's time.
#[test]
fn a_docker_engine_that_is_down() -> Result<()> {
    let case = Case::of(KIND, "Docker is down")?;
    case.world.web.stop_docker()?;
    let told = case.replaced_in(case.begin("v1", &v2().edit("timeout: 1800", "timeout: 6"))?)?;
    insta::assert_snapshot!(told, @"
    BeforeInstall ends with 3
    Docker does not answer at '/var/run/docker.sock': there is no such file
    fix:   check that it runs: systemctl status docker
    next:  systemctl start docker
    handover: FAILED (exit 3): nothing was changed
    ");
    case.world.web.start_docker()?;
    // Started again by the Engine, which fills in a default or two.
    case.world.assert_settled("v1")?;
    case.mended()
}

#[test]
fn a_docker_engine_that_is_slow_to_start() -> Result<()> {
    let case = Case::of(KIND, "Docker is slow to start")?;
    let web = &case.world.web;
    web.cut()?;
    web.boot_without_docker()?;
    let deployment = case.begin("v1", &v2())?;
    let log =
        "grep -rqs 'LifecycleEvent - BeforeInstall' /opt/codedeploy-agent/deployment-root/*/d-000000002/logs";
    wait_until("the hook runs", PATIENCE, || Ok(web.command("sh").args(["-c", log]).status()?.success()))?;
    web.start_docker()?;
    case.succeeds_in(deployment, "v2")
}

#[test]
fn a_docker_engine_that_restarts_during_a_pull() -> Result<()> {
    let case = Case::of(KIND, "Docker is restarted during the pull")?;
    let registry = case.world.lab.registry();
    let mut image = ImageSpec::new("v2");
    image.ballast_mb = 1;
    registry.push_image(REPOSITORY, "v2", &image)?;
    registry.reset_requests()?;
    registry.set_faults(&[RegistryFault::stall(RegistryFault::BLOBS)])?;
    let deployment = case.begin("v1", &v2())?;
    wait_until("a layer is on its way", PATIENCE, || {
        Ok(registry.requests()?.iter().any(|request| request.path.contains(RegistryFault::BLOBS)))
    })?;
    case.world.web.restart_docker()?;
    registry.clear_faults()?;
    case.succeeds_in(deployment, "v2")
}

#[test]
fn a_port_that_another_program_holds() -> Result<()> {
    let case = Case::of(KIND, "port taken by another program")?;
    let mut program = case.world.occupy_port(9000)?;
    assert_snapshot!(case.refused(&on_another_port())?, @r"
    BeforeInstall ends with 1
    why:   port 9000 is held by 'another-program' (pid PID)
    fix:   stop it, or publish another port in [process.web]
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.web.signal(&program, 9)?;
    program.wait()?;
    case.mended_by(&on_another_port())
}

#[test]
fn a_port_that_another_container_holds() -> Result<()> {
    let case = Case::of(KIND, "port taken by another container")?;
    let docker = case.world.web.docker()?;
    let settings = json!({
        "Image": format!("{REPOSITORY_URL}@{}", case.world.lab.registry().digest_of(REPOSITORY, "v1")?.unwrap_or_default()),
        "ExposedPorts": { "8001/tcp": {} },
        "HostConfig": { "PortBindings": { "8001/tcp": [{ "HostPort": "9000" }] } },
    });
    docker.run("somebody-elses", &settings)?;
    let case = Case::on(case.world, KIND, "port taken by another container")?;
    assert_snapshot!(case.refused(&on_another_port())?, @r#"
    BeforeInstall ends with 1
    why:   port 9000 is held by container 'somebody-elses', which handover did not make
    fix:   docker stop somebody-elses, or write replaces = "somebody-elses" in [process.web]
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    docker.delete("/containers/somebody-elses?force=true")?;
    case.mended_by(&on_another_port())
}

/// As glibc does: the line is passed over.
#[test]
fn a_line_of_resolv_conf_that_is_wrong() -> Result<()> {
    let case = Case::of(KIND, "a wrong line in /etc/resolv.conf")?;
    let path = case.world.web.path("/etc/resolv.conf");
    let right = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("nameserver 10.66.0.300\noptions attempts:two\n{right}"))?;
    case.succeeds(&v2())?;
    let log = std::fs::read_to_string(case.world.web.path("/var/log/handover/handover.log"))?;
    ensure!(log.contains("nameserver 10.66.0.300"), "it is not told: {log}");
    Ok(())
}

#[test]
fn a_folder_that_is_mounted_and_not_there() -> Result<()> {
    let case = Case::of(KIND, "a folder of the host that is mounted is not there")?;
    let bundle = v2().edit("[process.web]\n", "[process.web]\nvolumes = [\"/var/media:/media\"]\n");
    assert_snapshot!(case.refused(&bundle)?, @r#"
    BeforeInstall ends with 1
    why:   Docker refuses to create container 'status-page-web.r2': invalid mount config for type "bind": bind source
           path does not exist: /var/media
    fix:   make it on the instance before the deployment (mkdir -p /var/media, and chown it to the container's user), or
           correct 'volumes' in [process.web]
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    ensure!(case.world.web.command("mkdir").args(["-p", "/var/media"]).status()?.success());
    case.mended_by(&bundle)
}

#[test]
fn a_volume_of_the_release_that_is_removed() -> Result<()> {
    let case = Case::of(KIND, "somebody removes the release's volume between two hooks")?;
    let filled = "[task.collect]\ncommand = [\"collect\", \"/srv/static\"]\nvolumes = [\"@static:/srv/static\"]\n\
        [process.web]\nvolumes = [\"@static:/srv/static:ro\"]\n";
    let bundle = v2().edit("[process.web]\n", filled);
    case.prepared(&bundle)?;
    for removes in [["rm", "status-page-web.r2"].as_slice(), &["volume", "rm", "status-page-static.r2"]] {
        let removed = case.world.web.command("docker").args(removes).output()?;
        ensure!(removed.status.success(), "{removed:?}");
    }
    assert_snapshot!(case.refused_in(case.goes_on(&bundle, "ApplicationStart,ValidateService")?)?, @r"
    ApplicationStart ends with 1
    why:   volume status-page-static.r2 is gone since it was filled
    fix:   deploy again: the tasks that fill it run once in a deployment
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&bundle)
}
