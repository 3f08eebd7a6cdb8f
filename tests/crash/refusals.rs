//! One Docker call refused, at every place where one is made.

use std::sync::atomic::{AtomicUsize, Ordering};

use fake_docker::{Fate, Race};
use handover::deploy::DeployError;
use handover::report::Outcome;
use handover::report::Report;

use crate::world::{Run, World};

/// What is deployed over `v1`, and what may serve in the end.
#[derive(Debug, Clone, Copy)]
struct Update {
    tag: &'static str,
    may_end_with: &'static [&'static str],
}

const GOOD: Update = Update { tag: "v2", may_end_with: &["v1", "v2"] };
const REFUSED: Update = Update { tag: "crash", may_end_with: &["v1"] };

/// Whatever happened, the run says what became of it, and says the truth.
fn assert_named_end(world: &World, update: Update, result: &Result<Report, DeployError>) {
    let report = result.as_ref().unwrap();
    match &report.outcome {
        Outcome::Deployed => {
            assert_eq!(
                (world.serving().as_deref(), report.exit().code()),
                (Some(update.tag), 0),
                "{report:?}"
            );
        }
        Outcome::Reverted { serving: true } => {
            assert_eq!((world.serving().as_deref(), report.exit().code()), (Some("v1"), 1), "{report:?}");
            world.assert_settled("v1");
        }
        Outcome::Unfinished => {
            assert_eq!(report.exit().code(), 3);
            assert!(report.failure.is_some(), "{report:?}");
        }
        other => panic!("{other:?} is no end for this"),
    }
}

async fn assert_recovers(world: &World, update: Update) {
    world.recover().await.unwrap();
    let serving = world.serving().expect("something serves");
    assert!(update.may_end_with.contains(&serving.as_str()), "{serving} serves");
    world.assert_settled(&serving);
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Recover,
    /// The power fails before anybody looks: something has to come back by itself.
    Boot,
}

async fn every_call_refused(update: Update, again: bool, then: Then) {
    for n in 0.. {
        let world = World::with_v1().await;
        let refused = world.refuse(n, again);
        let result = world.deploy("d-2", update.tag).await;
        if !refused.load(Ordering::Relaxed) {
            assert!(n > 6, "only {n} calls change anything");
            return;
        }
        eprintln!("{update:?}: call {n} refused, again: {again}, {then:?}");
        world.engine.let_all_proceed();
        assert_named_end(&world, update, &result);
        world.assert_no_secret(&result);
        if matches!(then, Then::Boot) {
            world.engine.power_cut();
            world.engine.boot(&Race::OldestFirst).unwrap();
            let serving = world.serving().expect("something comes back");
            assert!(update.may_end_with.contains(&serving.as_str()), "{serving} serves");
        }
        assert_recovers(&world, update).await;
    }
}

/// A call is refused, and so many calls later the process is killed: while it puts things back, mostly.
async fn every_call_refused_then_killed(update: Update) {
    for n in 0.. {
        let mut reached = false;
        for later in [1, 2, 5, 9, 14] {
            let world = World::with_v1().await;
            let (changing, since) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let run = world
                .killed_by(
                    Box::new(move |call| {
                        if since.load(Ordering::Relaxed) > 0 {
                            let since = since.fetch_add(1, Ordering::Relaxed);
                            let fate = if later % 2 == 0 { Fate::CrashBefore } else { Fate::CrashAfter };
                            return if since == later { fate } else { Fate::Proceed };
                        }
                        if call.mutating && changing.fetch_add(1, Ordering::Relaxed) == n {
                            since.store(1, Ordering::Relaxed);
                            return Fate::Refuse(500, "no space left on device".to_owned());
                        }
                        Fate::Proceed
                    }),
                    world.deploy("d-2", update.tag),
                )
                .await;
            reached |= matches!(run, Run::Killed);
            eprintln!("{update:?}: call {n} refused, killed {later} calls later: {run:?}");
            assert_recovers(&world, update).await;
        }
        if !reached {
            assert!(n > 6, "only {n} calls change anything");
            return;
        }
    }
}

macro_rules! refusals {
    ($($name:ident: $sweep:expr;)*) => {$(
        #[tokio::test(flavor = "current_thread")]
        async fn $name() {
            $sweep.await;
        }
    )*};
}

refusals! {
    update_refused_once: every_call_refused(GOOD, false, Then::Recover);
    update_refused_for_good: every_call_refused(GOOD, true, Then::Recover);
    update_refused_for_good_then_boot: every_call_refused(GOOD, true, Then::Boot);
    update_refused_then_killed: every_call_refused_then_killed(GOOD);
    refused_refused_once: every_call_refused(REFUSED, false, Then::Recover);
    refused_refused_for_good: every_call_refused(REFUSED, true, Then::Recover);
    refused_refused_for_good_then_boot: every_call_refused(REFUSED, true, Then::Boot);
    refused_refused_then_killed: every_call_refused_then_killed(REFUSED);
}
