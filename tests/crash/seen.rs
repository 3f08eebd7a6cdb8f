//! Nothing is believed that was not seen: what is gone, renamed or taken by somebody else between two looks.

use fake_docker::{Fate, Image, Race};
use handover::deploy::Recovered;
use handover::model::Phase;
use handover::report::Outcome;

use crate::world::{REPOSITORY, Run, Site, World, cause};

/// Docker restarts right after the commit, and what takes a step back cannot be observed. The step must not be begun
/// without it: a verdict against the release would leave the old container under its parked name.
#[tokio::test(flavor = "current_thread")]
async fn a_step_whose_inverse_cannot_be_observed_is_not_begun() {
    for n in 0..3 {
        let world = World::with_v1().await;
        world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
        // The looks of release-old, park-old and promote, not their acts.
        let count = std::sync::atomic::AtomicUsize::new(0);
        let journal = world.state().join("releases/2/journal.jsonl");
        world.engine.on_call(Box::new(move |call| {
            let committed =
                std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"committed\""));
            let inspect = call.method == "GET" && call.path.ends_with("/json");
            if committed && inspect && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == n {
                return Fate::Refuse(500, "the Engine restarts".to_owned());
            }
            Fate::Proceed
        }));
        let stopped = world.hook("d-2", "v2", Phase::Settle).await.unwrap();
        world.engine.let_all_proceed();
        assert_eq!(stopped.outcome, Outcome::Unfinished, "look {n}: {stopped:?}");
        assert_eq!(world.hook("d-2", "v2", Phase::Settle).await.unwrap().exit().code(), 0);
        world.assert_settled("v2");
        world.engine.behave("status-page-web", fake_docker::Behaviour::Answers(500));
        let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
        assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "look {n}: {report:?}");
        world.assert_settled("v1");
    }
}

/// Removes a container in the Engine as `docker system prune -f` does: it takes whatever does not run.
async fn prune(world: &World, name: &str) {
    world.host().docker.remove(name).await.unwrap();
}

/// Somebody's cron job prunes while the gate waits. The old release is made again from what is kept of it.
#[tokio::test(flavor = "current_thread")]
async fn a_live_container_that_was_pruned_while_it_was_stopped_is_made_again() {
    for image_too in [false, true] {
        let world = World::with_v1().await;
        // The new container was started: live is stopped.
        let started = "\"entry\":\"done\",\"step\":\"start-new web\"";
        world.killed_after(started, "crash").await;
        prune(&world, "status-page-web").await;
        if image_too {
            world.engine.forget_image(REPOSITORY, &Image::digest_of("v1"));
        }
        let report = world.recover().await.unwrap().unwrap();
        assert_eq!(
            (report.outcome, report.exit().code()),
            (Outcome::Reverted { serving: true }, 0),
            "{report:?}"
        );
        assert!(report.notes.iter().any(|note| note.contains("created again from its record")), "{report:?}");
        world.assert_settled("v1");
        world.engine.power_cut();
        world.engine.boot(&Race::OldestFirst).unwrap();
        world.assert_settled("v1");
    }
}

/// What makes it again may be killed, too.
#[tokio::test(flavor = "current_thread")]
async fn what_makes_it_again_may_be_killed_anywhere() {
    let started = World::entry("\"entry\":\"done\",\"step\":\"start-new web\"", "crash").await;
    for n in 0.. {
        let world = World::with_v1().await;
        assert!(matches!(world.deploy_killed(Site::AfterEntry(started), "d-2", "crash").await, Run::Killed));
        prune(&world, "status-page-web").await;
        let start = world.engine.calls_made();
        let site = n / 2;
        let killed = world
            .killed_by(
                Box::new(move |call| match call.n == start + site {
                    true if n % 2 == 0 => Fate::CrashBefore,
                    true => Fate::CrashAfter,
                    false => Fate::Proceed,
                }),
                async {
                    let report = world.recover().await.unwrap();
                    Ok(report.expect("it was interrupted"))
                },
            )
            .await;
        world.recover().await.unwrap();
        world.assert_settled("v1");
        if matches!(killed, Run::Ended) {
            assert!(n > 20, "only {n} sites were reached");
            return;
        }
    }
}

/// A container that handover did not make cannot be made again by it: that is said, with what to do.
#[tokio::test(flavor = "current_thread")]
async fn what_cannot_be_made_again_is_named() {
    let world = World::with_v1().await;
    world.killed_after("\"entry\":\"done\",\"step\":\"start-new web\"", "crash").await;
    prune(&world, "status-page-web").await;
    std::fs::remove_file(world.state().join("releases/1/record.json")).unwrap();
    let error = world.recover().await.unwrap_err().to_string();
    assert!(
        error.contains("the container that served was removed, and the record of its release is lost"),
        "{error}"
    );
}

