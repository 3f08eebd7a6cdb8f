//! What is known of releases, and for how long.

use handover::history;
use handover::model::{Phase, ReleaseNumber, Revision};
use handover::state::{Past, REMEMBERED, Record, Releases, Verdict};

use crate::world::{REPOSITORY, World};

fn record(world: &World, release: u64) -> Record {
    Releases::of(&world.state()).record(ReleaseNumber(release)).unwrap().unwrap()
}

async fn table(world: &World) -> String {
    let app = "status-page".parse().unwrap();
    let containers = world.host().docker.containers_of(&app).await.unwrap();
    history::text(&[history::of(&app, &world.state(), Some(&containers))])
}

#[tokio::test(flavor = "current_thread")]
async fn a_record_says_where_a_release_came_from_and_how_it_went() {
    let world = World::with_v1().await;
    let revision = Revision { commit: Some("0123abc".to_owned()), ..Revision::default() };
    let request = handover::deploy::Request { revision: revision.clone(), ..world.request("d-2", "v2") };
    world.run(request).await.unwrap();
    let record = record(&world, 2);
    assert_eq!((&record.verdict, &record.revision), (&Verdict::Good, &revision));
    assert_eq!(record.tags.values().collect::<Vec<_>>(), ["v2"]);
    assert_eq!(record.images.values().next().unwrap().repository, REPOSITORY);
    assert_eq!(record.platform.as_deref(), Some("linux/amd64"));
    assert_eq!(record.containers.values().collect::<Vec<_>>(), ["status-page-web.r2"]);
    let phases: Vec<Phase> = record.phases.iter().map(|time| time.phase).collect();
    assert_eq!(phases, [Phase::Prepare, Phase::Switch, Phase::Settle, Phase::Finish]);
    for two in record.phases.windows(2) {
        assert!(two[0].began <= two[0].ended && two[0].ended <= two[1].began, "{two:?}");
    }
    // The same once more.
    world.deploy("d-3", "v2").await.unwrap();
    let same = Verdict::Unchanged { same_as: ReleaseNumber(2) };
    assert_eq!(self::record(&world, 3).verdict, same);
}

/// What was known when the run began is still known when another process brings it to its end.
#[tokio::test(flavor = "current_thread")]
async fn a_run_that_was_killed_loses_nothing_of_its_record() {
    let world = World::with_v1().await;
    world.killed_after("\"committed\"", "v2").await;
    world.recover().await.unwrap().unwrap();
    let record = record(&world, 2);
    assert_eq!((&record.verdict, record.tags.len(), record.phases.len()), (&Verdict::Good, 1, 4));
}

#[tokio::test(flavor = "current_thread")]
async fn refused_releases_stay_in_the_history_and_their_number_is_bounded() {
    let world = World::with_v1().await;
    let last = u64::try_from(REMEMBERED).unwrap() + 5;
    for n in 2..=last {
        world.deploy(&format!("d-{n}"), "crash").await.unwrap();
    }
    let past = Past::of(&world.state());
    let known: Vec<u64> = past.records().iter().map(|record| record.release.0).collect();
    // The last one is whole.
    assert_eq!(known, (last - u64::try_from(REMEMBERED).unwrap()..last).collect::<Vec<_>>());
    assert!(past.records().iter().all(|record| matches!(record.verdict, Verdict::Refused { .. })));
    let folder = past.dir().join((last - 1).to_string());
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["journal.jsonl", "record.json"], "nothing else of it stays");
    assert_eq!(world.engine.containers().len(), 1);
    let crash = fake_docker::Image::digest_of("crash");
    assert!(world.engine.images().iter().filter(|image| image.contains(&crash)).count() <= 1);

    let table = table(&world).await;
    assert!(table.lines().all(|line| line.len() <= 80 && line.is_ascii()), "{table}");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('r')).collect();
    assert!(rows[0].starts_with(&format!("r{last} ")) && rows[0].ends_with("refused"), "{table}");
    assert!(rows.last().unwrap().ends_with("good, serves"), "{table}");
    assert!(table.contains("exited with code 1"), "{table}");
    assert!(!table.contains("S3cr3t"), "{table}");

    let story = history::story(&"status-page".parse().unwrap(), &world.state(), ReleaseNumber(last - 1));
    let story = story.unwrap().text();
    assert!(story.contains("refused") && story.contains("undo web: "), "{story}");
    assert!(story.lines().all(|line| line.len() <= 80 && line.is_ascii()), "{story}");
    assert!(!story.contains("S3cr3t"), "{story}");
}

/// Somebody has written into a record, or a later version has.
#[tokio::test(flavor = "current_thread")]
async fn a_record_that_cannot_be_read_is_named_and_the_others_are_told() {
    let world = World::with_v1().await;
    world.deploy("d-2", "v2").await.unwrap();
    std::fs::write(world.state().join("releases/1/record.json"), "{").unwrap();
    let table = table(&world).await;
    assert!(table.contains("r1: its record is damaged"), "{table}");
    assert!(table.contains("good, serves"), "{table}");
}
