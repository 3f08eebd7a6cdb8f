//! A team moves over from its shell script: the container that the script made is handed over from, and kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use lab::names::{ECR_HOST, REPOSITORY};
use lab::registry_authorization;
use serde_json::{Value, json};
use world::{Bundle, World};

const ORDER: &str = "order        = \"stop-first\"";

fn replacing(tag: &'static str) -> Bundle {
    Bundle::of(tag).edit(ORDER, "order = \"stop-first\"\nreplaces = \"statuspage\"")
}

/// What a `docker run -d --restart on-failure:5 -p 8000:8000` in a hook leaves behind.
fn script(world: &World, host_config: &Value) -> Result<()> {
    let docker = world.web.docker()?;
    let image = format!("{ECR_HOST}/{REPOSITORY}:v1");
    docker.pull(&image, Some(&registry_authorization()))?;
    let mut settings = json!({
        "Image": image,
        "ExposedPorts": { "8000/tcp": {} },
        "HostConfig": { "PortBindings": { "8000/tcp": [{ "HostPort": "8000" }] } },
    });
    for (key, value) in host_config.as_object().context("no object")? {
        settings["HostConfig"][key] = value.clone();
    }
    docker.run("statuspage", &settings)?;
    Ok(())
}

fn statuspage(world: &World) -> Result<Value> {
    world.web.docker()?.inspect("statuspage")?.context("the script's container is gone")
}

