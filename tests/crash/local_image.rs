//! `local = true`: an image that somebody has built or loaded on the instance.

use fake_docker::{Behaviour, Image};
use handover::model::Phase;

use crate::world::{REPOSITORY, World, cause};

/// The name, and what it names: built from these words.
fn load(world: &World, words: &str, behaviour: Behaviour) {
    world.engine.load_image(Image::new("built/app", "dev", &Image::digest_of(words)).behaving(behaviour));
}

async fn world() -> World {
    let world = World::with_v1().await;
    for tag in ["v1", "v2"] {
        world.edits.lock().unwrap().push((
            format!("repository = \"{REPOSITORY}\"\ntag = \"{tag}\""),
            "repository = \"built/app\"\ntag = \"dev\"\nlocal = true\nregion = \"eu-west-1\"".to_owned(),
        ));
    }
    world.aws.take_calls();
    world.engine.forget_calls();
    world
}

fn live(world: &World) -> fake_docker::ContainerView {
    world.engine.container("status-page-web").unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn no_registry_is_asked_and_the_id_counts() {
    let world = world().await;
    load(&world, "v2", Behaviour::Healthy);
    world.engine.registry_down(Some("nobody may ask it"));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_eq!(world.aws.take_calls(), ["GetSecretValue"]);
    let asked = |path: &str| world.engine.calls().iter().any(|call| call.path.contains(path));
    assert!(!asked("/distribution/") && !asked("/images/create"));
    world.assert_settled("v2");
    assert!(live(&world).image.starts_with("sha256:"), "{:?}", live(&world));
    assert!(world.engine.images().iter().any(|name| name.contains("handover/status-page:r2")));
    // The same again changes nothing; the same name for something else does.
    assert_eq!(world.deploy("d-3", "v2").await.unwrap().outcome.word(), "unchanged");
    load(&world, "v3", Behaviour::Healthy);
    assert_eq!(world.deploy("d-4", "v2").await.unwrap().outcome.word(), "deployed");
    world.assert_settled("v3");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_not_there_is_a_finding_with_the_fix() {
    let world = world().await;
    let report = world.deploy("d-2", "v2").await.unwrap();
    let cause = cause(&report);
    for words in ["'built/app:dev' is not on this instance", "docker load", "local = true"] {
        assert!(cause.contains(words), "{words}: {cause}");
    }
    world.assert_settled("v1");
}

/// Somebody builds it anew between two hooks: the deployment goes on with what it has seen.
#[tokio::test(flavor = "current_thread")]
async fn a_name_that_moves_between_two_hooks_changes_nothing_for_this_deployment() {
    let world = world().await;
    load(&world, "v2", Behaviour::Healthy);
    assert_eq!(world.hook("d-2", "v2", Phase::Prepare).await.unwrap().exit().code(), 0);
    load(&world, "crash", Behaviour::ExitsAtOnce(1));
    assert_eq!(world.hook("d-2", "v2", Phase::Finish).await.unwrap().exit().code(), 0);
    world.assert_settled("v2");
}

/// What handover did not bring it does not take away: its own names go, and where one of them is the last, it stays.
#[tokio::test(flavor = "current_thread")]
async fn a_prune_takes_names_and_no_image() {
    let world = world().await;
    world.edit("[environment]\n", "[environment]\nN = \"1\"\n");
    let mut notes = Vec::new();
    let mut deploy = async |n: usize| {
        world.edits.lock().unwrap().push((format!("N = \"{}\"", n - 1), format!("N = \"{n}\"")));
        let report = world.deploy(&format!("d-{n}"), "v2").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        notes.extend(report.notes);
    };
    let has = |name: &str| world.engine.images().iter().any(|image| image.contains(name));
    load(&world, "v2", Behaviour::Healthy);
    for n in 2..=5 {
        deploy(n).await;
    }
    // r2 to r5 are of one image, which has its own name.
    assert!(
        !has("status-page:r2") && has("status-page:r3") && has("built/app:dev"),
        "{:?}",
        world.engine.images()
    );
    load(&world, "v3", Behaviour::Healthy);
    for n in 6..=8 {
        deploy(n).await;
    }
    // The name means something else by now: the last name of r5's image is ours.
    assert!(has("status-page:r5") && !has("status-page:r4"), "{:?}", world.engine.images());
    let told = notes.iter().filter(|note| note.contains("docker image rm handover/status-page:r5")).count();
    assert_eq!(told, 1, "{notes:?}");
}
