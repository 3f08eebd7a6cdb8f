//! Start-first: whatever happens to handover, new connections find somebody who answers.

use std::sync::atomic::Ordering;

use fake_docker::{Behaviour, Fate};
use handover::model::Phase;

use crate::kills::{Then, killed_under_clients};
use crate::world::{Site, World, cause};

async fn world() -> World {
    let world = World::new().await;
    world.edit("order = \"stop-first\"", "order = \"start-first\"\ndrain = \"0s\"");
    world.edit("[secret.database]", "[bake]\nduration = \"0s\"\n[secret.database]");
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    assert_settled(&world, "v1");
    world.engine.forget_calls();
    world
}

/// Plain Docker, and nothing of what was needed on the way.
fn assert_settled(world: &World, tag: &str) {
    world.assert_settled(tag);
    assert!(world.tables.are_clean(), "{:?}", world.tables);
    let containers = world.engine.containers();
    assert!(containers.iter().all(|one| !one.name.ends_with(".bridge")), "{containers:?}");
    assert_eq!(world.traffic().as_deref(), Some(tag));
}

#[tokio::test(flavor = "current_thread")]
async fn the_candidate_serves_while_the_port_changes_hands() {
    let world = world().await;
    // A first deployment has nobody to move over.
    assert!(!world.steps().contains(&"redirect".to_owned()));
    let lost = world.connections_at_every_call();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert!(!lost.load(Ordering::Relaxed));
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_eq!(report.unhealthy_ms, None, "there is no gap");
    assert_settled(&world, "v2");
    let steps = world.steps();
    let from = steps.iter().position(|step| step == "recheck").unwrap();
    assert_eq!(
        steps[from..],
        [
            "recheck",
            "start-candidate web",
            "gate-candidate web",
            "redirect",
            "bake",
            "keep-redirect",
            "protect-live web",
            "drain-live web",
            "start-new web",
            "gate web",
            "commit",
            "end-redirect",
            "retire-candidate web",
            "clear-redirect",
            "keep-new web",
            "release-old web",
            "park-old web",
            "promote web",
            "verify web",
            "record"
        ]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_bad_at_its_gate_never_has_traffic_and_live_is_not_touched() {
    let world = world().await;
    let before = world.live_hash();
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    for tag in ["crash", "error"] {
        let report = world.deploy(&format!("d-{tag}"), tag).await.unwrap();
        assert_eq!(report.exit().code(), 1, "{report:?}");
        assert!(!world.steps().contains(&"redirect".to_owned()));
        assert_settled(&world, "v1");
        assert_eq!(world.live_hash(), before);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_bad_in_bake_gives_the_traffic_back_and_live_is_not_touched() {
    let world = world().await;
    world.edit("duration = \"0s\"", "duration = \"30s\"");
    let before = world.live_hash();
    // It ends after the fourth probe: two are the gate's.
    let report = world.deploy("d-2", "late").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(cause(&report).contains("it exited with code 1"), "{}", cause(&report));
    assert!(!world.steps().contains(&"drain-live web".to_owned()));
    assert_settled(&world, "v1");
    assert_eq!(world.live_hash(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_is_killed_in_bake_leaves_traffic_that_goes_back_by_itself() {
    let whole = world().await;
    whole.deploy("d-2", "v2").await.unwrap();
    let journal = std::fs::read_to_string(whole.journal()).unwrap();
    let began = journal.lines().position(|line| line.contains("\"began\",\"step\":\"bake\"")).unwrap();
    let world = world().await;
    world.deploy_killed(Site::AfterEntry(began), "d-2", "v2").await;
    assert_eq!((world.traffic().as_deref(), world.traffic_later().as_deref()), (Some("v2"), Some("v1")));
}

#[tokio::test(flavor = "current_thread")]
async fn a_new_container_that_fails_in_settle_leaves_the_traffic_with_the_candidate_until_the_old_one_is_back()
 {
    let world = world().await;
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    let engine = std::sync::Arc::downgrade(&world.engine);
    world.engine.on_call(Box::new(move |call| {
        let of_new = engine
            .upgrade()
            .and_then(|engine| engine.container("status-page-web.r2"))
            .is_some_and(|new| call.path.contains(&new.id));
        if of_new && call.path.ends_with("/start") {
            return Fate::Refuse(500, "driver failed programming external connectivity".to_owned());
        }
        Fate::Proceed
    }));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(world.steps().contains(&"drain-live web".to_owned()));
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn where_the_old_one_does_not_come_back_the_candidate_serves_on() {
    let world = world().await;
    let engine = std::sync::Arc::downgrade(&world.engine);
    world.engine.on_call(Box::new(move |call| {
        let of_live_or_new = |engine: std::sync::Arc<fake_docker::FakeDocker>| {
            let named = ["status-page-web", "status-page-web.r2"].map(|name| engine.container(name));
            named.into_iter().flatten().any(|one| call.path.contains(&one.id))
        };
        if call.path.ends_with("/start") && engine.upgrade().is_some_and(of_live_or_new) {
            return Fate::Refuse(500, "no space left on device".to_owned());
        }
        Fate::Proceed
    }));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("unfinished", 3), "{report:?}");
    assert_eq!(world.traffic().as_deref(), Some("v2"), "{:?}", world.engine.containers());
    world.engine.let_all_proceed();
    let lost = world.connections_at_every_call();
    world.recover().await.unwrap();
    assert!(!lost.load(Ordering::Relaxed));
    world.engine.let_all_proceed();
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_turns_out_bad_after_the_commit_is_handed_back() {
    let world = world().await;
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    assert!(world.tables.are_clean(), "no hook ends with rules in place");
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert!(
        report.unhealthy_ms.is_some(),
        "the candidate is gone by then, and nobody serves meanwhile: {report:?}"
    );
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn where_connections_cannot_be_redirected_it_is_said_before_anything_is_touched() {
    let world = world().await;
    world.tables.deny();
    let before = world.live_hash();
    let report = world.deploy("d-2", "v2").await.unwrap();
    let why = cause(&report);
    assert!(why.contains("start-first is not possible here") && why.contains("must be root"), "{why}");
    assert!(why.contains("order = \"stop-first\""), "{why}");
    assert_eq!(world.live_hash(), before);
    assert!(world.steps().iter().all(|step| step == "preflight"), "{:?}", world.steps());
}

#[tokio::test(flavor = "current_thread")]
async fn where_nobody_sends_requests_there_is_no_candidate() {
    let world = world().await;
    world.edit("drain = \"0s\"", "drain = \"0s\"\ntraffic = \"drained\"");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(!world.steps().contains(&"redirect".to_owned()));
    assert_settled(&world, "v2");
}

/// At every site: whoever connects at that moment is answered, and so is whoever connects while it is mended.
async fn killed_everywhere(tag: &str, then: Then) {
    // While live is warm, traffic falls back to it by itself, and later it stays with the candidate.
    let at_the_kill = |world: &World| {
        let journal = std::fs::read_to_string(world.journal()).unwrap();
        let is_warm = !journal.contains("began\",\"step\":\"keep-redirect");
        let later = world.traffic_later();
        assert!(if is_warm { later.as_deref() == Some("v1") } else { later.is_some() }, "{later:?}");
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