/// Created in one hook, gone in the next: that shows before live is stopped, and is put right.
#[tokio::test(flavor = "current_thread")]
async fn a_created_container_that_vanished_between_two_hooks_is_created_again() {
    for image_too in [false, true] {
        let world = World::with_v1().await;
        world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
        prune(&world, "status-page-web.r2").await;
        if image_too {
            world.engine.forget_image(REPOSITORY, &Image::digest_of("v2"));
        }
        let before = world.live_hash();
        let made_while_live = std::sync::Arc::new(std::sync::Mutex::new(false));
        let seen = std::sync::Arc::clone(&made_while_live);
        world.engine.on_call(Box::new(move |call| {
            if call.path.ends_with("/containers/create") {
                *seen.lock().unwrap() = true;
            }
            if call.path.ends_with("/stop") {
                assert!(*seen.lock().unwrap(), "live is stopped before the new container is there");
            }
            Fate::Proceed
        }));
        assert_eq!(world.live_hash(), before);
        let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        assert!(report.notes.iter().any(|note| note.contains("is created again")), "{report:?}");
        world.assert_settled("v2");
    }
}

/// Rendered files are made in the first hook only; without them the container would not start.
#[tokio::test(flavor = "current_thread")]
async fn files_that_vanished_between_two_hooks_leave_live_alone() {
    let world = World::with_v1().await;
    world.add_file("PASSWORD = {{ database.password | python }}\n");
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    std::fs::remove_file(world.file_of(2)).unwrap();
    let before = world.live_hash();
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(cause(&report).contains("the rendered files of r2 are gone"), "{report:?}");
    assert_eq!(world.live_hash(), before);
}

/// Somebody renamed live by hand. It serves all the same.
#[tokio::test(flavor = "current_thread")]
async fn a_live_container_under_another_name_is_handed_over_from() {
    let world = World::with_v1().await;
    world.host().docker.rename("status-page-web", "web-by-hand").await.unwrap();
    let refused = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(
        (refused.outcome, refused.exit().code()),
        (Outcome::Reverted { serving: true }, 1),
        "{refused:?}"
    );
    assert_eq!(refused.serving[0].container, "web-by-hand");
    assert_eq!(world.serving().as_deref(), Some("v1"));
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    world.assert_settled("v2");
    assert!(world.engine.container("status-page-web.r1").is_some(), "it is parked under its own name");
}

/// Only after the commit would it show that the old container cannot be parked.
#[tokio::test(flavor = "current_thread")]
async fn a_parked_name_that_is_taken_is_a_finding() {
    let world = World::with_v1().await;
    taken(&world, "status-page-web.r1").await;
    let before = world.live_hash();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(
        cause(&report).contains("'status-page-web.r1', under which 'status-page-web' is parked"),
        "{report:?}"
    );
    assert_eq!(world.live_hash(), before);
}

/// And one that is taken in the last moment does not keep a committed release from settling.
#[tokio::test(flavor = "current_thread")]
async fn a_parked_name_that_is_taken_after_the_commit_is_passed_over() {
    let world = World::with_v1().await;
    world.killed_after("\"entry\":\"committed\"", "v2").await;
    taken(&world, "status-page-web.r1").await;
    let report = world.recover().await.unwrap().unwrap();
    assert_eq!((report.outcome, report.exit().code()), (Outcome::Deployed, 0), "{report:?}");
    assert_eq!(world.serving().as_deref(), Some("v2"));
    assert!(world.engine.container("status-page-web.r1-2").is_some(), "{:?}", world.engine.containers());
    assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
    assert_eq!(world.serving().as_deref(), Some("v3"));
}

/// Makes a container of somebody else's with this name.
async fn taken(world: &World, name: &str) {
    let client = bollard::Docker::connect_with_unix(
        &world.engine.socket().to_string_lossy(),
        5,
        bollard::API_DEFAULT_VERSION,
    )
    .unwrap();
    let options = bollard::query_parameters::CreateContainerOptionsBuilder::new().name(name).build();
    let image = format!("{REPOSITORY}@{}", Image::digest_of("v1"));
    let body = bollard::models::ContainerCreateBody { image: Some(image), ..Default::default() };
    client.create_container(Some(options), body).await.unwrap();
}

/// Nothing was interrupted, and nothing serves: both are true.
#[tokio::test(flavor = "current_thread")]
async fn recover_has_nothing_to_do_and_says_so() {
    let world = World::with_v1().await;
    assert!(matches!(world.recovered(false).await.unwrap(), Recovered::Nothing));
    world.engine.dies("status-page-web", 0);
    world.host().docker.stop("status-page-web", std::time::Duration::from_secs(1)).await.unwrap();
    assert!(matches!(world.recovered(false).await.unwrap(), Recovered::Nothing));
    let ours = world.host().docker.containers_of(&"status-page".parse().unwrap()).await.unwrap();
    let next = handover::deploy::serving::remedy(&"status-page".parse().unwrap(), &ours, true);
    assert_eq!(next.as_deref(), Some("docker start status-page-web"));
    prune(&world, "status-page-web").await;
    let next = handover::deploy::serving::remedy(&"status-page".parse().unwrap(), &[], true);
    assert_eq!(next.as_deref(), Some("handover deploy --app status-page"));
}
