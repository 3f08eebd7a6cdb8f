//! The way back to an earlier release: which one, with what, and whatever is gone.

use std::sync::atomic::Ordering;

use fake_docker::{Behaviour, Image};
use handover::deploy::rollback::standing::{standings, text};
use handover::deploy::rollback::{RollbackError, Wanted, choose};
use handover::deploy::{DeployError, Request};
use handover::model::{Explain as _, ReleaseNumber};
use handover::report::Report;
use handover::state::{Blocked, Record, Releases, Verdict};

use crate::kills::tell_only_other_panics;
use crate::origin::Origin;
use crate::whole;
use crate::world::{REPOSITORY, Run, SECRET, Site, World, cause};

const DENIED: &str = "User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform this";

fn to(release: u64) -> Wanted {
    Wanted { release: Some(ReleaseNumber(release)), ..Wanted::default() }
}

async fn request(world: &World, id: &str, wanted: Wanted) -> Result<Request, RollbackError> {
    let chosen = choose(&"status-page".parse().unwrap(), &world.host(), wanted).await?;
    Ok(Request {
        config: chosen.config,
        group: chosen.group,
        rollback: Some(chosen.rollback),
        command: "rollback".to_owned(),
        hook: false,
        ..world.request(id, "v1")
    })
}

async fn run(world: &World, id: &str, wanted: Wanted) -> Result<Report, DeployError> {
    world.run(request(world, id, wanted).await.unwrap_or_else(|error| panic!("{error}"))).await
}

/// A way back that succeeds.
pub async fn back(world: &World, id: &str, wanted: Wanted) -> Report {
    let result = run(world, id, wanted).await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (0, "deployed"), "{report:?}");
    report
}

async fn refusal(world: &World, wanted: Wanted) -> String {
    let error = request(world, "op-9", wanted).await.unwrap_err();
    format!("{error}; {}", error.fix().unwrap_or_default())
}

fn record(world: &World, release: u64) -> Record {
    Releases::of(&world.state()).record(ReleaseNumber(release)).unwrap().unwrap()
}

/// `v1`, and then `v2` that is to be gone back from.
async fn world() -> World {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    world
}

/// AWS gives nothing, nor does the registry.
fn cut_off(world: &World) {
    for action in ["GetSecretValue", "GetAuthorizationToken", "GetParameter", "GetParametersByPath"] {
        world.aws.refuse(action, 400, "AccessDeniedException", DENIED);
    }
    world.engine.registry_down(Some("dial tcp: i/o timeout"));
}

#[tokio::test(flavor = "current_thread")]
async fn the_digests_and_the_configuration_of_then_come_back_under_a_new_number() {
    let world = World::with_v1().await;
    world.edit("[environment]\n", "[environment]\nNEWER = \"1\"\n");
    world.deploy("d-2", "v2").await.unwrap();
    // What the tag means now is no matter.
    world.engine.retag(REPOSITORY, "v1", &Image::digest_of("v3"));
    world.aws.take_calls();
    let report = back(&world, "op-1", Wanted::default()).await;
    assert_eq!(report.release.0, 3);
    world.assert_settled("v1");
    assert_eq!(world.aws.take_calls(), ["GetSecretValue"], "nobody asked for the registry");
    let live = world.engine.container("status-page-web").unwrap();
    assert!(!live.env.iter().any(|variable| variable.starts_with("NEWER")), "{:?}", live.env);
    let record = record(&world, 3);
    assert_eq!((record.rollback_to, &record.verdict), (Some(ReleaseNumber(1)), &Verdict::Good));
    assert_eq!(record.secret_versions.len(), 1);
    // And what is deployed next is an ordinary deployment.
    assert_eq!(world.deploy("d-3", "v4").await.unwrap().exit().code(), 0);
    world.assert_settled("v4");
}

