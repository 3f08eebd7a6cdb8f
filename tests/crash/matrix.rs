//! The matrix: every site × what happens next.

use fake_docker::Race;

use crate::origin::Origin;
use crate::world::{Run, Site, World};

/// What happens after the kill.
#[derive(Debug, Clone, Copy)]
enum Then {
    SameId,
    OtherId,
    Recover,
    /// The power fails and comes back; which of two containers wins a port that both want is chance.
    Boot(fn() -> Race),
    BootAndSameId,
    /// A second kill, in what was to mend the first.
    KilledAgain,
    /// The same, with a boot in between, which starts what was stopped.
    BootAndKilledAgain,
}

/// The update that is killed.
#[derive(Debug, Clone, Copy)]
struct Update {
    tag: &'static str,
    /// What serves when it has come to its end.
    ends_with: &'static str,
    exit: u8,
}

const GOOD: Update = Update { tag: "v2", ends_with: "v2", exit: 0 };
const REFUSED: Update = Update { tag: "crash", ends_with: "v1", exit: 1 };

/// How many sites of each kind an undisturbed run passes.
async fn sites(update: Update) -> Vec<Site> {
    let world = World::with_v1().await;
    let report = world.deploy("d-2", update.tag).await.unwrap();
    assert_eq!(report.exit().code(), update.exit, "{report:?}");
    world.assert_settled(update.ends_with);
    let (calls, entries) = (world.engine.calls(), world.entries());
    assert!(calls.len() > 30 && entries > 20, "{} calls, {entries} entries", calls.len());
    Site::all(&calls, entries).collect()
}

async fn every_site(update: Update, then: Then) {
    crate::kills::tell_only_other_panics();
    let mut killed = 0;
    let mut origin = Origin::of(World::with_v1().await);
    for site in sites(update).await {
        let world = origin.world();
        // The number of probes varies a little with the time, so the last sites may not be reached.
        if matches!(world.deploy_killed(site, "d-2", update.tag).await, Run::Killed) {
            killed += 1;
        }
        eprintln!("{update:?} {site:?} {then:?}");
        after(world, update, then).await;
    }
    assert!(killed > 70, "only {killed} sites were reached");
}

async fn after(world: &World, update: Update, then: Then) {
    match then {
        Then::SameId => same_id(world, update).await,
        Then::OtherId => {
            let journal = std::fs::read_to_string(world.journal()).unwrap();
            let was_begun = journal.lines().next().is_some_and(|header| header.contains("\"d-2\""));
            let report = world.deploy("d-3", "v3").await.unwrap();
            assert_eq!(report.exit().code(), 0, "{report:?}");
            world.assert_settled("v3");
            // What was retired does not act any more.
            if was_begun {
                assert!(world.deploy("d-2", update.tag).await.is_err());
            }
            world.assert_settled("v3");
        }
        Then::Recover => recovered(world, update).await,
        Then::Boot(race) => {
            world.engine.power_cut();
            world.engine.boot(&race()).unwrap();
            let serving = world.serving();
            assert!(
                serving.as_deref() == Some("v1") || serving.as_deref() == Some(update.ends_with),
                "{serving:?}"
            );
            recovered(world, update).await;
        }
        Then::BootAndSameId => {
            world.engine.power_cut();
            world.engine.boot(&Race::OldestFirst).unwrap();
            same_id(world, update).await;
        }
        Then::KilledAgain | Then::BootAndKilledAgain => {
            if matches!(then, Then::BootAndKilledAgain) {
                world.engine.power_cut();
                world.engine.boot(&Race::OldestFirst).unwrap();
            }
            for n in [1, 4, 9] {
                world.deploy_killed(Site::AfterCall(n), "d-2", update.tag).await;
                world.deploy_killed(Site::BeforeEntry(n / 2), "d-2", update.tag).await;
            }
            recovered(world, update).await;
        }
    }
}

async fn same_id(world: &World, update: Update) {
    let report = world.deploy("d-2", update.tag).await.unwrap();
    assert_eq!(report.exit().code(), update.exit, "{report:?}");
    world.assert_settled(update.ends_with);
}

/// `recover` leaves the old or the new release, whole, and so does a reboot after it.
async fn recovered(world: &World, update: Update) {
    world.recover().await.unwrap();
    let serving = world.serving().expect("something serves");
    assert!(serving == "v1" || serving == update.ends_with, "{serving}");
    world.assert_settled(&serving);
    world.engine.power_cut();
    world.engine.boot(&Race::NewestFirst).unwrap();
    world.assert_settled(&serving);
    assert!(world.recover().await.unwrap().is_none(), "there is nothing left to recover");
}

macro_rules! matrix {
    ($($name:ident: $update:expr, $then:expr;)*) => {$(
        #[tokio::test(flavor = "current_thread")]
        async fn $name() {
            every_site($update, $then).await;
        }
    )*};
}

matrix! {
    update_then_same_id: GOOD, Then::SameId;
    update_then_other_id: GOOD, Then::OtherId;
    update_then_recover: GOOD, Then::Recover;
    update_then_boot_old_wins: GOOD, Then::Boot(|| Race::OldestFirst);
    update_then_boot_new_wins: GOOD, Then::Boot(|| Race::NewestFirst);
    update_then_boot_and_same_id: GOOD, Then::BootAndSameId;
    update_then_killed_again: GOOD, Then::KilledAgain;
    refused_then_same_id: REFUSED, Then::SameId;
    refused_then_other_id: REFUSED, Then::OtherId;
    refused_then_recover: REFUSED, Then::Recover;
    refused_then_boot_old_wins: REFUSED, Then::Boot(|| Race::OldestFirst);
    refused_then_boot_new_wins: REFUSED, Then::Boot(|| Race::NewestFirst);
    refused_then_boot_and_same_id: REFUSED, Then::BootAndSameId;
    update_then_boot_and_killed_again: GOOD, Then::BootAndKilledAgain;
    refused_then_killed_again: REFUSED, Then::KilledAgain;
    refused_then_boot_and_killed_again: REFUSED, Then::BootAndKilledAgain;
}
