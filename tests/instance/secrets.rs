//! Files with secrets in them: rendered for the container, and gone with the release; and secrets of Parameter Store. Where
//! secrets must not be is searched by `tests/faults/canary.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Result, ensure};
use lab::names::{CACHE_PASSWORD, OTHER_REGION, REGION};
use world::{Bundle, World};

fn with_a_file(tag: &'static str) -> Bundle {
    let file =
        "[file.\"/etc/settings.py\"]\ntemplate = \"templates/settings.py\"\nowner = 999\nmode = \"0400\"\n";
    Bundle::of(tag)
        .edit("[environment]", &format!("{file}\n[environment]"))
        .file("templates/settings.py", "CACHE = {{ redis.value | python }}\n")
}

#[test]
fn a_file_is_there_for_its_release_only() -> Result<()> {
    let world = World::up()?;
    let first = world.deploy("d-000000001", &with_a_file("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let refused = world.deploy("d-000000002", &with_a_file("crash"))?;
    ensure!(!refused.succeeded());

    let releases = world.web.path("/var/lib/handover/status-page/releases");
    let file = releases.join("1/files/web/etc/settings.py");
    let text = fs::read_to_string(&file)?;
    ensure!(text == format!("CACHE = '{CACHE_PASSWORD}'\n"), "{text}");
    let metadata = fs::metadata(&file)?;
    ensure!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777) == (999, 0, 0o400), "{metadata:?}");
    ensure!(!releases.join("2/files").exists(), "the refused release keeps its files");
    let docker = world.web.docker()?;
    let mounts = docker.inspect("status-page-web")?.expect("v1 is live")["Mounts"].clone();
    ensure!(mounts[0]["Destination"] == "/etc/settings.py" && mounts[0]["RW"] == false, "{mounts}");
    Ok(())
}

/// The password of Redis is a parameter, another one is in another region, and more than one page of them is below a path.
fn with_parameters(tag: &'static str) -> Bundle {
    let elsewhere = format!("arn:aws:ssm:{OTHER_REGION}:123456789012:parameter/elsewhere");
    let tables = format!(
        "[secret.elsewhere]\nparameter = \"{elsewhere}\"\n\n\
         [secret.same]\nparameter = \"/prod/status-page/redis\"\n\n\
         [secret.mail]\nparameters = \"/prod/mail\"\n\n[environment]\n\
         ELSEWHERE = {{ secret = \"elsewhere.value\" }}\n\
         SAME = {{ secret = \"same.value\" }}\n\
         MAIL = {{ template = \"{{{{ mail['smtp/password'] }}}} {{{{ mail.hosts }}}} {{{{ mail['many/11'] }}}}\" }}\n"
    );
    Bundle::of(tag)
        .edit("id     = \"prod/status-page/redis\"", "parameter = \"/prod/status-page/redis\"")
        .edit("[environment]\n", &tables)
}

fn variables(world: &World) -> Result<Vec<String>> {
    let live = world.web.docker()?.inspect("status-page-web")?.expect("something is live");
    Ok(serde_json::from_value(live["Config"]["Env"].clone())?)
}

#[test]
fn parameters_of_parameter_store() -> Result<()> {
    let world = World::up()?;
    let aws = world.lab.aws()?;
    aws.put_parameter(REGION, "/prod/status-page/redis", "SecureString", CACHE_PASSWORD)?;
    aws.put_parameter(OTHER_REGION, "/elsewhere", "SecureString", "over-there")?;
    aws.put_parameter(REGION, "/prod/mail/smtp/password", "SecureString", "mail-password")?;
    aws.put_parameter(REGION, "/prod/mail/hosts", "StringList", "one,two")?;
    for n in 0..12 {
        aws.put_parameter(REGION, &format!("/prod/mail/many/{n}"), "String", &format!("value-{n}"))?;
    }
    aws.reset_calls()?;
    let first = world.deploy("d-000000001", &with_parameters("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let env = variables(&world)?;
    for wanted in
        ["ELSEWHERE=over-there", &format!("SAME={CACHE_PASSWORD}"), "MAIL=mail-password one,two value-11"]
    {
        ensure!(env.contains(&wanted.to_owned()), "{wanted}: {env:?}");
    }
    // What one hook asks for: the parameter that two tables name once, the one of the other region, the pages of the path.
    let calls = aws.call_log()?;
    let plan = world.bundle(&with_parameters("v1"))?;
    let asked = |name: &str| calls.iter().filter(|call| call.secret.as_deref() == Some(name)).count();
    let processes = asked("/prod/status-page/redis");
    ensure!(processes > 0 && asked("/prod/mail") == 2 * processes, "{calls:?}");
    let other: Vec<_> =
        calls.iter().filter(|call| call.secret.as_deref().is_some_and(|s| s.contains("elsewhere"))).collect();
    ensure!(other.len() == processes, "{calls:?}");
    ensure!(
        other.iter().all(|call| call.host.as_deref() == Some("ssm.us-east-1.amazonaws.com")),
        "{other:?}"
    );

    aws.reset_calls()?;
    let output = world.handover(&["plan", &plan, "--group", "test"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        said.contains("nothing would change") && said.contains("mail ('/prod/mail/'): unchanged"),
        "{said}"
    );
    let counts = aws.calls()?;
    ensure!((counts["GetParameter"], counts["GetParametersByPath"]) == (2, 2), "{counts:?}");

    aws.put_parameter(REGION, "/prod/mail/hosts", "StringList", "one,two,three")?;
    let second = world.deploy("d-000000002", &with_parameters("v1"))?;
    ensure!(second.succeeded(), "{second:?}");
    world.assert_settled("v1")?;
    ensure!(variables(&world)?.contains(&"MAIL=mail-password one,two,three value-11".to_owned()));
    let record = fs::read_to_string(world.web.path("/var/lib/handover/status-page/releases/2/record.json"))?;
    ensure!(record.contains("hosts:2@") && record.contains("smtp/password:1@"), "{record}");
    ensure!(!record.contains("mail-password"), "{record}");
    Ok(())
}

#[test]
fn parameters_that_are_not_there_are_told_all_at_once() -> Result<()> {
    let world = World::with_v1()?;
    let refused = world.deploy("d-000000002", &with_parameters("v2"))?;
    let log = &refused.failure().expect("nothing is there").log;
    for words in [
        "read parameter '/prod/status-page/redis' (ssm:GetParameter): ParameterNotFound",
        "no parameter below '/prod/mail/' in eu-west-1",
        ":parameter/elsewhere' (ssm:GetParameter): ParameterNotFound",
        "3 findings",
    ] {
        let flat = log.split_whitespace().filter(|word| *word != "[stderr]").collect::<Vec<_>>().join(" ");
        ensure!(flat.contains(words), "'{words}' is missing: {log}");
    }
    world.assert_settled("v1")
}