#[tokio::test(flavor = "current_thread")]
async fn who_goes_back_twice_does_not_come_out_where_it_began() {
    let world = world().await;
    world.deploy("d-3", "v3").await.unwrap();
    back(&world, "op-1", Wanted::default()).await;
    world.assert_settled("v2");
    back(&world, "op-2", to(3)).await;
    world.assert_settled("v3");
    back(&world, "op-3", to(4)).await;
    world.assert_settled("v2");
    let error = refusal(&world, Wanted::default()).await;
    assert!(error.contains("there is no earlier good release of status-page"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_nothing_to_go_back_to_is_said() {
    let world = World::with_v1().await;
    let error = refusal(&world, Wanted::default()).await;
    assert!(error.contains("there is no earlier good release"), "{error}");
    world.deploy("d-2", "crash").await.unwrap();
    world.deploy("d-3", "v2").await.unwrap();
    world.deploy("d-4", "v2").await.unwrap();
    for (release, words) in [
        (9, "nothing is known of status-page r9"),
        (2, "r2 is not kept any more"),
        (4, "it was the same as r3"),
    ] {
        let error = refusal(&world, to(release)).await;
        assert!(error.contains(words) && error.contains("handover releases"), "{error}");
    }
    let path = world.state().join("releases/1/record.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    let error = refusal(&world, to(1)).await;
    assert!(error.contains("record.json' is damaged"), "{error}");
    // A later version says more of it, and of how it went.
    std::fs::write(&path, whole.replacen('{', "{\n\"more\": [1],", 1)).unwrap();
    request(&world, "op-1", to(1)).await.unwrap();
    std::fs::write(&path, whole.replace("\"good\"", "\"superb\"")).unwrap();
    let error = refusal(&world, to(1)).await;
    assert!(error.contains("another version says how it went"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = refusal(&world, to(1)).await;
    assert!(error.contains("nothing is known of status-page r1"), "{error}");
    std::fs::write(&path, whole).unwrap();
    std::fs::remove_file(world.state().join("releases/1/handover.toml")).unwrap();
    let error = refusal(&world, to(1)).await;
    assert!(error.contains("the configuration of status-page r1 is lost"), "{error}");
}

/// With a file that is rendered from the secret, and a variable with a template.
#[tokio::test(flavor = "current_thread")]
async fn with_all_of_aws_down_the_secrets_are_those_that_are_kept() {
    let world = World::new().await;
    let file = world.add_file("PASSWORD = {{ database.password | python }}\n");
    world.edit(
        "[environment]\n",
        "[environment]\nURL = { template = \"pg://{{ database.username }}:{{ database.password | urlencode }}@{{ database.host }}/x\" }\n",
    );
    for (id, tag) in [("d-1", "v1"), ("d-2", "v2")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    let before = world.engine.container("status-page-web.r1").unwrap();
    cut_off(&world);
    let report = back(&world, "op-1", Wanted::default()).await;
    world.assert_settled("v1");
    let live = world.engine.container("status-page-web").unwrap();
    assert_eq!(live.env, before.env, "the same, value by value");
    assert!(live.env.iter().any(|variable| variable.contains(SECRET)));
    let rendered = |release| std::fs::read_to_string(world.file_of(release)).unwrap();
    assert_eq!(rendered(3), rendered(1), "{file}");
    assert!(report.notes.iter().any(|note| note.contains("secret database as of 20")), "{:?}", report.notes);
    let record = record(&world, 3);
    assert!(record.kept_secrets.contains("database") && record.secret_versions.is_empty(), "{record:?}");
    // Once AWS answers, what was not verified is deployed anew.
    for action in ["GetSecretValue", "GetAuthorizationToken"] {
        world.aws.allow(action);
    }
    world.engine.registry_down(None);
    assert_eq!(world.deploy("d-4", "v1").await.unwrap().outcome.word(), "deployed");
}

#[tokio::test(flavor = "current_thread")]
async fn a_parked_container_that_somebody_pruned_is_made_again() {
    let world = world().await;
    world.host().docker.remove("status-page-web.r1").await.unwrap();
    cut_off(&world);
    let report = back(&world, "op-1", Wanted::default()).await;
    world.assert_settled("v1");
    assert!(report.notes.iter().any(|note| note.contains("(r2), not verified")), "{:?}", report.notes);
    let live = world.engine.container("status-page-web").unwrap();
    assert!(live.env.iter().any(|variable| *variable == format!("DATABASE_PASSWORD={SECRET}")));
}

#[tokio::test(flavor = "current_thread")]
async fn what_cannot_be_had_at_all_is_named_and_live_is_not_touched() {
    let world = World::with_v1().await;
    // The newer release does not have the password any more.
    world.edit("DATABASE_PASSWORD = { secret = \"database.password\" }\n", "");
    world.deploy("d-2", "v2").await.unwrap();
    world.host().docker.remove("status-page-web.r1").await.unwrap();
    cut_off(&world);
    let hash = world.live_hash();
    let result = run(&world, "op-1", Wanted::default()).await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    let why = cause(&report);
    assert_eq!(report.exit().code(), 1, "{report:?}");
    for words in ["secret database: ", "'password'", "'DATABASE_PASSWORD'", "secretsmanager:GetSecretValue"] {
        assert!(why.contains(words), "'{words}' is not in {why}");
    }
    assert_eq!(world.live_hash(), hash);
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_that_is_gone_is_pulled_by_its_digest_or_the_way_back_is_refused() {
    for reachable in [true, false] {
        let world = world().await;
        let docker = world.host().docker;
        docker.remove("status-page-web.r1").await.unwrap();
        docker.remove_tag("handover/status-page", "r1").await.unwrap();
        docker.remove_image(&record(&world, 1).images.into_values().next().unwrap()).await.unwrap();
        assert!(!world.engine.images().iter().any(|image| image.contains(&Image::digest_of("v1"))));
        world.engine.retag(REPOSITORY, "v1", &Image::digest_of("v3"));
        let told = text(&[standings(&"status-page".parse().unwrap(), &world.host()).await.unwrap()]);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("is gone from this instance: it is pulled by its digest"), "{told}");
        if reachable {
            back(&world, "op-1", Wanted::default()).await;
            world.assert_settled("v1");
        } else {
            cut_off(&world);
            let hash = world.live_hash();
            let report = run(&world, "op-1", Wanted::default()).await.unwrap();
            assert_eq!(report.exit().code(), 1, "{report:?}");
            assert_eq!(world.live_hash(), hash);
            world.assert_settled("v2");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn across_a_schema_move_it_takes_a_word_and_tasks_are_left_out() {
    let world = whole::world().await;
    whole::add_images(&world, &Behaviour::ExitsAtOnce(0));
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    assert!(record(&world, 2).moved_schema().next().is_some());
    let error = refusal(&world, Wanted::default()).await;
    assert!(
        error.contains("task migrate of r2 moved the schema of a database, and r1 is from before"),
        "{error}"
    );
    assert!(error.contains("--across-migration"), "{error}");
    let told = text(&[standings(&"status-page".parse().unwrap(), &world.host()).await.unwrap()]);
    assert!(
        told.contains("r1") && told.contains("NOT as it is") && told.contains("--across-migration"),
        "{told}"
    );
    world.engine.forget_calls();
    back(&world, "op-1", Wanted { across_migration: true, ..Wanted::default() }).await;
    whole::assert_settled(&world, 3);
    let started = whole::started(&world);
    assert!(!started.iter().any(|one| one == "migrate" || one == "smoke"), "{started:?}");
    assert!(record(&world, 3).tasks.is_empty());
}

/// A release that was refused may have moved a schema all the same, and is not kept any more.
#[tokio::test(flavor = "current_thread")]
async fn a_schema_that_a_refused_release_has_moved_counts() {
    let world = whole::world().await;
    whole::add_images(&world, &Behaviour::ExitsAtOnce(0));
    assert_eq!(world.deploy("d-2", "crash").await.unwrap().exit().code(), 1);
    world.edit("schema = true\n", "");
    assert_eq!(world.deploy("d-3", "v2").await.unwrap().exit().code(), 0);
    assert!(!Releases::of(&world.state()).folder(ReleaseNumber(2)).exists());
    let error = refusal(&world, to(1)).await;
    assert!(error.contains("task migrate of r2 moved the schema"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_refused_puts_back_what_served() {
    let world = world().await;
    let image = Image::new(REPOSITORY, "v1", &Image::digest_of("v1")).behaving(Behaviour::ExitsAtOnce(1));
    whole::replace(&world, image);
    let docker = world.host().docker;
    docker.remove("status-page-web.r1").await.unwrap();
    docker.remove_tag("handover/status-page", "r1").await.unwrap();
    docker.remove_image(&record(&world, 1).images.into_values().next().unwrap()).await.unwrap();
    let wanted = Wanted { block_digest: true, ..Wanted::default() };
    let report = run(&world, "op-1", wanted).await.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (1, "reverted"), "{report:?}");
    world.assert_settled("v2");
    assert!(Blocked::of(&world.state()).all().unwrap().is_empty(), "what serves is not blocked");
}

#[tokio::test(flavor = "current_thread")]
async fn a_blocked_digest_is_refused_until_it_is_released() {
    let world = world().await;
    back(&world, "op-1", Wanted { block_digest: true, ..Wanted::default() }).await;
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let (why, digest) = (cause(&report), record(&world, 2).images.into_values().next().unwrap().digest);
    assert!(
        why.contains("is blocked on this instance since") && why.contains("r2 was gone back from"),
        "{why}"
    );
    assert!(why.contains(&format!("handover releases --unblock {}", digest.short())), "{why}");
    world.assert_settled("v1");
    let error = run(&world, "op-2", to(2)).await.unwrap();
    assert!(cause(&error).contains("is blocked"), "{error:?}");
    let told = text(&[standings(&"status-page".parse().unwrap(), &world.host()).await.unwrap()]);
    assert!(told.contains("r2") && told.contains("is blocked: handover releases --unblock"), "{told}");
    assert!(told.lines().all(|line| line.len() <= 80), "{told}");
    assert_eq!(Blocked::of(&world.state()).release(digest.short()).unwrap(), [digest]);
    assert_eq!(world.deploy("d-4", "v2").await.unwrap().exit().code(), 0);
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn what_can_be_gone_back_to_is_told() {
    let world = world().await;
    let app = "status-page".parse().unwrap();
    let told = text(&[standings(&app, &world.host()).await.unwrap()]);
    assert!(told.starts_with("status-page: r2 is live\nr1 "), "{told}");
    assert!(told.contains("can be gone back to") && told.lines().count() == 2, "{told}");
    world.host().docker.remove("status-page-web.r1").await.unwrap();
    std::fs::write(world.state().join("releases/1/handover.toml"), "app = 1").unwrap();
    let told = text(&[standings(&app, &world.host()).await.unwrap()]);
    assert!(told.contains("NOT as it is") && told.contains("is not understood"), "{told}");
}

/// Under traffic, with AWS cut off: no new connection is lost.
#[tokio::test(flavor = "current_thread")]
async fn start_first_nobody_is_lost_on_the_way_back() {
    let world = World::new().await;
    world.edit("order = \"stop-first\"", "order = \"start-first\"\ndrain = \"0s\"");
    world.edit("[secret.database]", "[bake]\nduration = \"0s\"\n[secret.database]");
    for (id, tag) in [("d-1", "v1"), ("d-2", "v2")] {
        assert_eq!(world.deploy(id, tag).await.unwrap().exit().code(), 0);
    }
    cut_off(&world);
    let lost = world.connections_at_every_call();
    let report = back(&world, "op-1", Wanted::default()).await;
    assert!(!lost.load(Ordering::Relaxed));
    assert_eq!(report.unhealthy_ms, None, "there is no gap");
    world.engine.let_all_proceed();
    world.assert_settled("v1");
    assert_eq!(world.traffic().as_deref(), Some("v1"));
}

/// Killed anywhere, with AWS cut off from the beginning: whoever recovers it leaves one release, whole.
#[tokio::test(flavor = "current_thread")]
async fn killed_at_every_step() {
    tell_only_other_panics();
    let undisturbed = world().await;
    cut_off(&undisturbed);
    undisturbed.engine.forget_calls();
    back(&undisturbed, "op-1", Wanted { block_digest: true, ..Wanted::default() }).await;
    let (calls, entries) = (undisturbed.engine.calls(), undisturbed.entries());
    let (mut origin, mut killed) = (Origin::of(world().await), 0);
    for site in Site::all(&calls, entries) {
        let world = origin.world();
        cut_off(world);
        let wanted = Wanted { block_digest: true, ..Wanted::default() };
        let run = world.killed(site, async { run(world, "op-1", wanted).await }).await;
        killed += usize::from(matches!(run, Run::Killed));
        world.recover().await.unwrap();
        let serving = world.serving().unwrap_or_else(|| panic!("nothing serves after {site:?}"));
        assert!(["v1", "v2"].contains(&serving.as_str()), "{serving}");
        world.assert_settled(&serving);
        let blocked = !Blocked::of(&world.state()).all().unwrap().is_empty();
        assert_eq!(blocked, serving == "v1", "{site:?}");
    }
    assert!(killed > 70, "only {killed} sites were reached");
    origin.world();
}
