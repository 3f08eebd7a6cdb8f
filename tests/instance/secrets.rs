//! Where secret values are, and where they are not (promise P6).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine as _;

use lab::{Fault, Metadata};
use world::{Bundle, World};

/// With characters that every encoding changes.
const CANARY: &str = "Can4ry-Val/ue#^&<with>specials";

/// Every form in which it could turn up.
fn forms() -> Vec<Vec<u8>> {
    let percent =
        percent_encoding::utf8_percent_encode(CANARY, percent_encoding::NON_ALPHANUMERIC).to_string();
    // Inside a longer text, Base64 begins at one of three offsets; what is the same in each is the middle.
    let middles = (0..3).map(|offset| {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{}{CANARY}", &"xxx"[..offset]));
        text.as_bytes()[4..text.len() - 8].to_vec()
    });
    // As Go writes it into JSON, and so Docker onto the disk.
    let go = CANARY.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    [CANARY.as_bytes().to_vec(), percent.into_bytes(), go.into_bytes()].into_iter().chain(middles).collect()
}

fn files_with_canary(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let forms = forms();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // The executable itself was there before the secret.
        if path.is_symlink() || path.ends_with("bin/handover") {
            continue;
        }
        if path.is_dir() {
            files_with_canary(&path, found)?;
        } else if let Ok(bytes) = fs::read(&path)
            && forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
        {
            found.push(path.display().to_string());
        }
    }
    Ok(())
}

#[test]
fn a_secret_is_in_the_container_and_nowhere_else() -> Result<()> {
    let world = World::up()?;
    world.lab.aws()?.put_secret("prod/canary", CANARY)?;
    world.push("leaky", "print-secrets")?;
    world.push("v1", "good")?;
    let with_canary = |tag| {
        let bundle = Bundle::of(tag)
            .edit("[environment]", "[secret.canary]\nid = \"prod/canary\"\nformat = \"text\"\n\n[file.\"/etc/canary.py\"]\ntemplate = \"templates/canary.py\"\nowner = 999\nmode = \"0400\"\n\n[environment]\nZ_CANARY = { secret = \"canary.value\" }");
        let templates = world.web.path(&world.bundle(&bundle)?).join("templates");
        fs::create_dir_all(&templates)?;
        fs::write(templates.join("canary.py"), "CANARY = {{ canary.value | python }}\n")?;
        anyhow::Ok(bundle)
    };
    let first = world.deploy("d-000000001", &with_canary("v1")?)?;
    ensure!(first.succeeded(), "{first:?}");
    // An application that prints its environment, and then fails its gate on a port where nobody listens.
    let refused = world.deploy(
        "d-000000002",
        &with_canary("leaky")?
            .edit("http        = \"/health\"", "http = \"/health\"\nport = 8001")
            .edit("deadline    = \"2m\"", "deadline = \"1s\""),
    )?;
    let failure = refused.failure().expect("it is refused");
    ensure!(
        failure.log.contains("Z_CANARY=***"),
        "what the container printed is no evidence: {}",
        failure.log
    );

    // The file of the release that serves is there and in the container; that of the refused one is gone.
    let releases = world.web.path("/var/lib/handover/status-page/releases");
    let file = releases.join("1/files/etc/canary.py");
    ensure!(fs::read_to_string(&file)? == format!("CANARY = '{CANARY}'\n"), "it is rendered otherwise");
    let metadata = fs::metadata(&file)?;
    ensure!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777) == (999, 0, 0o400), "{metadata:?}");
    ensure!(!releases.join("2/files").exists(), "the refused release keeps its files");
    let docker = world.web.docker()?;
    let mounts = docker.inspect("status-page-web")?.expect("v1 is live")["Mounts"].clone();
    ensure!(mounts[0]["Destination"] == "/etc/canary.py" && mounts[0]["RW"] == false, "{mounts}");
    fs::remove_file(&file)?;

    let mut found = Vec::new();
    for folder in
        ["/var/lib/handover", "/var/log/handover", "/opt/codedeploy-agent/deployment-root", "/run/lock"]
    {
        files_with_canary(&world.web.path(folder), &mut found)?;
    }
    ensure!(found.is_empty(), "the secret is in {found:?}");
    for report in [&first, &refused] {
        ensure!(!serde_json::to_string(report)?.contains(CANARY), "the secret is in what CodeDeploy got");
    }
    // The control: the search finds it where it has to be.
    let inspect = world.web.docker()?.inspect("status-page-web")?.expect("v1 is live").to_string();
    ensure!(inspect.contains(&format!("Z_CANARY={CANARY}")), "the container did not get it");
    files_with_canary(&world.web.path("/var/lib/docker").join("containers"), &mut found)?;
    ensure!(!found.is_empty(), "the search does not find what is there");
    // No `docker login`, no credentials file.
    let output = world.web.command("sh").args(["-c", "ls -A /root/.docker /.docker 2>/dev/null"]).output()?;
    ensure!(!String::from_utf8_lossy(&output.stdout).contains("config.json"), "{output:?}");
    Ok(())
}

