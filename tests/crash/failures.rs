//! Single failures, and what is made of them: nothing changes before the switch, the old release serves after it.

use fake_docker::{Behaviour, Fate, Image};
use handover::deploy::{DeployError, Request};
use handover::model::Phase;
use handover::report::Outcome;
use handover::report::Report;
use handover::signal::Termination;
use tokio::sync::watch;

use crate::world::{REPOSITORY, SECRET, World, cause};

/// The deployment fails with these words, live is exactly as it was, and nothing is left of the new release.
async fn assert_untouched(world: &World, result: Result<Report, DeployError>, words: &[&str]) {
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert!(matches!(report.outcome, Outcome::Reverted { serving: true }), "{report:?}");
    assert_eq!(report.exit().code(), 1);
    let cause = cause(&report);
    for word in words {
        assert!(cause.contains(word), "'{word}' is missing: {cause}");
    }
    assert_eq!(world.engine.containers().len(), 1);
    world.assert_settled("v1");
    assert!(world.recover().await.unwrap().is_none(), "there is nothing to recover");
}

macro_rules! untouched {
    ($($name:ident: $tag:expr, $break_it:expr, $words:expr;)*) => {$(
        #[tokio::test(flavor = "current_thread")]
        async fn $name() {
            let world = World::with_v1().await;
            let before = world.live_hash();
            let break_it: fn(&World) = $break_it;
            break_it(&world);
            let result = world.deploy("d-2", $tag).await;
            assert_eq!(world.live_hash(), before);
            assert_untouched(&world, result, &$words).await;
        }
    )*};
}

untouched! {
    a_tag_that_is_not_there: "nope", |_| {},
        ["status-page:nope", "manifest unknown", "tag 'nope' is not in", "account 123456789012 in eu-west-1"];
    a_repository_that_is_not_there: "v2", |w| w.edit("amazonaws.com/status-page\"", "amazonaws.com/statuspage\""),
        ["statuspage:v2", "name unknown", "no repository 'statuspage'"];
    a_registry_that_is_down: "v2", |w| w.engine.registry_down(Some("dial tcp: connect: connection refused")),
        ["status-page:v2", "connection refused", "asked 5 times", "com.amazonaws.eu-west-1.ecr.dkr"];
    a_pull_that_fails_in_its_stream: "full", |w| {
            let mut image = Image::new(REPOSITORY, "full", &Image::digest_of("full"));
            image.pull_fails = Some("write /var/lib/docker/tmp: no space left on device".to_owned());
            w.engine.add_image(image.guarded("AWS", "canary-token"));
        },
        ["pull", "no space left on device"];
    a_password_that_the_registry_does_not_take: "other", |w| {
            let image = Image::new("123456789012.dkr.ecr.eu-west-1.amazonaws.com/locked", "other", &Image::digest_of("v2"));
            w.engine.add_image(image.guarded("AWS", "another-token"));
            w.edit("amazonaws.com/status-page\"", "amazonaws.com/locked\"");
        },
        ["locked:other", "unauthorized", "asked 3 times", "does not accept ECR's token for eu-west-1"];
    no_permission_for_a_password: "v2", |w| w.aws.refuse(
            "GetAuthorizationToken", 400, "AccessDeniedException", "not authorized to perform: ecr:GetAuthorizationToken"),
        ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr:GetAuthorizationToken", "AccessDeniedException"];
    no_permission_for_the_secret: "v2", |w| w.aws.refuse(
            "GetSecretValue", 400, "AccessDeniedException", "not authorized to perform: secretsmanager:GetSecretValue"),
        ["prod/database", "AccessDeniedException", "secretsmanager:GetSecretValue"];
    a_secret_that_is_not_there: "v2", |w| w.aws.refuse(
            "GetSecretValue", 400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        ["prod/database", "ResourceNotFoundException", "can't find"];
    a_field_that_the_secret_lacks: "v2", |w| w.edit("database.password", "database.pasword"),
        ["DATABASE_PASSWORD", "'pasword'", "prod/database", "'password'"];
    a_secret_that_is_no_json: "v2", |w| w.aws.set_secret(&format!("{{\"password\": \"{SECRET}\", oops")),
        ["prod/database", "not a JSON object", "line 1"];
    a_secret_that_is_a_list: "v2", |w| w.aws.set_secret(&format!("[\"{SECRET}\"]")),
        ["prod/database", "not an object"];
    a_secret_with_a_field_of_fields: "v2", |w| w.aws.set_secret(&format!("{{\"password\": {{\"x\": \"{SECRET}\"}}}}")),
        ["prod/database", "'password'", "an object"];
    a_secret_whose_host_is_another: "v2", |w| w.aws.set_secret(&format!("{{\"host\": \"elsewhere\", \"password\": \"{SECRET}\"}}")),
        ["clashes", "'host'", "prod/database"];
}

/// The Engine says 200 before it begins to pull; a stream that ends early has no error in it.
#[tokio::test(flavor = "current_thread")]
async fn a_pull_that_ends_without_an_image_is_no_success() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    world.engine.on_call(Box::new(|call| {
        let pull = call.path.ends_with("/images/create");
        if pull { Fate::Refuse(200, "no error".to_owned()) } else { Fate::Proceed }
    }));
    let result = world.deploy("d-2", "v2").await;
    assert_eq!(world.live_hash(), before);
    assert_untouched(&world, result, &["lacks the image"]).await;
}

