//! Time: what a hook's timeout leaves, and clocks that are stepped.

use std::time::{Duration, Instant};

use fake_docker::Behaviour;
use handover::deploy::Request;
use handover::deploy::clock::Clock;
use handover::model::Phase;
use handover::signal::Termination;
use tokio::sync::watch;

use crate::world::{World, cause};

fn with_timeout(world: &World, tag: &str, timeout: Duration) -> Request {
    let clock = Clock::until(Instant::now(), timeout);
    Request { clock, command: "ApplicationStart".to_owned(), ..world.request("d-2", tag) }
}

/// Live is not stopped when there would be no time for the way back.
#[tokio::test(flavor = "current_thread")]
async fn a_hook_without_time_for_the_switch_leaves_live_alone() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    let report = world.run(with_timeout(&world, "v2", Duration::from_secs(20))).await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let why = cause(&report);
    assert!(
        why.contains("ApplicationStart has") && why.contains("raise the timeout of ApplicationStart"),
        "{why}"
    );
    assert_eq!(world.live_hash(), before);
}

/// The gate's deadline is cut so that the way back fits in, and the message says by what.
#[tokio::test(flavor = "current_thread")]
async fn a_deadline_that_was_cut_is_told() {
    let world = World::with_v1().await;
    // The way back is given 31 s of the timeout: the deadline is cut to what is left beside it.
    let needed = world.config("v2").settings.shortest_switch();
    let report = world.run(with_timeout(&world, "error", needed + Duration::from_secs(8))).await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let why = cause(&report);
    assert!(why.contains("instead of 30 s: the timeout of ApplicationStart leaves no more"), "{why}");
    world.assert_settled("v1");
}

/// The verdict is out before anything is cleaned up, and a clean-up that takes too long is left.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_clean_up_does_not_hold_up_the_verdict() {
    let world = World::with_v1().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3")] {
        world.deploy(id, tag).await.unwrap();
    }
    // Nothing is removed, for ever.
    world.engine.on_call(Box::new(|call| {
        if call.method == "DELETE" { fake_docker::Fate::Hang } else { fake_docker::Fate::Proceed }
    }));
    let host = world.host();
    let (ask, asked) = watch::channel(false);
    let request = Request { termination: Termination::when(asked), ..world.request("d-4", "v4") };
    let (report, cleanup) = handover::deploy::run(request, &host, &world.heard).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    // The hook's time is over: its clean-up ends, and the deployment stays good.
    let asker = async { ask.send(true).unwrap() };
    let (notes, ()) = tokio::join!(cleanup.run(), asker);
    assert_eq!(notes, ["asked to stop while cleaning up: handover prune does it"]);
    world.engine.let_all_proceed();
    world.assert_settled("v4");
    assert_eq!(world.deploy("d-4", "v4").await.unwrap().outcome.word(), "deployed");
}

/// Whether a stop is still under way is told from Docker's own words, not from a clock that may have been set back.
#[tokio::test(flavor = "current_thread")]
async fn a_clock_that_was_stepped_does_not_confuse_the_way_back() {
    for step in [-86_400, 86_400] {
        let world = World::with_v1().await;
        let journal = world.state().join("releases/2/journal.jsonl");
        world.killed_after("\"began\",\"step\":\"stop-live web\"", "v2").await;
        let stepped: String = std::fs::read_to_string(&journal)
            .unwrap()
            .lines()
            .map(|line| {
                let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
                let at: jiff::Timestamp = line["at"].as_str().unwrap().parse().unwrap();
                line["at"] = (at + jiff::SignedDuration::from_secs(step)).to_string().into();
                format!("{line}\n")
            })
            .collect();
        std::fs::write(&journal, stepped).unwrap();
        world.engine.forget_calls();
        world.recover().await.unwrap();
        // The stop may have been under way: it is brought to its end, and then live is started.
        let calls: Vec<String> =
            world.engine.calls().into_iter().filter(|c| c.mutating).map(|c| c.path).collect();
        let at = |end: &str| calls.iter().position(|path| path.ends_with(end));
        assert!(at("/stop").is_some() && at("/stop") < at("/start"), "{step}: {calls:?}");
        world.assert_settled("v1");
    }
}

/// What never was healthy has no request to finish: the old release waits for it, and clients for that.
#[tokio::test(flavor = "current_thread")]
async fn a_candidate_that_never_answered_gets_a_second_to_stop_and_one_that_did_gets_its_time() {
    for (behaviour, seconds) in [(Behaviour::Answers(500), "t=1"), (Behaviour::Healthy, "t=10")] {
        let world = World::with_v1().await;
        world.edit("stop-timeout = \"1s\"", "stop-timeout = \"35s\"");
        world.edit("deadline = \"30s\"", "deadline = \"300ms\"");
        world.edit("successes = 2", "successes = 250");
        let image = fake_docker::Image::new(
            crate::world::REPOSITORY,
            "trial",
            &fake_docker::Image::digest_of("trial"),
        );
        world.engine.add_image(image.behaving(behaviour).guarded("AWS", "canary-token"));
        world.engine.forget_calls();
        let report = world.deploy("d-2", "trial").await.unwrap();
        assert_eq!(report.exit().code(), 1, "{report:?}");
        let stops: Vec<String> =
            world.engine.calls().into_iter().filter(|c| c.path.ends_with("/stop")).map(|c| c.query).collect();
        assert!(stops.last().is_some_and(|query| query == seconds), "{seconds}: {stops:?}");
        world.assert_settled("v1");
    }
}

/// Asked to stop after the commit, the run goes on to its end.
#[tokio::test(flavor = "current_thread")]
async fn asked_to_stop_in_the_last_check_it_goes_on() {
    let world = World::with_v1().await;
    world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    let (ask, asked) = watch::channel(false);
    let until = Phase::Finish;
    let request = Request { until, termination: Termination::when(asked), ..world.request("d-2", "v2") };
    let before = world.engine.container("status-page-web").unwrap().probes;
    let asker = async {
        while world.engine.container("status-page-web").is_none_or(|c| c.probes == before) {
            tokio::task::yield_now().await;
        }
        ask.send(true).unwrap();
    };
    let (report, ()) = tokio::join!(world.run(request), asker);
    let report = report.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("deployed", 0), "{report:?}");
    world.assert_settled("v2");
}
