//! What somebody has changed by hand on a release that serves: it is named, and the next deployment of the same makes it good.

use handover::host::docker::RestartPolicy;
use handover::status;

use crate::world::World;

async fn drift(world: &World) -> Vec<String> {
    status::of_all(&world.host()).await.unwrap().remove(0).drift
}

/// Each of it is found, and gone after the same was deployed once more.
async fn is_named_and_mended(world: &World, words: &str) {
    let found = drift(world).await;
    assert!(found.iter().any(|what| what.contains(words)), "'{words}' is not in {found:?}");
    let status = status::of_all(&world.host()).await.unwrap();
    assert!(status::text(&status).contains("drift: "), "{}", status::text(&status));
    assert_eq!(status[0].next.as_deref(), Some("handover deploy --app status-page"));
    let report = world.deploy("d-9", "v1").await.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (0, "deployed"), "{words}: {report:?}");
    world.assert_settled("v1");
    assert!(drift(world).await.is_empty(), "{:?}", drift(world).await);
    assert_eq!(world.deploy("d-10", "v1").await.unwrap().outcome.word(), "unchanged");
}

#[tokio::test(flavor = "current_thread")]
async fn what_nobody_has_touched_has_not_drifted() {
    let world = World::new().await;
    world.add_file("PASSWORD = {{ database.password | python }}\n");
    world.deploy("d-1", "v1").await.unwrap();
    assert!(drift(&world).await.is_empty(), "{:?}", drift(&world).await);
    assert_eq!(world.deploy("d-2", "v1").await.unwrap().outcome.word(), "unchanged");
    // While a deployment is not over, what is live is on its way.
    world.host().docker.set_restart_policy("status-page-web", RestartPolicy::Always).await.unwrap();
    world.hook("d-3", "v2", handover::model::Phase::Prepare).await.unwrap();
    assert!(drift(&world).await.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_restart_policy() {
    let world = World::with_v1().await;
    world.host().docker.set_restart_policy("status-page-web", RestartPolicy::No).await.unwrap();
    is_named_and_mended(&world, "status-page-web: at a boot it is 'no', and should be 'unless-stopped'")
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_that_is_mounted() {
    let world = World::new().await;
    world.add_file("PASSWORD = {{ database.password | python }}\n");
    world.deploy("d-1", "v1").await.unwrap();
    std::fs::write(world.file_of(1), "PASSWORD = 'mine'\n").unwrap();
    is_named_and_mended(&world, "configuration.py' is not as r1 was given it").await;
    std::fs::remove_file(world.file_of(2)).unwrap();
    assert!(drift(&world).await[0].contains("is not as r2 was given it"), "{:?}", drift(&world).await);
}

#[tokio::test(flavor = "current_thread")]
async fn the_configuration_that_is_kept() {
    let world = World::with_v1().await;
    let kept = world.state().join("releases/1/handover.toml");
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace("[environment]\n", "[environment]\nMORE = \"1\"\n")).unwrap();
    is_named_and_mended(&world, "the configuration that is kept of r1 was changed").await;
    let kept = world.state().join("releases/2/handover.toml");
    std::fs::write(&kept, "app = 1").unwrap();
    assert!(
        drift(&world).await[0].contains("that is kept of r2 cannot be read"),
        "{:?}",
        drift(&world).await
    );
    std::fs::remove_file(&kept).unwrap();
    assert!(drift(&world).await[0].contains("the configuration of r2 is gone"), "{:?}", drift(&world).await);
}
