//! A deployment by a hook brings its binary along.

use std::path::PathBuf;

use handover::model::Phase;

use crate::world::World;

fn binary(world: &World, text: &str) {
    std::fs::write(world.host().paths.binary, text).unwrap();
}

fn linked(world: &World) -> String {
    std::fs::read_to_string(world.host().paths.link).unwrap()
}

fn copies(world: &World) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(world.host().paths.copies).unwrap();
    dir.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn the_link_moves_when_the_deployment_was_good_and_not_before() {
    let world = World::new().await;
    binary(&world, "first");
    // There before the first switch: an interrupted first deployment is recovered by it.
    world.hook("d-1", "v1", Phase::Prepare).await.unwrap();
    assert_eq!(linked(&world), "first");
    world.hook("d-1", "v1", Phase::Finish).await.unwrap();
    binary(&world, "bad");
    assert_eq!(world.deploy("d-2", "crash").await.unwrap().exit().code(), 1);
    assert_eq!((linked(&world).as_str(), copies(&world).len()), ("first", 2));
    binary(&world, "good");
    world.hook("d-3", "v2", Phase::Prepare).await.unwrap();
    assert_eq!(linked(&world), "first");
    world.hook("d-3", "v2", Phase::Finish).await.unwrap();
    assert_eq!(linked(&world), "good");
}

#[tokio::test(flavor = "current_thread")]
async fn a_deployment_is_good_although_its_binary_cannot_be_installed() {
    let world = World::new().await;
    // A folder cannot be made where a file is.
    std::fs::write(world.host().paths.copies, "in the way").unwrap();
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let notes = report.notes.join("\n");
    assert!(notes.contains("handover is not installed: failed to create"), "{notes}");
    world.assert_settled("v1");
}

#[tokio::test(flavor = "current_thread")]
async fn an_operator_s_own_file_under_the_name_is_left_alone() {
    let world = World::new().await;
    let link = world.host().paths.link;
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(&link, "my own").unwrap();
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!((report.exit().code(), linked(&world).as_str()), (0, "my own"));
    assert!(report.notes.iter().any(|note| note.contains("it was left as it is")), "{report:?}");
}
