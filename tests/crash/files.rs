//! Files that are rendered from secrets: in the container, beside the release, and nowhere after it.

use std::os::unix::fs::PermissionsExt as _;

use fake_docker::{Behaviour, Image, LogLine, Stream};
use handover::model::Phase;
use handover::state::Releases;

use crate::world::{REPOSITORY, Run, SECRET, Site, World};

const TEMPLATE: &str =
    "# settings\nHOST = {{ database.host | python }}\nPASSWORD = {{ database.password | python }}\n";

/// An instance whose first release has no files yet.
async fn world() -> World {
    let world = World::with_v1().await;
    world.add_file(TEMPLATE);
    world
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_is_rendered_and_mounted_and_nowhere_else() {
    let world = world().await;
    let result = world.deploy("d-2", "v2").await;
    world.assert_no_secret(&result);
    world.assert_settled("v2");
    let file = world.file_of(2);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, format!("# settings\nHOST = 'db.internal'\nPASSWORD = '{SECRET}'\n"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o440);
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != world.state()) {
        let mode = std::fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{} is not for root alone", folder.display());
    }
    let live = world.host().docker.inspect("status-page-web").await.unwrap().unwrap();
    let mounts = world.engine.container(&live.name).unwrap().binds;
    assert_eq!(mounts, [(file.display().to_string(), "/opt/app/configuration.py".to_owned())]);
}

#[tokio::test(flavor = "current_thread")]
async fn its_template_and_its_mode_are_part_of_the_release() {
    let world = world().await;
    let outcome = async |id| world.deploy(id, "v2").await.unwrap().outcome.word();
    assert_eq!(outcome("d-2").await, "deployed");
    assert_eq!(outcome("d-3").await, "unchanged");
    std::fs::write(world.bundle().join("templates/configuration.py"), "# other\n").unwrap();
    assert_eq!(outcome("d-4").await, "deployed");
    world.edit("mode = \"0440\"", "mode = \"0400\"");
    assert_eq!(outcome("d-5").await, "deployed");
    // An operator has no bundle: what is kept is read like one.
    std::fs::remove_dir_all(world.bundle()).unwrap();
    let releases = Releases::of(&world.state());
    let kept = releases.config(releases.last_good().unwrap().release).unwrap().unwrap();
    assert_eq!(kept.settings.files["/opt/app/configuration.py"].text, "# other\n");
}

