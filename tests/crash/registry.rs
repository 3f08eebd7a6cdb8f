//! The registry's moods: what is asked again, what is not, and who is asked how.

use std::time::{Duration, Instant};

use fake_docker::{Image, Mood};
use handover::deploy::Request;
use handover::deploy::clock::Clock;
use handover::report::Report;

use crate::world::{REPOSITORY, SECRET, World, cause};

/// The cause and every finding, with their ways out.
fn told(report: &Report) -> String {
    cause(report)
}

/// How often the Engine was asked to look and to pull.
fn asked(world: &World) -> (usize, usize) {
    let calls = world.engine.calls();
    let count = |what: &str| calls.iter().filter(|call| call.path.contains(what)).count();
    (count("/distribution/"), count("/images/create"))
}

#[tokio::test(flavor = "current_thread")]
async fn what_may_pass_is_asked_again() {
    for mood in [
        Mood::Says("toomanyrequests: Rate exceeded"),
        Mood::Fails("received unexpected HTTP status: 503 Service Unavailable"),
        Mood::Fails("dial tcp 10.0.0.1:443: i/o timeout"),
        Mood::Fails("read tcp 10.0.0.2:4711->10.0.0.1:443: read: connection reset by peer"),
        Mood::Fails("EOF"),
    ] {
        let world = World::with_v1().await;
        let often = vec![mood.clone(); 4];
        world
            .engine
            .registry_moods(often.iter().cloned().chain([Mood::Answers]).chain(often.iter().cloned()));
        let report = world.deploy("d-2", "v2").await.unwrap();
        assert_eq!(report.outcome.word(), "deployed", "{mood:?}: {report:?}");
        assert_eq!(asked(&world), (5, 5), "{mood:?}");
        world.assert_settled("v2");
    }
}

