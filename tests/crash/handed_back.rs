//! A release that turns out bad after the commit is handed back to the parked one: also when that is cut off or refused
//! anywhere.

use std::sync::atomic::Ordering;

use fake_docker::{Behaviour, Race};
use handover::model::Phase;

use crate::world::{Run, Site, World};

/// `v2` is committed, and crashes for good before the hook that looks at it once more.
async fn committed_and_bad() -> World {
    let world = World::with_v1().await;
    assert_eq!(world.hook("d-2", "v2", Phase::Settle).await.unwrap().exit().code(), 0);
    world.engine.behave("status-page-web", Behaviour::ExitsAtOnce(1));
    world.engine.dies("status-page-web", 1);
    world.engine.forget_calls();
    world
}

async fn finish(world: &World) {
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    world.assert_settled("v1");
}

async fn sites() -> Vec<Site> {
    let world = committed_and_bad().await;
    let before = world.entries();
    finish(&world).await;
    let (calls, entries) = (world.engine.calls(), world.entries() - before);
    assert!(calls.len() > 15 && entries > 10, "{} calls, {entries} entries", calls.len());
    Site::all(&calls, entries).collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    SameId,
    OtherId,
    Recover,
    BootAndRecover,
}

async fn killed_everywhere(then: Then) {
    // Each by every other site: together, and with the matrix, they leave little out.
    for site in sites().await.into_iter().skip(then as usize % 2).step_by(2) {
        let world = committed_and_bad().await;
        let run = world.killed(site, world.hook("d-2", "v2", Phase::Finish)).await;
        eprintln!("{site:?} {run:?} {then:?}");
        if then == Then::BootAndRecover {
            world.engine.power_cut();
            world.engine.boot(&Race::OldestFirst).unwrap();
        }
        match then {
            Then::SameId => finish(&world).await,
            Then::OtherId => {
                assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
                world.assert_settled("v3");
            }
            Then::Recover | Then::BootAndRecover => {
                // Before it was taken up, the run waits for its hook.
                if world.recover().await.unwrap().is_none() && matches!(run, Run::Killed) {
                    finish(&world).await;
                }
                world.assert_settled("v1");
            }
        }
    }
}

async fn refused_everywhere(again: bool) {
    for n in 0.. {
        let world = committed_and_bad().await;
        let refused = world.refuse(n, again);
        let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
        if !refused.load(Ordering::Relaxed) {
            assert!(n > 5, "only {n} calls change anything");
            return;
        }
        world.engine.let_all_proceed();
        assert!(matches!(report.outcome.word(), "reverted" | "unfinished"), "{report:?}");
        // Only where nothing had been said against the release yet, another process has to go on.
        assert!(again || report.outcome.word() == "reverted" || n < 2, "{report:?}");
        world.recover().await.unwrap();
        world.assert_settled("v1");
    }
}

macro_rules! handed_back {
    ($($name:ident: $sweep:expr;)*) => {$(
        #[tokio::test(flavor = "current_thread")]
        async fn $name() {
            $sweep.await;
        }
    )*};
}

handed_back! {
    killed_then_same_id: killed_everywhere(Then::SameId);
    killed_then_other_id: killed_everywhere(Then::OtherId);
    killed_then_recover: killed_everywhere(Then::Recover);
    killed_then_boot: killed_everywhere(Then::BootAndRecover);
    refused_once: refused_everywhere(false);
    refused_for_good: refused_everywhere(true);
}
