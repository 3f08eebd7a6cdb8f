//! A deployment that is killed, and what somebody does about it.

use std::sync::atomic::Ordering;

use fake_docker::Race;

use crate::origin::Origin;
use crate::world::{Site, World};

/// What comes after the kill.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    SameId,
    Recover,
    /// The power fails and comes back, and then somebody recovers.
    Boot,
}

/// Kills a deployment at `site` and goes on. `came_back` looks at what the boot has brought back by itself.
pub async fn killed_then(
    world: &World,
    site: Site,
    id: &str,
    tag: &str,
    then: Then,
    came_back: impl FnOnce(&World),
) {
    let run = world.deploy_killed(site, id, tag).await;
    eprintln!("{tag} {site:?} {run:?} {then:?}");
    match then {
        Then::SameId => {
            let report = world.deploy(id, tag).await.unwrap();
            assert_eq!(report.exit().code(), u8::from(tag == "crash"), "{report:?}");
        }
        Then::Recover => drop(world.recover().await.unwrap()),
        Then::Boot => {
            world.engine.power_cut();
            world.engine.boot(&Race::OldestFirst).unwrap();
            came_back(world);
            world.recover().await.unwrap();
        }
    }
}

/// At every second site: killed there, and mended. Whoever connects meanwhile finds somebody. `at_the_kill` looks at what a kill
/// leaves by itself, `assert_settled` at what there is in the end.
pub async fn killed_under_clients(
    start: impl AsyncFn() -> World,
    tag: &str,
    then: Then,
    at_the_kill: impl Fn(&World),
    assert_settled: impl Fn(&World, &str),
) {
    tell_only_other_panics();
    let whole = start().await;
    whole.deploy("d-2", tag).await.unwrap();
    let (calls, entries) = (whole.engine.calls(), whole.entries());
    let mut origin = Origin::of(start().await);
    for site in Site::all(&calls, entries).skip(then as usize).step_by(2) {
        let world = origin.world();
        let run = world.deploy_killed(site, "d-2", tag).await;
        eprintln!("{tag} {site:?} {run:?} {then:?}");
        let (containers, tables) = (world.engine.containers(), &world.tables);
        assert!(world.traffic().is_some(), "nobody answers: {containers:?} {tables:?}");
        at_the_kill(world);
        if matches!(then, Then::Boot) {
            // A power cut costs what it costs.
            world.engine.power_cut();
            world.tables.boot();
            world.engine.boot(&Race::OldestFirst).unwrap();
            let containers = world.engine.containers();
            assert!(world.traffic().is_some(), "a boot brings nothing back: {containers:?}");
        }
        let lost = world.connections_at_every_call();
        match then {
            Then::SameId => {
                let report = world.deploy("d-2", tag).await.unwrap();
                assert_eq!(report.exit().code(), u8::from(tag == "crash"), "{report:?}");
            }
            _ => drop(world.recover().await.unwrap()),
        }
        // After a boot nothing stands in for what has to give way: who comes then finds nobody for as long as a start takes.
        let is_excused = matches!(then, Then::Boot);
        assert!(is_excused || !lost.load(Ordering::Relaxed), "somebody was not answered while it was mended");
        world.engine.let_all_proceed();
        let serves = world.traffic().unwrap();
        assert!(serves == "v1" || serves == tag, "{serves}");
        assert_settled(world, &serves);
    }
}

/// The panics of the crash points are meant; only others are told.
pub fn tell_only_other_panics() {
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("failpoint") {
            eprintln!("{info}");
        }
    }));
}
