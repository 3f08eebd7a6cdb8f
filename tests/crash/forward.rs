//! After the commit: forward, with patience, and only with what the run was begun with.

use std::sync::atomic::{AtomicBool, Ordering};

use fake_docker::{Behaviour, Race};
use handover::deploy::{DeployError, Recovered};
use handover::model::{Explain as _, Phase};
use handover::report::Outcome;

use crate::world::World;

async fn killed_after_the_commit() -> World {
    let world = World::with_v1().await;
    world.killed_after("\"committed\"", "v2").await;
    world
}

/// The Engine restarts for a moment in the middle of settling: it is waited for, as on the way back.
#[tokio::test(flavor = "current_thread")]
async fn an_engine_that_is_away_for_a_moment_is_waited_for() {
    for (entry, tag, exit) in [
        ("\"entry\":\"began\",\"step\":\"keep-new web\"", "v2", 0),
        ("\"entry\":\"began\",\"step\":\"park-old web\"", "v2", 0),
        ("\"entry\":\"began\",\"step\":\"create web\"", "v2", 0),
        ("\"entry\":\"began\",\"step\":\"stop-live web\"", "v2", 0),
        ("\"entry\":\"undone\",\"step\":\"start-new web\"", "crash", 1),
    ] {
        let world = World::with_v1().await;
        let gone = AtomicBool::new(false);
        let (journal, socket) =
            (world.state().join("releases/2/journal.jsonl"), world.engine.socket().to_owned());
        let aside = socket.with_extension("aside");
        let (from, to) = (socket.clone(), aside.clone());
        // The socket is gone from the moment that the entry is there; another call's answer still comes.
        world.engine.on_call(Box::new(move |_| {
            let reached = std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(entry));
            if reached && !gone.swap(true, Ordering::Relaxed) {
                std::fs::rename(&from, &to).unwrap();
            }
            fake_docker::Fate::Proceed
        }));
        let back = async {
            while !aside.exists() {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            std::fs::rename(&aside, &socket).unwrap();
        };
        let (report, ()) = tokio::join!(world.deploy("d-2", tag), back);
        let report = report.unwrap();
        assert_eq!(report.exit().code(), exit, "{entry}: {report:?}");
        world.assert_settled(if exit == 0 { "v2" } else { "v1" });
    }
}

/// Another release's configuration would gate on the wrong port, and hand a good release back.
#[tokio::test(flavor = "current_thread")]
async fn a_committed_run_is_finished_with_its_own_configuration_only() {
    for lost in [true, false] {
        let world = killed_after_the_commit().await;
        let file = world.state().join("releases/2/handover.toml");
        let whole = std::fs::read_to_string(&file).unwrap();
        if lost {
            std::fs::remove_file(&file).unwrap();
        } else {
            std::fs::write(&file, whole.replace("[process.web]", "[proces.web]")).unwrap();
        }
        for error in [world.recover().await.unwrap_err(), world.deploy("d-3", "v3").await.unwrap_err()] {
            assert!(matches!(error, DeployError::ConfigLost { .. }), "{error}");
            assert!(error.to_string().contains("releases/2"), "{error}");
            assert!(error.fix().unwrap().contains("handover recover --abandon"), "{error}");
        }
        // The new release serves, untouched.
        assert_eq!(world.serving().as_deref(), Some("v2"));
        if lost {
            // An operator may give it up.
            let Recovered::Settled(report) = world.recovered(true).await.unwrap() else {
                panic!("it was settled")
            };
            assert_eq!((report.outcome, report.exit().code()), (Outcome::Reverted { serving: true }, 0));
            world.assert_settled("v1");
        } else {
            // Or put it back.
            std::fs::write(&file, whole).unwrap();
            assert_eq!(world.recover().await.unwrap().unwrap().outcome, Outcome::Deployed);
            world.assert_settled("v2");
        }
    }
}

/// `CodeDeploy` has given up, and no hook comes any more.
#[tokio::test(flavor = "current_thread")]
async fn a_run_that_waits_is_given_up_when_an_operator_says_so() {
    for (until, serves) in [(Phase::Prepare, "v1"), (Phase::Settle, "v2")] {
        let world = World::with_v1().await;
        world.hook("d-2", "v2", until).await.unwrap();
        let Recovered::Waiting { deployment, .. } = world.recovered(false).await.unwrap() else {
            panic!("it waits")
        };
        assert_eq!(deployment.as_str(), "d-2");
        let Recovered::Settled(report) = world.recovered(true).await.unwrap() else {
            panic!("it was settled")
        };
        assert_eq!(report.exit().code(), 0, "{report:?}");
        world.assert_settled(serves);
        assert!(matches!(world.recovered(true).await.unwrap(), Recovered::Nothing));
        // A late hook of it finds it over, and says what became of it.
        let late = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
        assert_eq!(late.outcome, report.outcome);
    }
}

/// It dies every so often, and comes back: each of two gates would find it healthy for a while.
#[tokio::test(flavor = "current_thread")]
async fn a_release_that_was_restarted_between_two_gates_is_not_good() {
    let world = World::with_v1().await;
    world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    world.engine.dies("status-page-web", 1);
    // The Engine starts it again, by its policy.
    while world
        .engine
        .container("status-page-web")
        .is_none_or(|c| c.status != "running" || c.restart_count == 0)
    {
        tokio::task::yield_now().await;
    }
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert!(crate::world::cause(&report).contains("it was restarted"), "{report:?}");
    world.assert_settled("v1");
}

/// A boot between two hooks is no fault of the release.
#[tokio::test(flavor = "current_thread")]
async fn a_restart_of_docker_between_two_hooks_is_no_verdict() {
    for until in [Phase::Prepare, Phase::Settle] {
        let world = World::with_v1().await;
        world.hook("d-2", "v2", until).await.unwrap();
        world.engine.restart_daemon(&Race::OldestFirst).unwrap();
        assert_eq!(world.hook("d-2", "v2", Phase::Finish).await.unwrap().exit().code(), 0);
        world.assert_settled("v2");
    }
}

/// What the container that was put back is, after exit 3, `status` goes on saying.
#[tokio::test(flavor = "current_thread")]
async fn what_is_sick_after_it_was_put_back_stays_on_record() {
    let world = World::new().await;
    // The release that is put back waits for the deadline of its own configuration.
    world.edit("deadline = \"30s\"", "deadline = \"3s\"");
    world.deploy("d-1", "v1").await.unwrap();
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.deploy("d-2", "error").await.unwrap();
    assert_eq!(
        (report.outcome, report.exit().code()),
        (Outcome::Reverted { serving: false }, 3),
        "{report:?}"
    );
    let status = handover::status::of_all(&world.host()).await.unwrap();
    assert!(!status[0].serving && status[0].sick[0].contains("status 500"), "{:?}", status[0]);
    assert_eq!(status[0].next.as_deref(), Some("docker logs --tail 50 status-page-web"));
    let text = handover::status::text(&status);
    assert!(text.contains("NOTHING healthy of status-page is serving"), "{text}");
}
