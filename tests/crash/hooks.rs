//! The hooks of one deployment, each a process of its own, with everything that may happen in between.

use handover::deploy::DeployError;
use handover::model::Phase;
use handover::report::Outcome;

use crate::world::{Run, Site, World};

const HOOKS: [Phase; 4] = [Phase::Prepare, Phase::Tasks, Phase::Settle, Phase::Finish];

/// What serves when a hook has come to its end.
fn serves_after(hook: Phase) -> &'static str {
    if hook >= Phase::Settle { "v2" } else { "v1" }
}

async fn run_hook(world: &World, hook: Phase) {
    let report = world.hook("d-2", "v2", hook).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{hook:?}: {report:?}");
    assert_eq!(report.outcome == Outcome::Waiting, hook != Phase::Finish, "{hook:?}: {report:?}");
    assert_eq!(world.serving().as_deref(), Some(serves_after(hook)));
}

#[tokio::test(flavor = "current_thread")]
async fn four_hooks_are_one_deployment_and_recover_leaves_a_waiting_one_alone() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    for hook in HOOKS {
        run_hook(&world, hook).await;
        let calls = world.engine.calls_made();
        assert!(world.recover().await.unwrap().is_none(), "{hook:?}");
        assert_eq!(world.engine.calls_made(), calls, "recover does not even ask");
        if hook < Phase::Settle {
            assert_eq!(world.live_hash(), before, "{hook:?}");
        }
    }
    world.assert_settled("v2");
    // The last hook again says the same again.
    assert_eq!(world.hook("d-2", "v2", Phase::Finish).await.unwrap().outcome.word(), "deployed");
}

#[tokio::test(flavor = "current_thread")]
async fn each_hook_is_killed_and_run_again() {
    for killed in HOOKS {
        for site in [0, 2, 5, 9].into_iter().flat_map(|n| {
            [Site::BeforeCall(n), Site::AfterCall(n), Site::BeforeEntry(n), Site::AfterEntry(n)]
        }) {
            let world = World::with_v1().await;
            for hook in HOOKS {
                if hook == killed {
                    world.killed(site, world.hook("d-2", "v2", hook)).await;
                }
                run_hook(&world, hook).await;
            }
            world.assert_settled("v2");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn each_hook_is_killed_and_another_deployment_comes() {
    for (at, killed) in HOOKS.into_iter().enumerate() {
        for site in [0, 3, 6, 12].into_iter().flat_map(|n| [Site::AfterCall(n), Site::BeforeEntry(n)]) {
            let world = World::with_v1().await;
            for hook in &HOOKS[..at] {
                run_hook(&world, *hook).await;
            }
            let run = world.killed(site, world.hook("d-2", "v2", killed)).await;
            let report = world.deploy("d-3", "v3").await.unwrap();
            assert_eq!(report.exit().code(), 0, "{killed:?} {site:?}: {report:?}");
            world.assert_settled("v3");
            if matches!(run, Run::Killed) && at > 0 {
                assert_is_retired(&world, "d-2").await;
            }
        }
    }
}

async fn assert_is_retired(world: &World, id: &str) {
    let before = world.live_hash();
    for hook in HOOKS {
        let error = world.hook(id, "v2", hook).await.unwrap_err();
        assert!(matches!(error, DeployError::Retired { .. }), "{error}");
    }
    assert_eq!(world.live_hash(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn a_waiting_deployment_is_retired_by_the_next_one_and_its_late_hooks_do_nothing() {
    for (at, _) in HOOKS.iter().enumerate().skip(1) {
        let world = World::with_v1().await;
        for hook in &HOOKS[..at] {
            run_hook(&world, *hook).await;
        }
        // CodeDeploy rolls back by deploying the former revision under another id.
        let report = world.deploy("d-3", "v1").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        assert_eq!(world.serving().as_deref(), Some("v1"));
        world.assert_settled("v1");
        assert_is_retired(&world, "d-2").await;
        world.assert_settled("v1");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_boot_between_two_hooks_changes_nothing() {
    for at in 1..HOOKS.len() {
        let world = World::with_v1().await;
        for hook in &HOOKS[..at] {
            run_hook(&world, *hook).await;
        }
        world.engine.power_cut();
        world.engine.boot(&fake_docker::Race::NewestFirst).unwrap();
        assert!(world.recover().await.unwrap().is_none());
        for hook in &HOOKS[at..] {
            run_hook(&world, *hook).await;
        }
        world.assert_settled("v2");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_failed_in_an_early_hook_stays_failed_in_the_later_ones() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    for hook in HOOKS {
        let report = world.hook("d-2", "nope", hook).await.unwrap();
        assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{hook:?}: {report:?}");
    }
    assert_eq!(world.live_hash(), before);
}
