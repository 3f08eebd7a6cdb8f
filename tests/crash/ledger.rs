//! The ledger of restart policies, row by row: what a boot would bring back after each entry of the journal.

use crate::world::{Run, Site, World};

/// The number of an entry in the journal of an undisturbed update.
fn number(journal: &str, entry: &str, step: &str) -> usize {
    let words = [format!("\"entry\":\"{entry}\""), format!("\"step\":\"{step}\"")];
    journal
        .lines()
        .position(|line| words.iter().all(|word| line.contains(word)))
        .expect("there is such an entry")
}

#[tokio::test(flavor = "current_thread")]
async fn every_row_of_the_ledger() {
    let world = World::with_v1().await;
    world.deploy("d-2", "v2").await.unwrap();
    let journal = std::fs::read_to_string(world.journal()).unwrap();
    for (entry, step, old, new) in [
        ("began", "protect-live web", "unless-stopped", "no"),
        ("began", "stop-live web", "always", "no"),
        ("done", "gate web", "always", "no"),
        ("done", "keep-new web", "always", "unless-stopped"),
        ("done", "release-old web", "no", "unless-stopped"),
        ("done", "record", "no", "unless-stopped"),
    ] {
        let world = World::with_v1().await;
        let site = Site::AfterEntry(number(&journal, entry, step));
        assert!(matches!(world.deploy_killed(site, "d-2", "v2").await, Run::Killed));
        let policy = |release: &str| {
            let all = world.engine.containers();
            all.into_iter().find(|c| c.labels["handover.release"] == release).map(|c| c.restart_policy)
        };
        assert_eq!(
            (policy("1").as_deref(), policy("2").as_deref()),
            (Some(old), Some(new)),
            "after '{entry} {step}'"
        );
    }
}
