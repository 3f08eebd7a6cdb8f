//! An app of two processes: one release, switched one after the other, with one commit.

use fake_docker::{Behaviour, ContainerView};
use handover::model::Phase;

use crate::kills::{Then, killed_then};
use crate::origin::Origin;
use crate::world::{Site, World};

const WORKER: &str = "[process.worker]\nstop-timeout = \"1s\"\n[process.worker.health]\ninterval = \"1ms\"\nmin-healthy = \"0s\"\n[process.web]";

async fn world() -> World {
    let world = World::new().await;
    world.edit("[process.web]", WORKER);
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    world.engine.forget_calls();
    world
}

fn container(world: &World, name: &str) -> ContainerView {
    world.engine.container(name).unwrap_or_else(|| panic!("no {name}: {:?}", world.engine.containers()))
}

/// Both processes are of this release, run, come back at a boot, and nothing else does.
fn assert_settled(world: &World, tag: &str) {
    let live = ["status-page-web", "status-page-worker"].map(|name| container(world, name));
    for one in &live {
        assert!(one.running && one.image.contains(&fake_docker::Image::digest_of(tag)), "{tag}: {one:?}");
        assert_eq!(one.restart_policy, "unless-stopped");
    }
    assert_eq!(live[0].labels["handover.release"], live[1].labels["handover.release"]);
    for parked in world.engine.containers().iter().filter(|c| live.iter().all(|live| live.id != c.id)) {
        assert!(!parked.running && parked.restart_policy == "no", "{parked:?}");
    }
    world.engine.assert_no_complaints();
}

#[tokio::test(flavor = "current_thread")]
async fn both_are_handed_over_and_both_are_put_back() {
    let world = world().await;
    assert_settled(&world, "v1");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.exit().code(), report.serving.len()), (0, 2), "{report:?}");
    assert_settled(&world, "v2");
    // One of them is bad: both are what they were.
    let before: Vec<String> =
        ["status-page-web", "status-page-worker"].map(|n| container(&world, n).id).into();
    let report = world.deploy("d-3", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert_settled(&world, "v2");
    let after: Vec<String> =
        ["status-page-web", "status-page-worker"].map(|n| container(&world, n).id).into();
    assert_eq!(before, after);
    assert!(world.recover().await.unwrap().is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_turns_out_bad_after_the_commit_hands_both_back() {
    let world = world().await;
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert_settled(&world, "v1");
}

/// Each way of going on by every third site: the steps are those of the matrix.
async fn killed_everywhere(tag: &str, then: Then) {
    let whole = world().await;
    whole.deploy("d-2", tag).await.unwrap();
    let (calls, entries) = (whole.engine.calls(), whole.entries());
    assert!(calls.len() > 50 && entries > 30, "{} calls, {entries} entries", calls.len());
    let mut origin = Origin::of(world().await);
    for site in Site::all(&calls, entries).skip(then as usize).step_by(3) {
        let world = origin.world();
        killed_then(world, site, "d-2", tag, then, |world| {
            // Of each process something comes back by itself.
            for process in ["web", "worker"] {
                let mut all = world.engine.containers().into_iter();
                assert!(all.any(|c| c.running && c.labels["handover.process"] == process), "{process}");
            }
        })
        .await;
        let release = if world.serving().as_deref() == Some("v1") { "v1" } else { "v2" };
        assert_settled(world, release);
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
async fn refused_and_killed_then_boot() {
    killed_everywhere("crash", Then::Boot).await;
}
