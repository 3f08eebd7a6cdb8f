//! Where secret values are, and where they are not (promise P6).

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine as _;

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
        Bundle::of(tag)
            .edit("[environment]", "[secret.canary]\nid = \"prod/canary\"\nformat = \"text\"\n\n[environment]\nZ_CANARY = { secret = \"canary.value\" }")
    };
    let first = world.deploy("d-000000001", &with_canary("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    // An application that prints its environment, and then fails its gate on a port where nobody listens.
    let refused = world.deploy(
        "d-000000002",
        &with_canary("leaky")
            .edit("http        = \"/health\"", "http = \"/health\"\nport = 8001")
            .edit("deadline    = \"2m\"", "deadline = \"1s\""),
    )?;
    let failure = refused.failure().expect("it is refused");
    ensure!(
        failure.log.contains("Z_CANARY=***"),
        "what the container printed is no evidence: {}",
        failure.log
    );

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
