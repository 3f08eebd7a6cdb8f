//! Two workers whose stops may take minutes: neither waits for the other.

use std::time::Duration;

use fake_docker::{Fate, Image};

use crate::kills::{Then, killed_then, tell_only_other_panics};
use crate::origin::Origin;
use crate::world::{Site, World};

const PROCESSES: [&str; 3] = ["high", "low", "web"];

async fn world() -> World {
    let world = World::new().await;
    let worker = |name: &str| {
        format!(
            "[process.{name}]\nstop-timeout = \"2m\"\n[process.{name}.health]\ninterval = \"1ms\"\nmin-healthy = \"0s\"\n"
        )
    };
    world.edit("[process.web]", &format!("{}{}[process.web]", worker("high"), worker("low")));
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    world.engine.forget_calls();
    world
}

/// All processes are of this release, run, come back at a boot, and nothing else does.
fn assert_settled(world: &World, tag: &str) {
    for one in world.engine.containers() {
        let is_live = PROCESSES.iter().any(|process| one.name == format!("status-page-{process}"));
        assert_eq!(one.running, is_live, "{one:?}");
        assert_eq!(one.restart_policy, if is_live { "unless-stopped" } else { "no" }, "{one:?}");
        assert!(!is_live || one.image.contains(&Image::digest_of(tag)), "{tag}: {one:?}");
    }
    world.engine.assert_no_complaints();
}

#[tokio::test(flavor = "current_thread")]
async fn a_worker_that_finishes_its_job_holds_up_nobody() {
    let world = world().await;
    let busy = world.engine.container("status-page-high").unwrap().id;
    world.engine.on_call(Box::new(move |call| {
        let is_its_stop = call.path.contains(&busy) && call.path.ends_with("/stop");
        if is_its_stop { Fate::Hang } else { Fate::Proceed }
    }));
    let idle_is_swapped = async {
        while !world.engine.container("status-page-low.r2").is_some_and(|new| new.running) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        report = world.deploy("d-2", "v2") => panic!("it cannot end: {report:?}"),
        swapped = tokio::time::timeout(Duration::from_mins(1), idle_is_swapped) => swapped.unwrap(),
    }
    assert!(world.engine.container("status-page-high").unwrap().running);
    world.engine.let_all_proceed();
    world.recover().await.unwrap();
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_bad_puts_all_back() {
    let world = world().await;
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, "v2");
    let report = world.deploy("d-3", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert_settled(&world, "v2");
}

async fn killed_everywhere(tag: &str, then: Then) {
    tell_only_other_panics();
    let whole = world().await;
    whole.deploy("d-2", tag).await.unwrap();
    let (calls, entries) = (whole.engine.calls(), whole.entries());
    let mut origin = Origin::of(world().await);
    for site in Site::all(&calls, entries).skip(then as usize).step_by(4) {
        let world = origin.world();
        killed_then(world, site, "d-2", tag, then, |_| {}).await;
        let release = if world.serving().as_deref() == Some("v1") { "v1" } else { tag };
        assert_settled(world, release);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_same_id() {
    killed_everywhere("v2", Then::SameId).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_boot() {
    killed_everywhere("v2", Then::Boot).await;
}
