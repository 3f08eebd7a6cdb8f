//! What is kept on the disk: lost, damaged, pruned, full.

use std::path::Path;

use fake_docker::{Fate, Image};
use handover::deploy::retention::Wanted;
use handover::deploy::{self, DeployError, Foreign, prune_foreign};
use handover::host::machine::disk::Space;
use handover::journal::{Lock, LockError, Who};
use handover::model::Phase;

use crate::world::{REPOSITORY, Site, World};

#[tokio::test(flavor = "current_thread")]
async fn a_lost_state_folder_goes_on_numbering_from_the_labels() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().release.0, 2);
    std::fs::remove_dir_all(world.state()).unwrap();
    let report = world.deploy("d-3", "v3").await.unwrap();
    assert_eq!((report.exit().code(), report.release.0), (0, 3), "{report:?}");
    world.assert_settled("v3");
    assert!(world.engine.container("status-page-web.r2").is_some(), "what was live is parked");
    assert!(
        world.engine.container("status-page-web.r1").is_some(),
        "nothing that is not on record is removed"
    );
    // And one that is refused finds its way back.
    std::fs::remove_dir_all(world.state()).unwrap();
    assert_eq!(world.deploy("d-4", "crash").await.unwrap().exit().code(), 1);
    world.assert_settled("v3");
}

#[tokio::test(flavor = "current_thread")]
async fn a_damaged_journal_stops_everything_and_names_the_line() {
    let world = World::with_v1().await;
    world.deploy_killed(Site::AfterEntry(9), "d-2", "v2").await;
    let path = world.journal();
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    for (line, damaged) in [
        (3, [&lines[..2], &["garbage"], &lines[3..]].concat()),
        (5, [&lines[..4], &lines[5..]].concat()),
        (1, [&["{}"], &lines[1..]].concat()),
    ] {
        let text = damaged.join("\n") + "\n";
        std::fs::write(&path, &text).unwrap();
        let before = (world.live_hash(), world.engine.containers().len());
        world.engine.forget_calls();
        let named = format!("line {line} of the journal");
        for error in [
            world.deploy("d-2", "v2").await.unwrap_err(),
            world.deploy("d-3", "v3").await.unwrap_err(),
            world.recover().await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(&named), "{error}");
            assert!(error.to_string().contains("journal.jsonl"), "{error}");
        }
        assert!(world.engine.calls().iter().all(|call| !call.mutating));
        assert_eq!((world.live_hash(), world.engine.containers().len()), before);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the evidence is left alone");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    world.assert_settled("v2");
}

fn numbers(state: &Path) -> Vec<u64> {
    let folders = std::fs::read_dir(state.join("releases")).unwrap();
    let mut numbers: Vec<u64> =
        folders.map(|folder| folder.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "current_thread")]
async fn three_good_releases_are_kept_whole_and_older_ones_go_whole() {
    let world = World::with_v1().await;
    for (id, tag, exit) in [("d-2", "v2", 0), ("d-3", "crash", 1), ("d-4", "v3", 0), ("d-5", "v4", 0)] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), exit);
    }
    world.assert_settled("v4");
    // r1 was the fourth good one; r3 was refused.
    assert_eq!(numbers(&world.state()), [2, 4, 5]);
    let mut names: Vec<String> = world.engine.containers().into_iter().map(|c| c.name).collect();
    names.sort();
    assert_eq!(names, ["status-page-web", "status-page-web.r2", "status-page-web.r4"]);
    let images = world.engine.images();
    for (tag, kept) in [("v1", false), ("crash", false), ("v2", true), ("v3", true), ("v4", true)] {
        let digest = fake_docker::Image::digest_of(tag);
        assert_eq!(images.iter().any(|image| image.contains(&digest)), kept, "{tag}: {images:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_clean_up_that_fails_does_not_fail_the_deployment() {
    let world = World::with_v1().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    world.engine.on_call(Box::new(|call| {
        if call.method == "DELETE" {
            Fate::Refuse(500, "device or resource busy".to_owned())
        } else {
            Fate::Proceed
        }
    }));
    let report = world.deploy("d-4", "v4").await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("deployed", 0), "{report:?}");
    assert!(report.notes.iter().any(|w| w.contains("device or resource busy")), "{report:?}");
    world.engine.let_all_proceed();
    world.assert_settled("v4");
}

/// Somebody removes by hand what an interrupted run is about: it still comes to an end that has a name.
#[tokio::test(flavor = "current_thread")]
async fn containers_that_were_removed_by_hand_do_not_keep_a_run_from_its_end() {
    for gone in ["status-page-web", "status-page-web.r2"] {
        let world = World::with_v1().await;
        world.killed_after("\"done\",\"step\":\"stop-live web\"", "v2").await;
        assert_eq!(world.serving(), None);
        world.host().docker.remove(gone).await.unwrap();
        let report = world.recover().await.unwrap().unwrap();
        assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 0), "{report:?}");
        world.assert_settled("v1");
        assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
        world.assert_settled("v3");
    }
}

