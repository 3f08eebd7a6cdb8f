//! An Engine that does not answer says nothing about a release: only a gate gives a verdict.

use fake_docker::Fate;
use handover::model::Phase;

use crate::world::World;

/// Refuses the nth call of what follows, whatever it is.
fn refuse_call(world: &World, n: usize) {
    world.engine.forget_calls();
    let start = world.engine.calls_made();
    world.engine.on_call(Box::new(move |call| {
        if call.n == start + n {
            Fate::Refuse(500, "the Engine has a bad moment".to_owned())
        } else {
            Fate::Proceed
        }
    }));
}

#[tokio::test(flavor = "current_thread")]
async fn after_the_commit_a_release_is_not_given_up_for_a_call_that_failed() {
    for n in 0.. {
        let world = World::with_v1().await;
        assert_eq!(world.hook("d-2", "v2", Phase::Settle).await.unwrap().exit().code(), 0);
        refuse_call(&world, n);
        let result = world.hook("d-2", "v2", Phase::Finish).await;
        let reached = world.engine.calls_made() > n;
        world.engine.let_all_proceed();
        eprintln!(
            "call {n} of the last hook refused: {:?}",
            result.as_ref().map(|report| report.outcome.word())
        );
        if let Ok(report) = result {
            assert_ne!(report.outcome.word(), "reverted", "{report:?}");
        }
        let again = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
        assert_eq!(again.exit().code(), 0, "{again:?}");
        world.assert_settled("v2");
        if !reached {
            assert!(n > 5, "only {n} calls were made");
            return;
        }
    }
}

/// What is put back and cannot be looked at is not called dead: the next process looks again.
#[tokio::test(flavor = "current_thread")]
async fn a_release_that_was_put_back_is_looked_at_until_it_answers() {
    for n in 0.. {
        let world = World::with_v1().await;
        refuse_call(&world, n);
        let result = world.deploy("d-2", "crash").await;
        let reached = world.engine.calls_made() > n;
        world.engine.let_all_proceed();
        if let Ok(report) = &result {
            let dead = report.outcome.word() == "reverted" && report.exit().code() == 3;
            assert!(!dead, "call {n} refused: {report:?}");
        }
        world.recover().await.unwrap();
        world.assert_settled("v1");
        if !reached {
            assert!(n > 30, "only {n} calls were made");
            return;
        }
    }
}
