//! Secrets: in the container's environment, and nowhere else.

use fake_docker::{Behaviour, Image, LogLine, Stream};

use handover::model::Phase;

use crate::world::{REPOSITORY, SECRET, World};

/// An image that crashes, and logs this first.
pub fn add_leaky(world: &World, lines: &[String]) {
    let mut image = Image::new(REPOSITORY, "leaky", &Image::digest_of("leaky"));
    image.logs = lines
        .iter()
        .map(|line| LogLine { stream: Stream::Stderr, bytes: line.as_bytes().to_vec() })
        .collect();
    world.engine.add_image(image.behaving(Behaviour::ExitsAtOnce(1)).guarded("AWS", "canary-token"));
}

#[tokio::test(flavor = "current_thread")]
async fn an_undisturbed_run_leaves_them_nowhere() {
    let world = World::with_v1().await;
    let result = world.deploy("d-2", "v2").await;
    world.assert_no_secret(&result);
    // That it can be found at all: here it has to be.
    let live = world.engine.container("status-page-web").unwrap();
    assert!(live.env.contains(&format!("DATABASE_PASSWORD={SECRET}")));
    assert!(world.heard.all().contains("pull the image"));
    assert!(live.labels.values().chain(&live.argv).all(|text| !text.contains("S3cr3t")));
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_container_prints_of_them_is_masked() {
    let world = World::with_v1().await;
    add_leaky(
        &world,
        &[
            "the cause is told".to_owned(),
            format!("password={SECRET}"),
            "in a URL: postgres://sp:S3cr3t-canary%2Fwith%23specials@db".to_owned(),
            "in another: postgres://sp:S3cr3t%2Dcanary%2Fwith%23specials@db".to_owned(),
            "in a sloppy one: postgres://sp:S3cr3t-canary/with%23specials@db".to_owned(),
            "in Base64: UzNjcjN0LWNhbmFyeS93aXRoI3NwZWNpYWxz".to_owned(),
            format!("{}{SECRET} at the end of a long line", "x".repeat(165)),
        ],
    );
    let result = world.deploy("d-2", "leaky").await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert_eq!(report.exit().code(), 1);
    assert_eq!(report.evidence()[..2], ["the cause is told", "password=***"], "{report:?}");
    world.assert_settled("v1");
}

#[tokio::test(flavor = "current_thread")]
async fn letters_beyond_ascii_do_not_unmask_them() {
    let world = World::with_v1().await;
    world.aws.set_secret(r#"{"password": "grüße-an-alle"}"#);
    add_leaky(&world, &["password=grüße-an-alle".to_owned()]);
    let report = world.deploy("d-2", "leaky").await.unwrap();
    assert_eq!(report.evidence(), ["password=***"]);
}

#[tokio::test(flavor = "current_thread")]
async fn secrets_of_several_lines_are_masked_line_by_line() {
    let world = World::with_v1().await;
    world.aws.set_secret(
        r#"{"password": "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"}"#,
    );
    add_leaky(
        &world,
        &[
            "key: -----BEGIN KEY-----".to_owned(),
            "MIIEvQIBADANBgkq".to_owned(),
            "hkiG9w0BAQEFAASC".to_owned(),
        ],
    );
    let report = world.deploy("d-2", "leaky").await.unwrap();
    assert_eq!(report.evidence(), ["key: ***", "***", "***"]);
}

/// The process that sees the failure is not the one that read the secrets.
#[tokio::test(flavor = "current_thread")]
async fn a_later_process_masks_them_too() {
    let world = World::with_v1().await;
    world.edit(
        "DATABASE_PASSWORD = { secret = \"database.password\" }",
        "DATABASE_URL = { template = \"postgres://sp:{{ database.password | urlencode }}@db:5432/sp\" }",
    );
    world.edit("deadline = \"30s\"", "deadline = \"200ms\"");
    let mut image = Image::new(REPOSITORY, "prints", &Image::digest_of("prints"));
    let line = |text: &str| LogLine { stream: Stream::Stdout, bytes: text.as_bytes().to_vec() };
    image.logs = vec![
        line("cannot connect to postgres://sp:S3cr3t-canary%2Fwith%23specials@db"),
        line(&format!("tried the password {SECRET}")),
    ];
    world.engine.add_image(image.guarded("AWS", "canary-token"));
    for until in [Phase::Prepare, Phase::Settle] {
        assert_eq!(world.hook("d-2", "prints", until).await.unwrap().exit().code(), 0);
    }
    world.engine.behave("status-page-web", Behaviour::Answers(500));
    let result = world.hook("d-2", "prints", Phase::Finish).await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(report.evidence().contains(&"tried the password ***".to_owned()), "{report:?}");
}

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/database-AbCdEf";

/// One secret under several names and with several keys is one call; another version of it is another.
#[tokio::test(flavor = "current_thread")]
async fn each_version_of_a_secret_is_fetched_once() {
    let world = World::with_v1().await;
    world.aws.set_secret(r#"{"username": "sp", "password": "second-password"}"#);
    world.edit(
        "[secret.database]\nid = \"prod/database\"",
        &format!(
            "[secret.user]\nid = \"{ARN}:username::\"\n[secret.pass]\nid = \"{ARN}:password::\"\n[secret.before]\nid = \"{ARN}:password:AWSPREVIOUS:\"\n[secret.here]\nliteral = {{ host = \"cache\", port = 6379 }}\n[secret.database]\nid = \"{ARN}\""
        ),
    );
    world.edit(
        "[environment]",
        "[environment]\nUSER = { secret = \"user.value\" }\nPASS = { secret = \"pass.value\" }\nBEFORE = { secret = \"before.value\" }\nCACHE = { template = \"{{ here.host }}:{{ here.port }}\" }",
    );
    world.aws.take_asked();
    assert_eq!(world.hook("d-2", "v2", Phase::Tasks).await.unwrap().exit().code(), 0);
    let asked = world.aws.take_asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|asked| asked["SecretId"] == ARN), "{asked:?}");
    let env = world.engine.container("status-page-web.r2").unwrap().env;
    for wanted in ["USER=sp", "PASS=second-password", "CACHE=cache:6379", &format!("BEFORE={SECRET}")] {
        assert!(env.contains(&wanted.to_owned()), "{wanted}: {env:?}");
    }
}

/// A rotation in the middle of a deployment: its later processes see what its first one saw, by the ids of the versions.
#[tokio::test(flavor = "current_thread")]
async fn a_rotation_between_two_processes_changes_nothing_for_this_deployment() {
    let world = World::with_v1().await;
    world.aws.set_secret(r#"{"password": "second-password"}"#);
    world.edit(
        "[secret.database]\nid = \"prod/database\"",
        &format!("[secret.before]\nid = \"{ARN}:password:AWSPREVIOUS:\"\n[secret.database]\nid = \"{ARN}\""),
    );
    world.edit("[environment]", "[environment]\nBEFORE = { secret = \"before.value\" }");
    // Killed with the secrets read and the container not yet made.
    world.killed_once_written("\"done\",\"step\":\"preflight\"", "d-2", "v2", 20).await;
    assert!(world.engine.container("status-page-web.r2").is_none());
    world.aws.set_secret(r#"{"password": "third-password"}"#);
    world.aws.take_asked();
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    let asked = world.aws.take_asked();
    assert!(
        asked.len() == 2 && asked.iter().all(|a| a["VersionId"].is_string() && a["VersionStage"].is_null()),
        "{asked:?}"
    );
    let env = world.engine.container("status-page-web").unwrap().env;
    assert!(env.contains(&"DATABASE_PASSWORD=second-password".to_owned()), "{env:?}");
    assert!(env.contains(&format!("BEFORE={SECRET}")), "{env:?}");
}

/// A value that stands in the file is a secret as any other.
#[tokio::test(flavor = "current_thread")]
async fn a_literal_is_masked_too_and_needs_no_secrets_manager() {
    let world = World::with_v1().await;
    world.aws.take_calls();
    world.edit(
        "id = \"prod/database\"\nfields = { host = \"db.internal\" }",
        "literal = { host = \"db.internal\", password = \"literal-password\" }",
    );
    add_leaky(&world, &["literal-password at db.internal".to_owned()]);
    let report = world.deploy("d-2", "leaky").await.unwrap();
    assert_eq!(report.evidence(), ["*** at db.internal"]);
    assert_eq!(world.aws.take_calls(), ["GetAuthorizationToken"]);
}

#[tokio::test(flavor = "current_thread")]
async fn all_that_is_wrong_is_told_at_once() {
    let world = World::with_v1().await;
    world.edit("database.host", "database.hosst");
    world.edit("database.password", "database.pasword");
    world.add_file("{{ database.nothing }}");
    let report = world.deploy("d-2", "v2").await.unwrap();
    let cause: String = report.findings().iter().map(|finding| format!("{finding}\n")).collect();
    for word in
        ["'DATABASE_HOST'", "'hosst'", "'DATABASE_PASSWORD'", "'pasword'", "configuration.py", "'nothing'"]
    {
        assert!(cause.contains(word), "'{word}' is missing: {cause}");
    }
}
