//! What the containers of a release share: its network and its volumes. They come with it and go with it.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use handover::model::Phase;

use crate::world::{World, cause};

const TWO: &str = "[process.worker]\nstop-timeout = \"1s\"\nvolumes = [\"@static:/static\"]\n[process.worker.health]\n\
                   interval = \"1ms\"\nmin-healthy = \"0s\"\n[process.web]\nvolumes = [\"@static:/srv:ro\"]";

async fn world() -> World {
    let world = World::new().await;
    world.edit("[process.web]", TWO);
    deploy(&world, "d-1", "v1").await;
    assert_shared(&world, &[1]);
    world
}

async fn deploy(world: &World, id: &str, tag: &str) {
    let report = world.deploy(id, tag).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
}

/// The networks and volumes of these releases are there, and no others.
fn assert_shared(world: &World, releases: &[u32]) {
    let named = |what: &str| releases.iter().map(|n| format!("{what}.r{n}")).collect::<Vec<_>>();
    assert_eq!(world.engine.networks(), named("status-page"));
    assert_eq!(world.engine.volumes(), named("status-page-static"));
    world.engine.assert_no_complaints();
}

#[tokio::test(flavor = "current_thread")]
async fn they_go_with_a_release_that_is_refused_or_old() {
    let world = world().await;
    assert_eq!(world.deploy("d-2", "crash").await.unwrap().exit().code(), 1);
    assert_shared(&world, &[1]);
    for (id, tag) in [("d-3", "v2"), ("d-4", "v3")] {
        deploy(&world, id, tag).await;
    }
    assert_shared(&world, &[1, 3, 4]);
    deploy(&world, "d-5", "v4").await;
    assert_shared(&world, &[3, 4, 5]);
}

#[tokio::test(flavor = "current_thread")]
async fn killed_while_they_are_made_nothing_is_left() {
    for entry in ["create-network", "create-volumes"] {
        for state in ["began", "done"] {
            let world = world().await;
            world.killed_once_written(&format!("\"{state}\",\"step\":\"{entry}\""), "d-2", "v2", 40).await;
            world.recover().await.unwrap();
            assert_shared(&world, &[1]);
            deploy(&world, "d-3", "v2").await;
            assert_shared(&world, &[1, 3]);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_filled_is_not_made_again_empty() {
    let world = world().await;
    world.hook("d-2", "v2", Phase::Tasks).await.unwrap();
    world.engine.lose_volume("status-page-static.r2");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert!(
        cause(&report).contains("volume status-page-static.r2 is gone since it was filled"),
        "{report:?}"
    );
    assert_eq!(world.serving().as_deref(), Some("v1"));
    assert_shared(&world, &[1]);
}

#[tokio::test(flavor = "current_thread")]
async fn somebody_elses_volume_is_not_taken() {
    let world = world().await;
    world.engine.add_volume("status-page-static.r2");
    let report = world.deploy("d-2", "v2").await.unwrap();
    let cause = cause(&report);
    assert!(
        cause.contains("that this deployment did not make") && cause.contains("docker volume rm"),
        "{cause}"
    );
    assert_eq!(world.engine.volumes(), ["status-page-static.r1", "status-page-static.r2"]);
}

/// Somebody looks what is wrong, and stays.
#[tokio::test(flavor = "current_thread")]
async fn a_strangers_container_on_a_network_keeps_it_and_nothing_else() {
    let world = world().await;
    world.hook("d-2", "crash", Phase::Prepare).await.unwrap();
    let image = world.engine.container("status-page-web").unwrap().image;
    let host_config = HostConfig { network_mode: Some("status-page.r2".to_owned()), ..HostConfig::default() };
    let body = ContainerCreateBody {
        image: Some(image),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    };
    let socket = world.engine.socket().to_str().unwrap();
    let client = bollard::Docker::connect_with_unix(socket, 10, bollard::API_DEFAULT_VERSION).unwrap();
    let named = CreateContainerOptionsBuilder::new().name("debug").build();
    client.create_container(Some(named), body).await.unwrap();
    client.start_container("debug", None).await.unwrap();
    let before = world.engine.container("debug");

    let report = world.hook("d-2", "crash", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    let notes = report.notes.join("\n");
    assert!(notes.contains("network status-page.r2 stays") && notes.contains("docker network rm"), "{notes}");
    assert_eq!(world.engine.container("debug"), before);
    assert_eq!(world.engine.networks(), ["status-page.r1", "status-page.r2"]);
    // It is in nobody's way, and goes with what is left of the release.
    deploy(&world, "d-3", "v2").await;
    client.stop_container("debug", None).await.unwrap();
    client.remove_container("debug", None).await.unwrap();
    for (id, tag) in [("d-4", "v3"), ("d-5", "v4")] {
        deploy(&world, id, tag).await;
    }
    assert_shared(&world, &[3, 4, 5]);
}
