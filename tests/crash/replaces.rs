//! Moving over from a container that a team's own script made: it is handed over from like live, and kept.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use fake_docker::{Image, Race};
use handover::host::docker::RegistryLogin;
use handover::model::ImageRef;
use handover::report::tail;

use crate::kills::{Then, killed_then};
use crate::world::{REPOSITORY, Site, World};

/// `old-web` runs `v1`, without a label of ours.
async fn with_old_web(policy: RestartPolicyNameEnum, retries: Option<i64>) -> World {
    let world = World::new().await;
    world.edit("order = \"stop-first\"", "order = \"stop-first\"\nreplaces = \"old-web\"");
    let digest = Image::digest_of("v1").parse().unwrap();
    let image = ImageRef { repository: REPOSITORY.to_owned(), digest };
    let login = RegistryLogin {
        user: "AWS".to_owned(),
        password: "canary-token".into(),
        host: REPOSITORY.split('/').next().unwrap().to_owned(),
    };
    world.host().docker.pull(&image, Some(&login), |_| {}).await.unwrap();
    let port = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(world.port.to_string()) };
    let body = ContainerCreateBody {
        image: Some(image.to_string()),
        exposed_ports: Some(vec!["8000/tcp".to_owned()]),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([("8000/tcp".to_owned(), Some(vec![port]))])),
            restart_policy: Some(RestartPolicy { name: Some(policy), maximum_retry_count: retries }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let socket = world.engine.socket().to_str().unwrap();
    let client = bollard::Docker::connect_with_unix(socket, 10, bollard::API_DEFAULT_VERSION).unwrap();
    let named = CreateContainerOptionsBuilder::new().name("old-web").build();
    client.create_container(Some(named), body).await.unwrap();
    client.start_container("old-web", None).await.unwrap();
    assert_eq!(world.serving().as_deref(), Some("v1"));
    world.engine.forget_calls();
    world
}

async fn with_old_web_always() -> World {
    with_old_web(RestartPolicyNameEnum::ALWAYS, None).await
}

/// `old-web` serves as it did before, and nothing else is there.
fn assert_as_before(world: &World) {
    let containers = world.engine.containers();
    assert_eq!(containers.len(), 1, "{containers:?}");
    assert_eq!((containers[0].name.as_str(), containers[0].running), ("old-web", true));
    assert_eq!(containers[0].restart_policy, "always");
    assert_eq!(world.serving().as_deref(), Some("v1"));
    world.engine.assert_no_complaints();
}

/// `v2` is plain Docker, and `old-web` is parked under its own name.
fn assert_moved_over(world: &World) {
    assert_eq!(world.serving().as_deref(), Some("v2"));
    let live = world.engine.container("status-page-web").expect("something is live");
    assert_eq!(live.restart_policy, "unless-stopped");
    let old = world.engine.container("old-web").expect("it is kept");
    assert_eq!((old.running, old.restart_policy.as_str()), (false, "no"));
    assert_eq!(world.engine.containers().len(), 2);
    world.engine.assert_no_complaints();
}

#[tokio::test]
async fn it_is_handed_over_from_and_kept_parked() {
    let world = with_old_web_always().await;
    let report = world.deploy("d-1", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(report.unhealthy_ms.is_some(), "its gap is measured like live's: {report:?}");
    assert_moved_over(&world);
    world.engine.power_cut();
    world.engine.boot(&Race::OldestFirst).unwrap();
    assert_moved_over(&world);

    // From now on the key has no effect, and pruning does not touch what handover did not make.
    for (id, tag) in [("d-2", "v3"), ("d-3", "v4"), ("d-4", "v1"), ("d-5", "v2")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    let old = world.engine.container("old-web").expect("it is kept");
    assert_eq!((old.running, old.restart_policy.as_str()), (false, "no"));
}

#[tokio::test]
async fn a_refused_release_leaves_it_serving_with_its_own_policy() {
    let world = with_old_web(RestartPolicyNameEnum::ON_FAILURE, Some(5)).await;
    let report = world.deploy("d-1", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let lines = tail::of(&report).join("\n");
    assert!(lines.contains("now:   old-web is running"), "{lines}");
    let inspect = world.host().docker.inspect("old-web").await.unwrap().expect("it is there");
    assert!(inspect.running);
    assert_eq!(inspect.restart_policy.to_string(), "on-failure:5");
    assert_eq!(world.engine.containers().len(), 1);
}

#[tokio::test]
async fn without_the_key_it_is_left_alone() {
    let world = with_old_web_always().await;
    world.edits.lock().unwrap().clear();
    let before = world.engine.inspect_hash("old-web");
    let report = world.deploy("d-1", "v2").await.unwrap();
    // Nothing that handover knows of serves.
    assert_eq!(report.exit().code(), 3, "{report:?}");
    assert_eq!(world.engine.inspect_hash("old-web"), before);
    assert_as_before(&world);
}

async fn sites(tag: &str) -> Vec<Site> {
    let world = with_old_web_always().await;
    world.deploy("d-1", tag).await.unwrap();
    let (calls, entries) = (world.engine.calls(), world.entries());
    assert!(calls.len() > 30 && entries > 20, "{} calls, {entries} entries", calls.len());
    Site::all(&calls, entries).collect()
}

/// Each way of going on by every third site: the steps are those of the matrix.
async fn killed_everywhere(tag: &str, then: Then) {
    for site in sites(tag).await.into_iter().skip(then as usize).step_by(3) {
        let world = with_old_web_always().await;
        killed_then(&world, site, "d-1", tag, then, |world| {
            assert!(world.serving().is_some(), "something comes back");
        })
        .await;
        if world.serving().as_deref() == Some("v1") {
            assert_as_before(&world);
        } else {
            assert_moved_over(&world);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_same_id() {
    killed_everywhere("v2", Then::SameId).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_recover() {
    killed_everywhere("v2", Then::Recover).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_boot() {
    killed_everywhere("v2", Then::Boot).await;
}

#[tokio::test(flavor = "current_thread")]
async fn refused_and_killed_then_recover() {
    killed_everywhere("crash", Then::Recover).await;
}

#[tokio::test(flavor = "current_thread")]
async fn refused_and_killed_then_boot() {
    killed_everywhere("crash", Then::Boot).await;
}
