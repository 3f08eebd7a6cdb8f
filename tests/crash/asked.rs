//! A container that was asked to stop is not asked again: to many a worker a second signal means that it is to drop its job.

use fake_docker::{Behaviour, Call, Fate, Image};

use crate::world::{REPOSITORY, Run, World};

const TERM: &str = "15";

/// Live finishes what it has in hand, and takes its time for that.
async fn busy() -> World {
    let world = World::new().await;
    let image = Image::new(REPOSITORY, "busy", &Image::digest_of("busy"));
    world.engine.add_image(image.behaving(Behaviour::IgnoresTerm).guarded("AWS", "canary-token"));
    assert_eq!(world.deploy("d-1", "busy").await.unwrap().exit().code(), 0);
    world
}

fn stops(call: &Call) -> bool {
    call.path.ends_with("/stop")
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_takes_up_a_stop_waits_for_its_end() {
    for by in ["recover", "the same deployment", "the next deployment"] {
        let world = busy().await;
        let live = world.engine.container("status-page-web").unwrap().id;
        let fate = |call: &Call| if stops(call) { Fate::CrashAfter } else { Fate::Proceed };
        let run = world.killed_by(Box::new(fate), world.deploy("d-2", "v2")).await;
        assert!(matches!(run, Run::Killed));
        assert!(world.engine.container("status-page-web").unwrap().running, "{by}: it is still at work");
        match by {
            "recover" => drop(world.recover().await.unwrap()),
            "the same deployment" => drop(world.deploy("d-2", "v2").await.unwrap()),
            _ => drop(world.deploy("d-3", "v2").await.unwrap()),
        }
        let signals = world.engine.signals(&live);
        // The next deployment stops it once more, after it was started again.
        let asked = if by == "the next deployment" { 2 } else { 1 };
        assert_eq!(signals.iter().filter(|one| **one == TERM).count(), asked, "{by}: {signals:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn one_whose_stop_never_came_to_the_engine_is_asked() {
    let world = busy().await;
    let live = world.engine.container("status-page-web").unwrap().id;
    let fate = |call: &Call| if stops(call) { Fate::CrashBefore } else { Fate::Proceed };
    world.killed_by(Box::new(fate), world.deploy("d-2", "v2")).await;
    assert!(world.engine.signals(&live).is_empty());
    world.deploy("d-2", "v2").await.unwrap();
    assert!(world.engine.signals(&live).contains(&TERM));
}
