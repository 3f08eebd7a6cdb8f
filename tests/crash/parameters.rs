//! Secrets that are parameters of Parameter Store: fields, versions, and masked.

use handover::model::Phase;

use crate::secrets::add_leaky;
use crate::world::World;

/// Parameters in place of the secret: one by its name under two names, and all below a path.
fn with_parameters(world: &World) {
    for (name, text) in [
        ("/prod/app/password", "first-password"),
        ("/prod/mail/smtp/host", "mail.internal"),
        ("/prod/mail/smtp/password", "first-mail-password"),
        ("/prod/mail/smtp/token", "nested-token"),
        ("/prod/mail/token", "first-token"),
        ("/prod/mailbox/other", "not below it"),
    ] {
        world.aws.put_parameter(name, text);
    }
    world.edit(
        "[secret.database]\nid = \"prod/database\"\n",
        "[secret.mail]\nparameters = \"/prod/mail/\"\nfields = { from = \"sp@mail.internal\" }\n\
         [secret.same]\nparameter = \"/prod/app/password\"\n\
         [secret.database]\nparameter = \"/prod/app/password\"\n",
    );
    world.edit("{ secret = \"database.password\" }", "{ secret = \"database.value\" }");
    world.edit(
        "[environment]",
        "[environment]\nSAME = { secret = \"same.value\" }\nFROM = { secret = \"mail.from\" }\n\
         TOKEN = { secret = \"mail.token\" }\nNESTED = { secret = \"mail.smtp/token\" }\n\
         SMTP = { template = \"smtp://sp:{{ mail['smtp/password'] | urlencode }}@{{ mail['smtp/host'] }}\" }",
    );
}

fn names_asked(world: &World) -> Vec<String> {
    let name =
        |asked: serde_json::Value| asked["Name"].as_str().or(asked["Path"].as_str()).map(str::to_owned);
    let mut names: Vec<String> = world.aws.take_asked().into_iter().filter_map(name).collect();
    names.sort();
    names
}

fn has(world: &World, container: &str, variables: &[&str]) {
    let env = world.engine.container(container).unwrap().env;
    for wanted in variables {
        assert!(env.contains(&(*wanted).to_owned()), "{wanted}: {env:?}");
    }
}

/// Two tables about one parameter ask for it once; a path asks for its pages.
#[tokio::test(flavor = "current_thread")]
async fn parameters_are_fields_and_each_is_fetched_once() {
    let world = World::with_v1().await;
    with_parameters(&world);
    world.aws.take_asked();
    assert_eq!(world.hook("d-2", "v2", Phase::Tasks).await.unwrap().exit().code(), 0);
    // Four parameters in pages of two, and an empty page at the end.
    assert_eq!(names_asked(&world), ["/prod/app/password", "/prod/mail", "/prod/mail", "/prod/mail"]);
    let smtp = "SMTP=smtp://sp:first-mail-password@mail.internal";
    let rest = ["SAME=first-password", "FROM=sp@mail.internal", "TOKEN=first-token"];
    has(&world, "status-page-web.r2", &[smtp, "DATABASE_PASSWORD=first-password", rest[0], rest[1], rest[2]]);
}

/// Changed, made and removed between two processes of one deployment: the later one sees what the first one saw.
#[tokio::test(flavor = "current_thread")]
async fn parameters_that_change_between_two_processes_change_nothing_for_this_deployment() {
    let world = World::with_v1().await;
    with_parameters(&world);
    world.killed_once_written("\"done\",\"step\":\"preflight\"", "d-2", "v2", 20).await;
    assert!(world.engine.container("status-page-web.r2").is_none());
    world.aws.put_parameter("/prod/app/password", "second-password");
    world.aws.put_parameter("/prod/mail/smtp/password", "second-mail-password");
    world.aws.put_parameter("/prod/mail/another", "made meanwhile");
    world.aws.take_asked();
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    let asked = names_asked(&world);
    assert!(asked.contains(&"/prod/app/password:1".to_owned()), "{asked:?}");
    assert!(asked.contains(&"/prod/mail/smtp/password:1".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|name| name.contains("token") || name.contains("another")), "{asked:?}");
    let smtp = "SMTP=smtp://sp:first-mail-password@mail.internal";
    has(&world, "status-page-web", &[smtp, "DATABASE_PASSWORD=first-password", "TOKEN=first-token"]);
}

/// What is gone since the deployment began cannot be read in the version that it saw.
#[tokio::test(flavor = "current_thread")]
async fn a_parameter_that_is_removed_between_two_processes_fails_the_deployment_by_name() {
    let world = World::with_v1().await;
    with_parameters(&world);
    assert_eq!(world.hook("d-2", "v2", Phase::Tasks).await.unwrap().exit().code(), 0);
    world.host().docker.remove("status-page-web.r2").await.unwrap();
    world.aws.delete_parameter("/prod/mail/token");
    let report = world.hook("d-2", "v2", Phase::Settle).await.unwrap();
    assert_eq!(report.exit().code(), 1);
    let cause = crate::world::cause(&report);
    assert!(cause.contains("/prod/mail/token:1") && cause.contains("ssm:GetParameter"), "{cause}");
    world.assert_settled("v1");
}

/// Whatever changes in them is a change of the release; a parameter that was made anew begins at version 1 again.
#[tokio::test(flavor = "current_thread")]
async fn a_change_of_a_parameter_is_one_of_the_release() {
    let world = World::with_v1().await;
    with_parameters(&world);
    assert_eq!(world.deploy("d-2", "v1").await.unwrap().exit().code(), 0);
    let changes: [fn(&World); 5] = [
        |_| {},
        |world| world.aws.put_parameter("/prod/mail/smtp/password", "second-mail-password"),
        |world| world.aws.put_parameter("/prod/mail/another", "one more"),
        |world| world.aws.delete_parameter("/prod/mail/another"),
        |world| {
            world.aws.delete_parameter("/prod/app/password");
            world.aws.put_parameter("/prod/app/password", "made anew");
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let before = world.engine.container("status-page-web").unwrap().id;
        change(&world);
        assert_eq!(world.deploy(&format!("d-{}", n + 3), "v1").await.unwrap().exit().code(), 0);
        let after = world.engine.container("status-page-web").unwrap().id;
        assert_eq!(before == after, n == 0, "change {n}");
    }
    has(&world, "status-page-web", &["DATABASE_PASSWORD=made anew"]);
}

/// Of a parameter below a path the last part of the name says whether it may be shown.
#[tokio::test(flavor = "current_thread")]
async fn parameters_are_masked() {
    let world = World::with_v1().await;
    with_parameters(&world);
    add_leaky(
        &world,
        &["first-password, first-mail-password, nested-token, first-token of mail.internal".to_owned()],
    );
    let report = world.deploy("d-2", "leaky").await.unwrap();
    assert_eq!(report.evidence(), ["***, ***, ***, *** of mail.internal"]);
}