#[test]
fn the_scripts_container_is_put_back_or_parked() -> Result<()> {
    let world = World::up()?;
    let retries = json!({ "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 5 } });
    script(&world, &retries)?;
    let before = statuspage(&world)?;

    let refused = world.deploy("d-000000001", &replacing("crash"))?;
    let failure = refused.failure().context("it is refused")?;
    ensure!(
        failure.exit == Some(1) && failure.log.contains("now:   statuspage is running"),
        "{}",
        failure.log
    );
    let back = statuspage(&world)?;
    ensure!(back["Id"] == before["Id"] && back["State"]["Running"] == true, "{back}");
    ensure!(back["HostConfig"] == before["HostConfig"], "{}", back["HostConfig"]);

    let deployed = world.deploy("d-000000002", &replacing("v2"))?;
    ensure!(deployed.succeeded(), "{deployed:?}");
    ensure!(world.release_that_comes_up()? == "v2");
    let parked = statuspage(&world)?;
    ensure!(parked["Id"] == before["Id"] && parked["State"]["Running"] == false, "{parked}");
    ensure!(parked["HostConfig"]["RestartPolicy"]["Name"] == "no", "{parked}");

    let next = world.deploy("d-000000003", &replacing("v3"))?;
    ensure!(next.succeeded() && world.release_that_comes_up()? == "v3", "{next:?}");
    Ok(())
}

#[test]
fn one_that_could_not_be_put_back_is_left_alone() -> Result<()> {
    let world = World::up()?;
    script(&world, &json!({ "AutoRemove": true }))?;
    let before = statuspage(&world)?;
    let refused = world.deploy("d-000000001", &replacing("v2"))?;
    let failure = refused.failure().context("it is refused")?;
    ensure!(failure.log.contains("was started with --rm"), "{}", failure.log);
    ensure!(statuspage(&world)? == before, "{}", statuspage(&world)?);
    Ok(())
}

/// `docker`, as far as the scripts of a bundle need it: not every instance of the lab has the command.
const DOCKER: &str = r#"docker() { curl -fsS --unix-socket /run/docker.sock -X "$1" -H 'Content-Type: application/json' "http://docker/$2" "${@:3}"; }"#;
/// What one writes there: stop it, remove it.
const STOP: &str = "docker POST containers/statuspage/stop\ndocker DELETE containers/statuspage\n";

/// The bundle of a team that deploys by shell scripts: `files` brings the container's configuration.
fn script_bundle(world: &World, name: &str, has_stop: bool) -> Result<String> {
    let image = format!("{ECR_HOST}/{REPOSITORY}:v1");
    world.web.docker()?.pull(&image, Some(&registry_authorization()))?;
    let settings = json!({
        "Image": image,
        "ExposedPorts": { "8000/tcp": {} },
        "HostConfig": {
            "RestartPolicy": { "Name": "unless-stopped" },
            "PortBindings": { "8000/tcp": [{ "HostPort": "8000" }] },
            "Binds": ["/opt/status-page/app.env:/app.env:ro"],
        },
    });
    let start = format!(
        "docker POST 'containers/create?name=statuspage' -d '{settings}' >/dev/null\ndocker POST containers/statuspage/start\n"
    );
    let stop_hook = "  ApplicationStop:\n    - location: scripts/stop.sh\n      timeout: 60\n";
    let appspec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: config\n    destination: /opt/status-page\nhooks:\n{}  ApplicationStart:\n    \
         - location: scripts/start.sh\n      timeout: 60\n",
        if has_stop { stop_hook } else { "" }
    );
    let inside = format!("/opt/codedeploy-agent/bundles/{name}");
    for (path, text) in [
        ("appspec.yml", appspec),
        ("config/app.env", "LEVEL=INFO\n".to_owned()),
        ("scripts/start.sh", format!("#!/bin/bash\nset -e\n{DOCKER}\n{start}")),
        ("scripts/stop.sh", format!("#!/bin/bash\nset -e\n{DOCKER}\n{STOP}")),
    ] {
        let path = world.web.path(&inside).join(path);
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(inside)
}

#[test]
fn straight_from_a_bundle_that_stops_its_container_nothing_can_be_put_back() -> Result<()> {
    let world = World::up()?;
    let deployed = world.deploy_folder("d-000000001", &script_bundle(&world, "scripts", true)?)?;
    ensure!(deployed.succeeded() && world.release_that_comes_up()? == "v1", "{deployed:?}");
    let refused = world.deploy("d-000000002", &replacing("crash"))?;
    let failure = refused.failure().context("it is refused")?;
    ensure!(failure.exit == Some(3), "{}", failure.log);
    let log = fs::read_to_string(world.web.path("/var/log/handover/handover.log"))?;
    ensure!(log.contains("there is no container 'statuspage' for process 'web' to replace"), "{log}");
    Ok(())
}

#[test]
fn by_way_of_a_bundle_without_application_stop_the_old_container_is_put_back() -> Result<()> {
    let world = World::up()?;
    let with_stop = script_bundle(&world, "scripts", true)?;
    let without = script_bundle(&world, "scripts-last", false)?;
    for (id, bundle) in [("d-000000001", &with_stop), ("d-000000002", &without)] {
        let deployed = world.deploy_folder(id, bundle)?;
        ensure!(deployed.succeeded() && world.release_that_comes_up()? == "v1", "{deployed:?}");
    }
    let before = statuspage(&world)?;

    // Install takes away what the last bundle had brought, and this one does not bring.
    let forgetful = world.deploy("d-000000003", &replacing("v2"))?;
    let failure = forgetful.failure().context("it is refused")?;
    ensure!(
        failure.exit == Some(1)
            && failure.log.contains("'statuspage' could not be put back: '/opt/status-page/app.env'"),
        "{}",
        failure.log
    );
    ensure!(statuspage(&world)?["State"] == before["State"], "{}", statuspage(&world)?);

    let keeping = |tag| {
        replacing(tag)
            .edit("os: linux\n", "os: linux\nfiles:\n  - source: config\n    destination: /opt/status-page\n")
            .file("config/app.env", "LEVEL=INFO\n")
    };
    let refused = world.deploy("d-000000004", &keeping("crash"))?;
    let failure = refused.failure().context("it is refused")?;
    ensure!(
        failure.exit == Some(1)
            && failure.log.contains("exited with code 1")
            && failure.log.contains("now:   statuspage is running"),
        "{}",
        failure.log
    );
    ensure!(statuspage(&world)?["Id"] == before["Id"] && world.release_that_comes_up()? == "v1");

    let deployed = world.deploy("d-000000005", &keeping("v2"))?;
    ensure!(deployed.succeeded() && world.release_that_comes_up()? == "v2", "{deployed:?}");
    ensure!(statuspage(&world)?["State"]["Running"] == false, "{}", statuspage(&world)?);
    Ok(())
}
