//! Parts of the bundle that are mounted: a copy that goes with the release.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use handover::config::Settings;
use handover::model::ReleaseNumber;
use handover::state::Releases;

use crate::world::World;

/// A folder of the bundle, mounted from the next release on. A kept bundle is read in the folder `bundle/`.
async fn world() -> World {
    let world = World::with_v1().await;
    let conf = conf(&world);
    std::fs::create_dir_all(conf.join("d")).unwrap();
    std::fs::write(conf.join("d/app.conf"), "first").unwrap();
    std::fs::set_permissions(conf.join("d/app.conf"), std::fs::Permissions::from_mode(0o640)).unwrap();
    world.edit("[process.web]\n", "[process.web]\nvolumes = [\"./conf:/etc/app\"]\n");
    world
}

fn conf(world: &World) -> std::path::PathBuf {
    world.bundle().join("bundle/conf")
}

fn kept(world: &World, release: u64) -> std::path::PathBuf {
    world.state().join(format!("releases/{release}/bundle/conf"))
}

fn mounts(world: &World) -> Vec<(String, String)> {
    world.engine.container("status-page-web").unwrap().binds
}

#[tokio::test(flavor = "current_thread")]
async fn a_copy_goes_with_the_release_and_its_content_is_part_of_it() {
    let world = world().await;
    let outcome = async |id| world.deploy(id, "v2").await.unwrap().outcome.word();
    assert_eq!(outcome("d-2").await, "deployed");
    assert_eq!(mounts(&world), [(kept(&world, 2).display().to_string(), "/etc/app".to_owned())]);
    let file = kept(&world, 2).join("d/app.conf");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(outcome("d-3").await, "unchanged");
    // What is kept is the same as what was in the bundle: an operator deploys that again without one.
    let again = Releases::of(&world.state()).config(ReleaseNumber(2)).unwrap().unwrap();
    let volumes =
        |settings: &Settings| settings.processes[&"web".parse().unwrap()].workload.options.volumes.clone();
    assert_eq!(volumes(&again.settings), volumes(&world.config("v2").settings));
    std::fs::write(conf(&world).join("d/app.conf"), "second").unwrap();
    assert_eq!(outcome("d-4").await, "deployed");
    assert_eq!(mounts(&world)[0].0, kept(&world, 4).display().to_string());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "first", "an older release keeps its own");
    world.assert_settled("v2");
}

/// A refused release leaves the old one with what it had, and a container that was pruned meanwhile is made with it again.
#[tokio::test(flavor = "current_thread")]
async fn the_old_release_is_put_back_with_its_own_copy() {
    let world = world().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    std::fs::write(conf(&world).join("d/app.conf"), "second").unwrap();
    let report = world.deploy("d-3", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    world.assert_settled("v2");
    assert_eq!(mounts(&world)[0].0, kept(&world, 2).display().to_string());

    let started = "\"entry\":\"done\",\"step\":\"start-new web\"";
    world.killed_once_written(started, "d-4", "crash", 60).await;
    world.host().docker.remove("status-page-web").await.unwrap();
    std::fs::remove_dir_all(world.bundle()).unwrap();
    world.recover().await.unwrap().unwrap();
    world.assert_settled("v2");
    assert_eq!(mounts(&world)[0].0, kept(&world, 2).display().to_string());
}

#[tokio::test(flavor = "current_thread")]
async fn it_goes_when_its_release_goes() {
    let world = world().await;
    for (n, tag) in ["v2", "v3", "v4", "v1", "v2"].into_iter().enumerate() {
        assert_eq!(world.deploy(&format!("d-{}", n + 2), tag).await.unwrap().exit().code(), 0);
    }
    assert!(!kept(&world, 2).exists() && kept(&world, 6).exists());
    world.assert_settled("v2");
}

/// What a container starts with has to be there before live is stopped.
#[tokio::test(flavor = "current_thread")]
async fn a_copy_that_is_lost_stops_the_deployment_before_live_is_touched() {
    let world = world().await;
    let lost = kept(&world, 2);
    let created = AtomicBool::new(false);
    world.engine.on_call(Box::new(move |call| {
        if created.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir_all(&lost);
        }
        created.fetch_or(call.path.contains("/containers/create"), Ordering::Relaxed);
        fake_docker::Fate::Proceed
    }));
    let before = world.live_hash();
    let report = world.deploy("d-2", "v2").await.unwrap();
    let cause = crate::world::cause(&report);
    assert!(cause.contains("needs of its bundle is gone") && cause.contains("bundle/conf"), "{cause}");
    assert_eq!(world.live_hash(), before);
    world.assert_settled("v1");
}