#[tokio::test(flavor = "current_thread")]
async fn releases_that_are_not_healthy_are_refused_with_the_reason() {
    for (tag, words) in [
        ("crash", ["exited with code 1", "status-page-web.r2"]),
        ("error", ["answered with status 500", "status-page-web.r2"]),
        ("silent", ["could not connect", "status-page-web.r2"]),
        ("late", ["exited with code 1", "status-page-web.r2"]),
    ] {
        let world = World::with_v1().await;
        world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
        world.edit("successes = 2", "successes = 6");
        let result = world.deploy("d-2", tag).await;
        assert_untouched(&world, result, &words).await;
    }
}

/// A database that is down makes both releases sick: neither is refused for being sick before, and the report says so.
#[tokio::test(flavor = "current_thread")]
async fn what_was_sick_before_the_switch_is_told_and_is_no_reason_to_refuse() {
    let world = World::new().await;
    // Of the release that is put back, too: it is looked at as long.
    world.edit("deadline = \"30s\"", "deadline = \"2s\"");
    world.edit("interval = \"1ms\"", "interval = \"10ms\"");
    world.deploy("d-1", "v1").await.unwrap();
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.deploy("d-2", "error").await.unwrap();
    let told = cause(&report);
    for words in [
        "status 500",
        "the release before, status-page-web (r1), failed in the same way right before the switch",
        "look at what both releases need",
    ] {
        assert!(told.contains(words), "'{words}' is missing: {told}");
    }
    // In another way: it is not called the same.
    let report = world.deploy("d-3", "crash").await.unwrap();
    assert!(!cause(&report).contains("the release before"), "{report:?}");
    let note = "status-page-web (r1) was not healthy before the switch: ";
    assert!(report.notes.iter().any(|said| said.starts_with(note)), "{report:?}");
    // The new release may be the remedy.
    let report = world.deploy("d-4", "v2").await.unwrap();
    assert_eq!(report.outcome.word(), "deployed", "{report:?}");
    assert!(report.notes.iter().any(|said| said.starts_with(note)), "{report:?}");
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn errors_and_nothing_else_are_remarked_on_while_they_are_waited_for() {
    let world = World::with_v1().await;
    world.edit("deadline = \"30s\"", "deadline = \"300ms\"");
    let report = world.deploy("d-2", "error").await.unwrap();
    assert!(world.heard.all().contains("web: 3 of 3 answers were errors"), "{}", world.heard.all());
    assert!(cause(&report).contains("are all migrations made?"), "{report:?}");
    // What it answers is quoted: the fake answers with its digest.
    assert!(cause(&report).contains(&format!(": '{}'", Image::digest_of("error"))), "{report:?}");
    world.assert_settled("v1");
}

#[tokio::test(flavor = "current_thread")]
async fn a_health_check_that_the_image_does_not_have_is_found_before_live_is_touched() {
    let world = World::with_v1().await;
    world.edit("http = \"/\"", "docker = true");
    let before = world.live_hash();
    let result = world.deploy("d-2", "v2").await;
    assert_eq!(world.live_hash(), before);
    assert_untouched(&world, result, &["the image has no HEALTHCHECK", "[process.web.health]"]).await;
    // With one, its command is run at our interval and not at the Engine's.
    let mut image =
        Image::new(REPOSITORY, "checked", &Image::digest_of("checked")).guarded("AWS", "canary-token");
    image.config.healthcheck = Some(fake_docker::Healthcheck {
        test: vec!["CMD".to_owned(), "/app".to_owned(), "check".to_owned()],
        interval: std::time::Duration::ZERO,
        retries: 0,
    });
    world.engine.add_image(image);
    let report = world.deploy("d-3", "checked").await.unwrap();
    assert_eq!(report.outcome.word(), "deployed", "{report:?}");
    assert!(world.engine.calls().iter().any(|call| call.path.contains("/exec")), "it was not run");
}

#[tokio::test(flavor = "current_thread")]
async fn a_container_that_cannot_start_is_refused_with_the_engines_words() {
    let world = World::with_v1().await;
    let image = Image::new(REPOSITORY, "broken", &Image::digest_of("broken"));
    world.engine.add_image(image.behaving(Behaviour::EntrypointMissing).guarded("AWS", "canary-token"));
    let result = world.deploy("d-2", "broken").await;
    assert_untouched(&world, result, &["start container", "no such file or directory"]).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_first_deployment_that_is_refused_leaves_nothing_and_says_that_nothing_serves() {
    for tag in ["crash", "late", "nope"] {
        let world = World::new().await;
        world.edit("successes = 2", "successes = 6");
        let report = world.deploy("d-1", tag).await.unwrap();
        assert!(matches!(report.outcome, Outcome::Reverted { serving: false }), "{report:?}");
        assert_eq!(report.exit().code(), 3, "{report:?}");
        assert_eq!(world.engine.containers(), []);
        // The next one is a first one again.
        let report = world.deploy("d-2", "v1").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        world.assert_settled("v1");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_to_change_touches_nothing_and_asks_aws_once_each() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    world.aws.take_calls();
    let report = world.deploy("d-2", "v1").await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("unchanged", 0));
    assert_eq!(report.release.0, 1, "the release that serves is told");
    assert_eq!(world.live_hash(), before);
    let mut calls = world.aws.take_calls();
    calls.sort();
    assert_eq!(calls, ["GetAuthorizationToken", "GetSecretValue"]);
    assert!(world.engine.calls().iter().all(|call| !call.mutating));
    // Another version of the secret is a change.
    world.aws.set_secret("{\"password\": \"another-password\"}");
    assert_eq!(world.deploy("d-3", "v1").await.unwrap().outcome.word(), "deployed");
    assert!(
        world
            .engine
            .container("status-page-web")
            .unwrap()
            .env
            .contains(&"DATABASE_PASSWORD=another-password".to_owned())
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_sick_release_is_made_anew_by_deploying_it_again() {
    let world = World::with_v1().await;
    let sick = world.engine.container("status-page-web").unwrap().id;
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.deploy("d-2", "v1").await.unwrap();
    assert_eq!(report.outcome.word(), "deployed", "{report:?}");
    world.assert_settled("v1");
    assert_ne!(world.engine.container("status-page-web").unwrap().id, sick);
}

#[tokio::test(flavor = "current_thread")]
async fn a_release_that_fails_after_the_commit_is_handed_back() {
    let world = World::with_v1().await;
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    let waiting = world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    assert_eq!(waiting.outcome, Outcome::Waiting);
    world.assert_settled("v2");
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let report = world.hook("d-2", "v2", Phase::Finish).await;
    world.assert_no_secret(&report);
    let report = report.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert!(cause(&report).contains("'status-page-web'"), "{report:?}");
    world.assert_settled("v1");
    assert!(world.engine.container("status-page-web.r2").is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn a_container_of_somebody_elses_is_refused_by_name_and_left_alone() {
    let world = World::new().await;
    // Made by us, for another app of the same name but for its dash: its live name is the same.
    world.edit("app = \"status-page\"", "app = \"status\"");
    world.edit("[process.web]", "[process.page-web]");
    world.edit("[process.web.health]", "[process.page-web.health]");
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    let before = world.live_hash();
    world.edits.lock().unwrap().clear();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.outcome.word(), "reverted", "{report:?}");
    assert!(cause(&report).contains("'status-page-web'"), "{report:?}");
    assert_eq!(world.live_hash(), before);
    assert_eq!(world.engine.containers().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn asked_to_stop_during_the_gate_the_old_release_serves_again() {
    let world = World::with_v1().await;
    let (ask, asked) = watch::channel(false);
    let run = world.run(Request { termination: Termination::when(asked), ..world.request("d-2", "error") });
    let asker = async {
        // It was probed: the gate is at work.
        while world.engine.container("status-page-web.r2").is_none_or(|c| c.probes == 0) {
            tokio::task::yield_now().await;
        }
        ask.send(true).unwrap();
    };
    let (result, ()) = tokio::join!(run, asker);
    assert_untouched(&world, result, &["asked to stop", "healthy"]).await;
}

#[tokio::test(flavor = "current_thread")]
async fn asked_to_stop_before_it_began_it_begins_nothing() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    let (_ask, asked) = watch::channel(true);
    let request = Request { termination: Termination::when(asked), ..world.request("d-2", "v2") };
    let error = world.run(request).await.unwrap_err();
    assert!(matches!(error, DeployError::Interrupted), "{error}");
    assert_eq!(world.live_hash(), before);
    assert!(world.recover().await.unwrap().is_none(), "there is nothing to recover");
}

/// What Docker 20.10 does after a power cut in the middle of a start; seen in the lab.
#[tokio::test(flavor = "current_thread")]
async fn a_port_that_docker_keeps_for_nobody_is_told_apart() {
    let world = World::with_v1().await;
    let words = format!(
        "driver failed programming external connectivity on endpoint status-page-web.r2: Bind for 127.0.0.1:{} failed: port is already allocated",
        world.port
    );
    let once = std::sync::atomic::AtomicBool::new(true);
    world.engine.on_call(Box::new(move |call| {
        let is_start = call.path.ends_with("/start");
        if is_start && once.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Fate::Refuse(500, words.clone());
        }
        Fate::Proceed
    }));
    let report = world.deploy("d-2", "v2").await.unwrap();
    let cause = cause(&report);
    assert!(cause.contains("systemctl restart docker"), "{cause}");
    assert_eq!(report.exit().code(), 1, "{report:?}");
    world.assert_settled("v1");
}