/// The disk is full: what cannot be written down is not done, and what was done is taken back.
#[tokio::test(flavor = "current_thread")]
async fn a_journal_that_cannot_be_written_does_not_leave_the_old_release_down() {
    for n in 1..40 {
        let world = World::with_v1().await;
        fail::cfg("journal-cannot-append", &format!("{n}*off->return")).unwrap();
        let result = world.deploy("d-2", "v2").await;
        fail::remove("journal-cannot-append");
        world.assert_no_secret(&result);
        match result {
            Err(DeployError::Journal(_)) => {
                let serving = world.serving().unwrap_or_else(|| panic!("nothing serves after entry {n}"));
                assert!(serving == "v1" || serving == "v2");
                world.recover().await.unwrap();
                let serving = world.serving().expect("something serves");
                world.assert_settled(&serving);
            }
            // So many entries are not written.
            Ok(report) => {
                assert!(n > 20, "{report:?}");
                return;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// What `handover prune` does, which systemd runs once a day.
#[tokio::test(flavor = "current_thread")]
async fn pruning_by_hand_removes_what_a_deployment_could_not() {
    let world = World::with_v1().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3")] {
        world.deploy(id, tag).await.unwrap();
    }
    world.engine.on_call(Box::new(|call| {
        let refuse = call.method == "DELETE" && call.path.contains("/containers/");
        if refuse { Fate::Refuse(500, "device or resource busy".to_owned()) } else { Fate::Proceed }
    }));
    let report = world.deploy("d-4", "v4").await.unwrap();
    assert_eq!((report.exit().code(), report.notes.len()), (0, 1), "{report:?}");
    world.engine.let_all_proceed();
    let (app, host) = ("status-page".parse().unwrap(), world.host());
    let pruned = deploy::prune(&app, &host, Wanted::default()).await.unwrap().unwrap();
    assert!(pruned.warnings.is_empty(), "{pruned:?}");
    assert!(pruned.removed.contains(&"container status-page-web.r1".to_owned()), "{pruned:?}");
    assert!(pruned.removed.contains(&"record of status-page r1".to_owned()), "{pruned:?}");
    assert_eq!(world.engine.containers().len(), 3);
    // A release has a tag of ours, which goes with it.
    let tags = world.engine.images().into_iter().filter(|name| name.starts_with("handover/"));
    let kept = ["r2", "r3", "r4"].map(|release| format!("handover/status-page:{release}"));
    assert_eq!(tags.collect::<Vec<_>>(), kept);
    world.assert_settled("v4");
}

/// Fifty deployments: as many releases stay as the configuration keeps, and what is others' stays. Who asks is told what would go, and a full disk takes the oldest first.
#[tokio::test(flavor = "current_thread")]
async fn as_many_are_kept_as_the_configuration_says_and_fewer_on_a_full_disk() {
    let mut world = World::new().await;
    world.edit(
        "[environment]\n",
        "[keep]\nreleases = 4\n\n[refresh]\ntimer = false\nwindow = \"4h\"\n\n[environment]\n",
    );
    world.engine.load_image(Image::new("somebody/else", "1", &Image::digest_of("else")));
    let mut after_ten = None;
    for (n, tag) in ["v1", "v2", "v3", "v4"].into_iter().cycle().take(50).enumerate() {
        assert_eq!(world.deploy(&format!("d-{n}"), tag).await.unwrap().exit().code(), 0);
        if n == 9 {
            after_ten = Some(world.engine.images().len());
        }
    }
    assert_eq!(numbers(&world.state()), [47, 48, 49, 50]);
    let images = world.engine.images();
    assert_eq!(Some(images.len()), after_ten, "{images:?}");
    assert!(images.iter().any(|image| image.starts_with("somebody/else")), "{images:?}");
    assert_eq!(world.engine.containers().len(), 4);
    let app = "status-page".parse().unwrap();
    let prune =
        async |world: &World, wanted| deploy::prune(&app, &world.host(), wanted).await.unwrap().unwrap();
    let least = |bytes| Wanted { min_free: Some(bytes), ..Wanted::default() };
    let pruned = prune(&world, least(1)).await;
    assert!(pruned.removed.is_empty() && pruned.warnings.is_empty(), "there is room: {pruned:?}");
    let pruned = prune(&world, Wanted { dry_run: true, ..Wanted::default() }).await;
    assert!(pruned.removed.is_empty(), "{pruned:?}");
    world.space = |_| Ok(Space { device: 1, bytes: 5, files: None });
    let pruned = prune(&world, least(6 << 30)).await;
    let records = pruned.removed.iter().filter(|gone| gone.starts_with("record")).collect::<Vec<_>>();
    assert_eq!(
        records,
        ["record of status-page r47", "record of status-page r48", "record of status-page r49"]
    );
    assert!(pruned.warnings[0].contains("nothing of status-page but what is live is left"), "{pruned:?}");
    assert_eq!(numbers(&world.state()), [50]);
    world.assert_settled("v2");
}

/// A deployment may have pulled an image that it has not named yet.
#[tokio::test(flavor = "current_thread")]
async fn images_of_others_are_not_removed_beside_a_deployment() {
    let world = World::with_v1().await;
    let (app, host) = ("status-page".parse().unwrap(), world.host());
    let wanted =
        Foreign { repository: REPOSITORY.to_owned(), older_than: std::time::Duration::ZERO, dry_run: false };
    let who = Who { deployment: None, command: "deploy".to_owned(), hook: false };
    let held = Lock::take(&host.paths.lock, &app, &who, std::time::Duration::ZERO).await.unwrap();
    let before = world.engine.images();
    let error = prune_foreign(&wanted, &host).await.unwrap_err();
    assert!(matches!(error, DeployError::Lock(LockError::Busy(_))), "{error}");
    drop(held);
    // And what a release of ours has is not foreign.
    let pruned = prune_foreign(&wanted, &host).await.unwrap();
    assert!(pruned.removed.is_empty() && pruned.warnings.is_empty(), "{pruned:?}");
    assert_eq!(world.engine.images(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn what_would_go_is_what_goes() {
    let world = World::with_v1().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3"), ("d-4", "v4")] {
        world.engine.on_call(Box::new(|call| {
            let refuse = call.method == "DELETE";
            if refuse { Fate::Refuse(500, "device or resource busy".to_owned()) } else { Fate::Proceed }
        }));
        world.deploy(id, tag).await.unwrap();
        world.engine.let_all_proceed();
    }
    let (app, host) = ("status-page".parse().unwrap(), world.host());
    let told = Wanted { dry_run: true, ..Wanted::default() };
    let told = deploy::prune(&app, &host, told).await.unwrap().unwrap();
    assert_eq!(numbers(&world.state()), [1, 2, 3, 4], "nothing has gone");
    let gone = deploy::prune(&app, &host, Wanted::default()).await.unwrap().unwrap();
    assert_eq!(told.removed, gone.removed);
    assert!(gone.removed.len() >= 3, "{gone:?}");
}

/// Somebody else's container may be made of one of our images. Its record stays, or the image would never be found again.
#[tokio::test(flavor = "current_thread")]
async fn an_image_that_a_container_needs_is_not_called_removed() {
    let world = World::with_v1().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3")] {
        world.deploy(id, tag).await.unwrap();
    }
    world.engine.on_call(Box::new(|call| {
        let conflict = "conflict: unable to remove repository reference (must force) - container 0123 is using its referenced image";
        let refuse = call.method == "DELETE" && call.path.contains("/images/");
        if refuse { Fate::Refuse(409, conflict.to_owned()) } else { Fate::Proceed }
    }));
    let report = world.deploy("d-4", "v4").await.unwrap();
    assert_eq!((report.exit().code(), report.notes.len()), (0, 1), "{report:?}");
    assert!(report.notes[0].contains("is using its referenced image"), "{report:?}");
    let (app, host) = ("status-page".parse().unwrap(), world.host());
    let pruned = deploy::prune(&app, &host, Wanted::default()).await.unwrap().unwrap();
    assert!(pruned.removed.is_empty() && pruned.warnings.len() == 1, "{pruned:?}");
    assert_eq!(numbers(&world.state()), [1, 2, 3, 4]);
    world.engine.let_all_proceed();
    let pruned = deploy::prune(&app, &host, Wanted::default()).await.unwrap().unwrap();
    assert!(pruned.warnings.is_empty() && pruned.removed.len() == 2, "{pruned:?}");
    world.assert_settled("v4");
}

#[tokio::test(flavor = "current_thread")]
async fn pruning_by_hand_leaves_a_deployment_alone_that_is_not_over() {
    let world = World::with_v1().await;
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    world.engine.forget_calls();
    let pruned =
        deploy::prune(&"status-page".parse().unwrap(), &world.host(), Wanted::default()).await.unwrap();
    assert!(pruned.is_none(), "{pruned:?}");
    assert!(world.engine.calls().is_empty(), "{:?}", world.engine.calls());
    world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    world.assert_settled("v2");
}
