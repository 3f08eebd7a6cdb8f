//! `stall`: under stop-first, whoever connects finds somebody or waits, whatever happens to handover, and nobody waits for ever.

use std::sync::atomic::Ordering;

use fake_docker::Behaviour;
use handover::model::Phase;

use crate::kills::{Then, killed_under_clients};
use crate::world::{World, cause};

async fn world() -> World {
    let world = World::new().await;
    // As long as it can be: a busy machine takes its time.
    world.edit("order = \"stop-first\"", "order = \"stop-first\"\nstall = \"1m\"\ndrain = \"0s\"");
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    assert_settled(&world, "v1");
    world.engine.forget_calls();
    world
}

fn assert_settled(world: &World, tag: &str) {
    world.assert_settled(tag);
    assert!(world.tables.are_clean(), "{:?}", world.tables);
    assert_eq!(world.traffic().as_deref(), Some(tag));
}

#[tokio::test(flavor = "current_thread")]
async fn clients_wait_from_before_live_is_stopped_until_the_new_one_is_healthy() {
    let world = world().await;
    assert!(!world.steps().contains(&"stall web".to_owned()), "a first deployment has nobody to wait");
    let lost = world.connections_at_every_call();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert!(!lost.load(Ordering::Relaxed));
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(report.unhealthy_ms.is_some(), "nobody served meanwhile: {report:?}");
    assert!(!report.waited.unwrap().ran_out, "{report:?}");
    assert_settled(&world, "v2");
    let steps = world.steps();
    let from = steps.iter().position(|step| step == "recheck").unwrap();
    assert_eq!(
        steps[from..][..8],
        [
            "recheck",
            "protect-live web",
            "stall web",
            "drain-live web",
            "start-new web",
            "gate web",
            "end-stall web",
            "commit"
        ]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn of_one_that_is_refused_they_wait_for_the_old_one_to_be_back() {
    for tag in ["crash", "error"] {
        let world = world().await;
        world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
        let lost = world.connections_at_every_call();
        let report = world.deploy("d-2", tag).await.unwrap();
        assert!(!lost.load(Ordering::Relaxed));
        assert_eq!(report.exit().code(), 1, "{report:?}");
        assert!(report.waited.is_some(), "{report:?}");
        assert_settled(&world, "v1");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn of_one_that_is_handed_back_they_wait_once_more() {
    let world = world().await;
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    assert!(world.tables.are_clean(), "no hook ends with rules in place");
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let lost = world.connections_at_every_call();
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert!(!lost.load(Ordering::Relaxed));
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn where_nobody_sends_requests_nobody_waits() {
    let world = world().await;
    world.edit("stall = \"1m\"", "stall = \"1m\"\ntraffic = \"drained\"");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(!world.steps().iter().any(|step| step.contains("stall")), "{:?}", world.steps());
    assert_settled(&world, "v2");
}

#[tokio::test(flavor = "current_thread")]
async fn where_nobody_can_be_made_to_wait_it_is_said_before_anything_is_touched() {
    let world = world().await;
    world.tables.deny();
    let before = world.live_hash();
    let report = world.deploy("d-2", "v2").await.unwrap();
    let why = cause(&report);
    assert!(why.contains("stall is not possible here") && why.contains("must be root"), "{why}");
    assert!(why.contains("or remove stall"), "{why}");
    assert_eq!(world.live_hash(), before);
    assert!(world.steps().iter().all(|step| step == "preflight"), "{:?}", world.steps());
}

/// At every site: whoever connects at that moment waits or is answered, and nobody would wait for ever; while it is mended,
/// nobody finds nobody.
async fn killed_everywhere(tag: &str, then: Then) {
    let at_the_kill = |world: &World| {
        let (now, later) = world.waits();
        assert!(!later, "whoever waits {now} waits for ever: {:?}", world.tables);
    };
    killed_under_clients(world, tag, then, at_the_kill, assert_settled).await;
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