/// A pull-through cache says what a tag means before it has the image.
#[tokio::test(flavor = "current_thread")]
async fn what_a_tag_means_is_asked_again_while_it_is_not_there_yet() {
    let world = World::with_v1().await;
    world.engine.registry_moods(std::iter::once(Mood::Answers).chain(vec![Mood::Forgot; 4]));
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().outcome.word(), "deployed");
    assert_eq!(asked(&world), (1, 5));
    world.engine.registry_moods(std::iter::once(Mood::Answers).chain(vec![Mood::Forgot; 5]));
    let report = world.deploy("d-3", "v3").await.unwrap();
    for words in ["sha256:", "asked 5 times", "still be filling", "lifecycle policy"] {
        assert!(told(&report).contains(words), "{report:?}");
    }
    assert!(!told(&report).contains("tag 'v3' is not in"), "{report:?}");
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn a_damaged_download_is_repeated_twice_and_then_told() {
    let spoilt = Mood::Spoils("filesystem layer verification failed for digest sha256:49febd");
    let world = World::with_v1().await;
    world.engine.registry_moods([Mood::Answers, spoilt.clone(), spoilt.clone()]);
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().outcome.word(), "deployed");
    let before = world.live_hash();
    world.engine.registry_moods([Mood::Answers, spoilt.clone(), spoilt.clone(), spoilt]);
    let report = world.deploy("d-3", "v3").await.unwrap();
    assert_eq!(world.live_hash(), before);
    for words in ["verification failed", "asked 3 times", "does not match the manifest"] {
        assert!(told(&report).contains(words), "{report:?}");
    }
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn who_refuses_is_not_asked_again() {
    for (moods, asks, words) in [
        (
            vec![Mood::Says(
                "denied: User: arn:aws:sts::999999999999:assumed-role/web/i-0 is not authorized to perform: ecr:BatchGetImage",
            )],
            (1, 0),
            ["ecr:BatchGetImage on", "repository policy of account 123456789012", "account 999999999999"],
        ),
        (
            vec![
                Mood::Answers,
                Mood::Says(
                    "denied: User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform: ecr:GetDownloadUrlForLayer",
                ),
            ],
            (1, 1),
            ["ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "role needs"],
        ),
        (
            vec![
                Mood::Answers,
                Mood::Says(
                    "denied: User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform: ecr:BatchImportUpstreamImage",
                ),
            ],
            (1, 1),
            ["ecr:BatchImportUpstreamImage and ecr:CreateRepository", "role needs", "pull-through cache"],
        ),
        (
            vec![Mood::Answers, Mood::Fails("unknown blob")],
            (1, 1),
            ["unknown blob", "not everything in it", "push"],
        ),
        (
            vec![Mood::Fails("x509: certificate signed by unknown authority")],
            (1, 0),
            ["x509", "/etc/docker/certs.d/123456789012.dkr.ecr.eu-west-1.amazonaws.com/ca.crt", "authority"],
        ),
    ] {
        let world = World::with_v1().await;
        let before = world.live_hash();
        world.engine.registry_moods(moods);
        let report = world.deploy("d-2", "v2").await.unwrap();
        assert_eq!(world.live_hash(), before);
        assert_eq!(asked(&world), asks, "{report:?}");
        for word in words {
            assert!(told(&report).contains(word), "'{word}' is missing: {report:?}");
        }
        world.assert_settled("v1");
    }
}

/// On a first boot it may take seconds until the role's credentials count everywhere.
#[tokio::test(flavor = "current_thread")]
async fn a_token_that_is_not_taken_is_replaced_by_a_fresh_one() {
    for words in [
        "unauthorized: authentication required",
        "denied: Your authorization token has expired. Reauthenticate and try again.",
    ] {
        let world = World::with_v1().await;
        world.aws.take_calls();
        world.engine.registry_moods([Mood::Says(words), Mood::Says(words), Mood::Answers, Mood::Says(words)]);
        assert_eq!(world.deploy("d-2", "v2").await.unwrap().outcome.word(), "deployed");
        let calls = world.aws.take_calls();
        assert_eq!(
            calls.iter().filter(|call| *call == "GetAuthorizationToken").count(),
            4,
            "{words}: {calls:?}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_pull_of_which_nothing_is_heard_is_cut_off_and_begun_again() {
    let world = World::with_v1().await;
    world.patience.lock().unwrap().silence = Duration::from_millis(300);
    world.engine.registry_moods([Mood::Answers, Mood::Hangs]);
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().outcome.word(), "deployed");
    world.engine.registry_moods([Mood::Answers, Mood::Hangs, Mood::Hangs, Mood::Hangs]);
    let before = world.live_hash();
    let report = world.deploy("d-3", "v3").await.unwrap();
    assert_eq!(world.live_hash(), before);
    for words in ["did not continue to pull", "within 300 ms", "asked 3 times"] {
        assert!(told(&report).contains(words), "{report:?}");
    }
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn a_pull_ends_before_the_hook_does() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    world.engine.registry_moods([Mood::Answers, Mood::Hangs]);
    // Five seconds are kept for the report.
    let clock = Clock::until(Instant::now(), Duration::from_secs(7));
    let report = world.run(Request { clock, ..world.request("d-2", "v2") }).await.unwrap();
    assert_eq!(world.live_hash(), before);
    for words in ["were left for it", "longer timeout in appspec.yml"] {
        assert!(told(&report).contains(words), "{report:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_for_other_machines_is_refused_before_it_is_pulled() {
    for (architectures, untold, asks) in
        [(&["arm64"][..], false, (1, 0)), (&["arm64", "s390x"], false, (1, 0)), (&["arm64"], true, (1, 1))]
    {
        let world = World::with_v1().await;
        let before = world.live_hash();
        let mut image =
            Image::new(REPOSITORY, "other", &Image::digest_of("other")).guarded("AWS", "canary-token");
        image.platform_untold = untold;
        world.engine.add_image(image.for_machines(architectures));
        let report = world.deploy("d-2", "other").await.unwrap();
        assert_eq!(world.live_hash(), before);
        assert_eq!(asked(&world), asks, "{report:?}");
        for architecture in architectures.iter().chain(&["amd64"]) {
            assert!(told(&report).contains(&format!("linux/{architecture}")), "{report:?}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn of_several_platforms_the_index_is_the_release() {
    let world = World::with_v1().await;
    let digest = Image::digest_of("v2");
    let image = Image::new(REPOSITORY, "both", &digest).guarded("AWS", "canary-token");
    world.engine.add_image(image.for_machines(&["arm64", "amd64"]));
    assert_eq!(world.deploy("d-2", "both").await.unwrap().outcome.word(), "deployed");
    assert!(world.engine.container("status-page-web").unwrap().image.contains(&digest));
}

#[tokio::test(flavor = "current_thread")]
async fn for_an_image_that_is_here_the_registry_is_not_asked_twice() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().outcome.word(), "deployed");
    world.engine.forget_calls();
    assert_eq!(world.deploy("d-3", "v1").await.unwrap().outcome.word(), "deployed");
    assert_eq!(asked(&world), (1, 0));
}

/// Another registry, with a user and a password if it wants them.
fn elsewhere(world: &World, repository: &str, login: Option<(&str, &str)>) {
    let image = Image::new(repository, "v2", &Image::digest_of("v2"));
    world.engine.add_image(match login {
        Some((user, password)) => image.guarded(user, password),
        None => image,
    });
}

#[tokio::test(flavor = "current_thread")]
async fn each_registry_gets_the_login_that_is_meant_for_it() {
    let ecr = Some(("AWS", "canary-token"));
    let api = |region: &str| format!("api.ecr.{region}.amazonaws.com");
    for (repository, login, keys, token_from) in [
        ("registry.internal:5000/team/app", None, "auth = \"none\"", None),
        (
            "ghcr.io/org/app",
            Some(("sp", SECRET)),
            "auth = { secret = \"database\" }\nregion = \"eu-west-1\"",
            None,
        ),
        ("cache.internal/app", ecr, "auth = \"ecr\"\nregion = \"eu-north-1\"", Some(api("eu-north-1"))),
        (
            "vpce-01-ab.dkr.ecr.eu-west-3.vpce.amazonaws.com/app",
            ecr,
            "auth = \"ecr\"",
            Some(api("eu-west-3")),
        ),
        ("999999999999.dkr.ecr.us-east-1.amazonaws.com/app", ecr, "", Some(api("us-east-1"))),
    ] {
        let world = World::with_v1().await;
        elsewhere(&world, repository, login);
        world.edit(&format!("\"{REPOSITORY}\""), &format!("\"{repository}\"\n{keys}"));
        // The database's secret is named by its ARN, so that no region of this instance is needed for it.
        world.edit(
            "id = \"prod/database\"",
            "id = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/database\"",
        );
        if !keys.contains("region") && token_from.is_none() {
            world.edit("auth = \"none\"", "auth = \"none\"\nregion = \"eu-west-1\"");
        }
        world.aws.take_hosts();
        let result = world.deploy("d-2", "v2").await;
        world.assert_no_secret(&result);
        let report = result.unwrap();
        assert_eq!(report.outcome.word(), "deployed", "{repository}: {report:?}");
        let hosts = world.aws.take_hosts();
        let tokens: Vec<&String> = hosts.iter().filter(|host| host.starts_with("api.ecr.")).collect();
        assert_eq!(tokens, token_from.iter().collect::<Vec<_>>(), "{repository}: {hosts:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_login_that_lacks_its_user_is_told_without_its_values() {
    let world = World::with_v1().await;
    elsewhere(&world, "ghcr.io/org/app", Some(("sp", SECRET)));
    world.edit(
        &format!("\"{REPOSITORY}\""),
        "\"ghcr.io/org/app\"\nauth = { secret = \"database\" }\nregion = \"eu-west-1\"",
    );
    world.aws.set_secret(&format!("{{\"password\": \"{SECRET}\"}}"));
    let result = world.deploy("d-2", "v2").await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    for words in ["ghcr.io", "field 'username' of secret database ('prod/database')", "'password'"] {
        assert!(told(&report).contains(words), "{report:?}");
    }
    // One that is not taken is not asked for again: it would be the same.
    world.aws.set_secret("{\"username\": \"sp\", \"password\": \"an old one\"}");
    world.engine.forget_calls();
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(asked(&world), (1, 0), "{report:?}");
    assert!(
        told(&report).contains("does not accept the username and password of [secret.database]"),
        "{report:?}"
    );
}
