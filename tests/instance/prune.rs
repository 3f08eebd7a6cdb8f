//! Somebody's cron job prunes what Docker takes for unused.

use anyhow::{Result, ensure};
use serde_json::Value;
use world::{Bundle, World};

/// `docker system prune -f`, without the networks.
fn docker_system_prune(world: &World) -> Result<()> {
    let docker = world.web.docker()?;
    docker.post("/containers/prune", &Value::Null)?;
    docker.post("/images/prune", &Value::Null)?;
    Ok(())
}

#[test]
fn the_images_of_kept_releases_outlive_a_prune_and_go_with_their_releases() -> Result<()> {
    let world = World::with_v1()?;
    for (id, tag) in [("d-000000002", "v2"), ("d-000000003", "v3")] {
        ensure!(world.deploy(id, &Bundle::of(tag))?.succeeded());
    }
    docker_system_prune(&world)?;
    let parked = world.web.docker()?.inspect("status-page-web.r1")?;
    ensure!(parked.is_none(), "{parked:?}");
    let tags = || -> Result<Vec<String>> {
        let images = world.web.docker()?.images()?;
        let names = images.iter().filter_map(|image| image["RepoTags"].as_array()).flatten();
        let mut ours: Vec<String> = names
            .filter_map(Value::as_str)
            .filter(|name| name.starts_with("handover/"))
            .map(str::to_owned)
            .collect();
        ours.sort();
        Ok(ours)
    };
    let kept = |releases: [u32; 3]| releases.map(|n| format!("handover/status-page:r{n}")).to_vec();
    ensure!(tags()? == kept([1, 2, 3]), "{:?}", tags()?);

    let next = world.deploy("d-000000004", &Bundle::of("crash"))?;
    ensure!(!next.succeeded() && world.release_that_comes_up()? == "v3", "{next:?}");
    let next = world.deploy("d-000000005", &Bundle::of("v2"))?;
    ensure!(next.succeeded() && world.release_that_comes_up()? == "v2", "{next:?}");
    ensure!(tags()? == kept([2, 3, 5]), "{:?}", tags()?);
    Ok(())
}
