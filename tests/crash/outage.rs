//! How long the app did not serve: measured where it ends, also by whoever takes an interrupted run up.

use fake_docker::{Behaviour, Image};

use crate::world::{REPOSITORY, World};

#[tokio::test(flavor = "current_thread")]
async fn it_is_measured_of_good_and_of_refused_releases_and_not_of_what_changes_nothing() {
    for (tag, measured) in [("v2", true), ("crash", true), ("nope", false), ("v1", false)] {
        let world = World::with_v1().await;
        let report = world.deploy("d-2", tag).await.unwrap();
        assert_eq!(report.unhealthy_ms.is_some(), measured, "{tag}: {report:?}");
        assert!(report.silent_ms <= report.unhealthy_ms, "{tag}: {report:?}");
    }
}

/// It answers 500 for as long as it is on trial: nothing healthy answers, but something does.
#[tokio::test(flavor = "current_thread")]
async fn what_answers_sick_is_told_apart_from_what_does_not_answer() {
    let world = World::with_v1().await;
    world.edit("deadline = \"30s\"", "deadline = \"1500ms\"");
    let report = world.deploy("d-2", "error").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let (unhealthy, silent) = (report.unhealthy_ms.unwrap(), report.silent_ms.unwrap());
    assert!(unhealthy > silent, "{unhealthy} ms and {silent} ms");
    let lines = handover::report::tail::of(&report).join("\n");
    assert!(lines.contains("gap:   nothing healthy answered for"), "{lines}");
}

/// Live finishes what it took: as long as it does, something answers.
#[tokio::test(flavor = "current_thread")]
async fn the_time_that_live_takes_to_stop_is_not_silence() {
    let world = World::new().await;
    let image = Image::new(REPOSITORY, "slow", &Image::digest_of("slow"));
    world.engine.add_image(image.behaving(Behaviour::IgnoresTerm).guarded("AWS", "canary-token"));
    assert_eq!(world.deploy("d-1", "slow").await.unwrap().exit().code(), 0);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let (unhealthy, silent) = (report.unhealthy_ms.unwrap(), report.silent_ms.unwrap());
    // It takes its whole second to stop.
    assert!(unhealthy >= silent + 900, "{unhealthy} ms and {silent} ms");
}

/// A process that undoes an interrupted run knows from the journal when live was stopped.
#[tokio::test(flavor = "current_thread")]
async fn whoever_ends_an_interrupted_run_reports_its_outage() {
    for by in ["recover", "the next deployment", "the same deployment"] {
        let world = World::with_v1().await;
        world.killed_after("\"done\",\"step\":\"stop-live web\"", "v2").await;
        let report = match by {
            "recover" => world.recover().await.unwrap().unwrap(),
            "the next deployment" => world.deploy("d-3", "v1").await.unwrap(),
            _ => world.deploy("d-2", "v2").await.unwrap(),
        };
        assert!(report.unhealthy_ms.is_some(), "{by}: {report:?}");
    }
    // One that had not stopped anything has none.
    let world = World::with_v1().await;
    world.killed_after("\"done\",\"step\":\"create web\"", "v2").await;
    assert_eq!(world.recover().await.unwrap().unwrap().unhealthy_ms, None);
}
