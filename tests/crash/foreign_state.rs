//! An image of an instance that was deployed to is started as another instance.

use fake_docker::{Fate, Image};
use handover::deploy::{DeployError, foreign_state};
use handover::state::Home;

use crate::world::World;

fn is(world: &World, id: &str) {
    std::fs::write(world.dir.path().join("instance-id"), format!("{id}\n")).unwrap();
}

async fn put_aside(world: &World) -> Result<(), DeployError> {
    foreign_state::put_aside(&world.host(), &world.heard, std::time::Duration::ZERO).await
}

fn images(world: &World, words: &str) -> usize {
    world.engine.images().iter().filter(|image| image.contains(words)).count()
}

/// With two releases of `i-01`, on what is `i-02` now.
async fn world() -> World {
    let world = World::new().await;
    is(&world, "i-01");
    put_aside(&world).await.unwrap();
    for (id, tag) in [("d-1", "v1"), ("d-2", "v2")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    put_aside(&world).await.unwrap();
    world.assert_settled("v2");
    is(&world, "i-02");
    world
}

#[tokio::test(flavor = "current_thread")]
async fn its_images_stay_and_nothing_else_of_it_serves() {
    let world = world().await;
    put_aside(&world).await.unwrap();
    assert!(world.engine.containers().is_empty(), "{:?}", world.engine.containers());
    assert_eq!((images(&world, &Image::digest_of("v1")), images(&world, &Image::digest_of("v2"))), (1, 1));
    assert!(!world.state().exists());
    let aside = world.state().parent().unwrap().join(".of/i-01/status-page/releases/2");
    assert!(aside.join("record.json").exists() && aside.join("journal.jsonl").exists());
    assert!(!aside.join("files").exists());
    // Its numbers go on, and its image is here.
    world.engine.forget_calls();
    let report = world.deploy("d-9", "v2").await.unwrap();
    assert_eq!((report.exit().code(), report.release.0), (0, 3), "{report:?}");
    world.assert_settled("v2");
    let pulls = world.engine.calls().into_iter().filter(|call| call.path.contains("/images/create")).count();
    assert_eq!(pulls, 0, "its image is here");
    // And what is not needed any more goes.
    assert_eq!(images(&world, &Image::digest_of("v1")), 0, "{:?}", world.engine.images());
    assert_eq!(images(&world, "handover/status-page:"), 1, "{:?}", world.engine.images());
    put_aside(&world).await.unwrap();
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn who_is_interrupted_does_it_again() {
    let world = world().await;
    world.engine.on_call(Box::new(|call| {
        let refuse = call.method == "DELETE";
        if refuse { Fate::Refuse(500, "device or resource busy".to_owned()) } else { Fate::Proceed }
    }));
    let error = put_aside(&world).await.unwrap_err();
    assert!(error.to_string().contains("remove container"), "{error}");
    assert_eq!(Home::of(world.state().parent().unwrap()).owner().unwrap().as_deref(), Some("i-01"));
    world.engine.let_all_proceed();
    put_aside(&world).await.unwrap();
    assert!(world.engine.containers().is_empty() && !world.state().exists());
}

/// No EC2 instance, or one that says nothing: what is here is ours.
#[tokio::test(flavor = "current_thread")]
async fn where_nobody_says_which_instance_this_is_nothing_is_foreign() {
    let world = world().await;
    for id in ["", "nocloud", "i-", "i-0x/../.."] {
        is(&world, id);
        put_aside(&world).await.unwrap();
        world.assert_settled("v2");
    }
    std::fs::remove_file(world.dir.path().join("instance-id")).unwrap();
    put_aside(&world).await.unwrap();
    world.assert_settled("v2");
    // A damaged file is said, and nothing is put aside for it.
    is(&world, "i-02");
    let file = world.state().parent().unwrap().join(".instance.json");
    std::fs::write(&file, "{").unwrap();
    let error = put_aside(&world).await.unwrap_err();
    assert!(error.to_string().contains(".instance.json' is damaged"), "{error}");
    world.assert_settled("v2");
}
