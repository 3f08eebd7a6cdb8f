//! A deployment that is killed, and what somebody does about it.

use fake_docker::Race;

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

/// The panics of the crash points are meant; only others are told.
pub fn tell_only_other_panics() {
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("failpoint") {
            eprintln!("{info}");
        }
    }));
}
