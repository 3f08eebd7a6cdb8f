//! A team moves over from its shell script: the container that the script made is handed over from, and kept.

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
