//! Somebody's cron job prunes what Docker takes for unused.

use anyhow::{Context as _, Result, ensure};
use lab::ImageSpec;
use lab::names::REPOSITORY;
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

/// The volumes without a name that Docker has made for the containers of an image with a `VOLUME`.
#[test]
fn the_volume_of_a_release_goes_only_where_the_configuration_says_so() -> Result<()> {
    let world = World::up()?;
    let tags = ["a", "b", "c", "d", "e"];
    for tag in tags {
        let mut image = ImageSpec::new(tag);
        image.volumes = vec!["/media".to_owned()];
        world.lab.registry().push_image(REPOSITORY, tag, &image)?;
    }
    let may_go = "[process.web]\nanonymous-volumes = [\"/media\"]";
    let volume_of = |container: &str| -> Result<String> {
        let inspect = world.web.docker()?.inspect(container)?.context("there is no such container")?;
        inspect["Mounts"][0]["Name"].as_str().map(str::to_owned).context("it has no volume")
    };
    let is_there = |name: &str| -> Result<bool> {
        let volumes = world.web.docker()?.get("/volumes")?;
        let mut names =
            volumes["Volumes"].as_array().into_iter().flatten().filter_map(|v| v["Name"].as_str());
        Ok(names.any(|other| other == name))
    };
    // The first says that its data may go. The next ones say nothing, and have it so since.
    let mut volumes = vec![];
    for (n, tag) in tags.into_iter().enumerate() {
        let bundle = Bundle::of(tag);
        let bundle = if n == 0 { bundle.edit("[process.web]", may_go) } else { bundle };
        let deployed = world.deploy(&format!("d-00000000{}", n + 1), &bundle)?;
        ensure!(deployed.succeeded() && world.release_that_comes_up()? == tag, "{deployed:?}");
        volumes.push(volume_of("status-page-web")?);
    }
    ensure!(world.web.docker()?.inspect("status-page-web.r2")?.is_none(), "r2 is not kept");
    let mut there = volumes.iter().map(|volume| is_there(volume));
    let there: Vec<bool> = there.by_ref().collect::<Result<_>>()?;
    ensure!(there == [false, true, true, true, true], "{there:?}");
    let log = std::fs::read_to_string(world.web.path("/var/log/handover/handover.log"))?;
    ensure!(log.contains(&format!("docker volume rm {}", volumes[1])), "{log}");
    Ok(())
}

/// A runner's disk: what it has built goes when it is old enough, and nothing else.
#[test]
fn the_images_of_a_repository_go_when_somebody_says_so() -> Result<()> {
    let world = World::with_v1()?;
    let docker = world.web.docker()?;
    for tag in ["ci/app&tag=1", "ci/app&tag=2", "ci/app-front&tag=1"] {
        docker.post(&format!("/commit?container=status-page-web&repo={tag}"), &serde_json::json!({}))?;
    }
    let live = docker.inspect("status-page-web")?.context("nothing is live")?;
    let live = live["Image"].as_str().context("an image without an id")?.to_owned();
    docker.post(&format!("/images/{live}/tag?repo=ci/app&tag=live"), &Value::Null)?;
    let names = || -> Result<Vec<String>> {
        let images = world.web.docker()?.images()?;
        let names = images.iter().filter_map(|image| image["RepoTags"].as_array()).flatten();
        let mut names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    };
    let before = names()?;
    let prune = |more: &[&str]| -> Result<String> {
        let of = ["prune", "--foreign", "--repository", "ci/app"];
        let output = world.handover(&[&of[..], more].concat())?;
        ensure!(output.status.success(), "{}", world::text(&output.stderr));
        Ok(world::text(&output.stdout))
    };
    ensure!(
        prune(&["--older-than", "1h"])?.is_empty() && names()? == before,
        "they are young: {:?}",
        names()?
    );
    let told = prune(&["--older-than", "0s", "--dry-run"])?;
    ensure!(told.contains("would remove image ci/app:1") && names()? == before, "{told}");
    let gone = prune(&["--older-than", "0s"])?;
    ensure!(gone.lines().count() == 2, "{gone}");
    let kept: Vec<String> =
        before.into_iter().filter(|name| !["ci/app:1", "ci/app:2"].contains(&name.as_str())).collect();
    ensure!(names()? == kept, "{:?} is not {kept:?}", names()?);
    world.assert_settled("v1")
}