/// What the last lines of a hook say when a secret cannot be had, each from a real call. The words are chosen with care: a
/// password of the lab is the word "secret", which is masked.
#[test]
fn what_is_told_when_a_secret_cannot_be_had() -> Result<()> {
    let world = World::with_v1()?;
    let aws = world.lab.aws()?;
    aws.put_secret_binary("prod/binary", "aHVudGVyMg==")?;
    aws.put_secret("prod/deleted", "{}")?;
    let gone = serde_json::json!({ "SecretId": "prod/deleted", "RecoveryWindowInDays": 7 });
    aws.secrets_manager("DeleteSecret", &gone)?;
    aws.put_secret("prod/denied", "{}")?;
    aws.put_secret("prod/throttled", "{}")?;
    let matching = |status, code: &str, name: &str| Fault {
        message: Some("no".to_owned()),
        r#match: name.to_owned(),
        ..Fault::error(status, code)
    };
    let before = world.web.docker()?.inspect("status-page-web")?;
    for (n, (id, fault, words)) in [
        ("prod/missing", None, ["ResourceNotFoundException", "asked in eu-west-1"]),
        ("prod/binary", None, ["binary data", "SecretString"]),
        ("prod/deleted", None, ["InvalidRequestException", "bring it back"]),
        (
            "prod/denied",
            Some("AccessDeniedException"),
            ["in the policy of the instance profile's role", "prod/denied-??????"],
        ),
        ("prod/throttled", Some("ThrottlingException"), ["ThrottlingException", "tried 4 times"]),
    ]
    .into_iter()
    .enumerate()
    {
        match fault {
            Some(code) => aws.set_faults([("GetSecretValue", matching(400, code, id))])?,
            None => aws.clear_faults()?,
        }
        let bundle = Bundle::of("v2").edit(
            "[environment]",
            &format!(
                "[secret.other]\nid = \"{id}\"\n\n[environment]\nOTHER = {{ secret = \"other.value\" }}"
            ),
        );
        let report = world.deploy(&format!("d-10000000{n}"), &bundle)?;
        let failure = report.failure().expect("it is refused");
        for word in words.iter().chain([&id]) {
            ensure!(failure.log.contains(word), "'{word}' is missing for {id}: {}", failure.log);
        }
        ensure!(!failure.log.contains("hunter2"), "{}", failure.log);
    }
    ensure!(world.web.docker()?.inspect("status-page-web")? == before, "live was touched");
    Ok(())
}

/// Metadata that never answer: told once, in seconds, and not once per secret.
#[test]
fn an_instance_without_metadata_or_role_is_told_once() -> Result<()> {
    let world = World::with_v1()?;
    let whole = world.web.metadata()?;
    for (n, (metadata, words)) in [
        (Metadata { silent: true, ..whole.clone() }, "do not answer"),
        (Metadata { role: None, ..whole.clone() }, "no IAM role"),
    ]
    .into_iter()
    .enumerate()
    {
        world.web.set_metadata(&metadata)?;
        let report = world.deploy(&format!("d-20000000{n}"), &Bundle::of("v2"))?;
        let log = &report.failure().expect("it is refused").log;
        ensure!(log.contains(words), "'{words}' is missing: {log}");
        ensure!(
            log.lines().filter(|l| l.starts_with("why:")).all(|l| l.matches(words).count() == 1),
            "{log}"
        );
    }
    world.assert_settled("v1")
}