#[tokio::test(flavor = "current_thread")]
async fn files_go_with_their_release() {
    let world = world().await;
    for (id, tag) in [("d-2", "v2"), ("d-3", "v3"), ("d-4", "v4"), ("d-5", "v1")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    assert!(!world.file_of(2).exists(), "the release is not kept any more");
    assert!(world.file_of(3).exists(), "the release is kept whole");
    let refused = world.deploy("d-6", "crash").await.unwrap();
    assert_eq!(refused.exit().code(), 1, "{refused:?}");
    assert!(!world.state().join("releases/6/files").exists(), "the release was refused");
    assert!(world.file_of(5).exists(), "the old release still needs its own");
}

/// Whatever is cut off wherever: a release that is given up leaves no file, one that is deployed has it whole.
#[tokio::test(flavor = "current_thread")]
async fn a_run_that_is_killed_anywhere_and_undone_leaves_no_file() {
    crate::kills::tell_only_other_panics();
    let whole = world().await;
    whole.deploy("d-2", "v2").await.unwrap();
    let entries = whole.entries();
    let calls = whole.engine.calls_made();
    let sites = (0..calls)
        .step_by(5)
        .map(Site::AfterCall)
        .chain((0..entries).flat_map(|n| [Site::BeforeEntry(n), Site::AfterEntry(n)]));
    let (mut undone, mut done) = (0, 0);
    for site in sites {
        let world = world().await;
        if matches!(world.deploy_killed(site, "d-2", "v2").await, Run::Ended) {
            continue;
        }
        world.recover().await.unwrap();
        let folder = world.state().join("releases/2/files");
        if let Some("v1") = world.serving().as_deref() {
            assert!(!folder.exists(), "{site:?}: a file is left of a release that was undone");
            undone += 1;
        } else {
            let text = std::fs::read_to_string(world.file_of(2)).unwrap();
            assert!(text.contains(SECRET), "{site:?}: {text}");
            done += 1;
        }
        assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
        world.assert_settled("v3");
        assert!(std::fs::read_to_string(world.file_of(live_release(&world))).unwrap().contains(SECRET));
    }
    assert!(undone > 15 && done > 5, "{undone} undone, {done} done");
}

fn live_release(world: &World) -> u64 {
    world.engine.container("status-page-web").unwrap().labels["handover.release"].parse().unwrap()
}

/// What was half-written when the process was killed is not left beside what is written in its place.
#[tokio::test(flavor = "current_thread")]
async fn the_same_run_writes_its_files_anew() {
    let whole = world().await;
    whole.deploy("d-2", "v2").await.unwrap();
    let journal = std::fs::read_to_string(whole.journal()).unwrap();
    let is_done = |line: &str| line.contains("\"entry\":\"done\",\"step\":\"write-files\"");
    let done = journal.lines().position(is_done).expect("the step is in the journal");

    let world = world().await;
    let killed = world.deploy_killed(Site::BeforeEntry(done), "d-2", "v2").await;
    assert!(matches!(killed, Run::Killed) && world.file_of(2).exists());
    let folder = world.file_of(2).parent().unwrap().to_owned();
    std::fs::write(folder.join(".tmpABCDEF"), "half of it").unwrap();
    world.aws.set_secret(r#"{"password": "rotated-password"}"#);
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    let text = std::fs::read_to_string(world.file_of(2)).unwrap();
    assert!(text.contains(SECRET), "the same versions of the secrets are rendered: {text}");
}

/// The process that sees the failure has read no secret, and the container has it only from its file.
#[tokio::test(flavor = "current_thread")]
async fn what_a_container_prints_of_its_file_is_masked_by_a_later_process() {
    let world = world().await;
    world.edit("DATABASE_PASSWORD = { secret = \"database.password\" }", "OTHER = \"x\"");
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    let mut image = Image::new(REPOSITORY, "prints", &Image::digest_of("prints"));
    let line = |text: &str| LogLine { stream: Stream::Stdout, bytes: text.as_bytes().to_vec() };
    image.logs = vec![line(&format!("tried the password {SECRET}")), line("on db.internal")];
    world.engine.add_image(image.guarded("AWS", "canary-token"));
    for until in [Phase::Prepare, Phase::Settle] {
        assert_eq!(world.hook("d-2", "prints", until).await.unwrap().exit().code(), 0);
    }
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let result = world.hook("d-2", "prints", Phase::Finish).await;
    world.assert_no_secret(&result);
    let evidence = result.unwrap().evidence().to_vec();
    assert!(evidence.contains(&"tried the password ***".to_owned()), "{evidence:?}");
    assert!(evidence.contains(&"on db.internal".to_owned()), "{evidence:?}");
}

/// The variables of a file of the bundle are part of the release, and what is kept with it is enough to deploy it again.
#[tokio::test(flavor = "current_thread")]
async fn a_file_of_variables_is_part_of_the_release_and_kept_with_it() {
    let world = World::with_v1().await;
    // What is kept with a release is in a folder of its own, and the world's bundle is read like that.
    let file = world.bundle().join("bundle/env/common.env");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "# all groups\nONE=from the file\nTWO=\"as it is\" \n").unwrap();
    world.edit("[environment]", "[environment]\nfrom = [\"./env/common.env\"]\nONE = \"from the table\"");
    let outcome = async |id| world.deploy(id, "v2").await.unwrap().outcome.word();
    assert_eq!((outcome("d-2").await, outcome("d-3").await), ("deployed", "unchanged"));
    let live = world.host().docker.inspect("status-page-web").await.unwrap().unwrap();
    let value = |name: &str| {
        let found = live.environment.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| secrecy::ExposeSecret::expose_secret(value).to_owned()).unwrap_or_default()
    };
    assert_eq!((value("ONE").as_str(), value("TWO").as_str()), ("from the table", "\"as it is\" "));
    std::fs::write(&file, "TWO=changed\n").unwrap();
    assert_eq!(outcome("d-4").await, "deployed");
    std::fs::remove_dir_all(world.bundle()).unwrap();
    let releases = Releases::of(&world.state());
    let kept = releases.config(releases.last_good().unwrap().release).unwrap().unwrap();
    assert_eq!(format!("{:?}", kept.settings.environment["TWO"]), "Literal(\"changed\")");
}
