//! What is of the instance or of the bundle, on a real Engine: an image that is here, a folder that is mounted, a port that
//! Docker picks.

use anyhow::{Context as _, Result, ensure};
use lab::names::REPOSITORY_URL;
use lab::{registry_authorization, wait_until};
use serde_json::Value;
use world::{Bundle, PATIENCE, World, text};

const PUBLISH: &str = "publish      = [\"8000:8000\"]";

fn bundle(conf: &str) -> Bundle {
    Bundle::of("dev")
        .edit(&format!("repository = \"{REPOSITORY_URL}\""), "repository = \"built/app\"\nlocal = true")
        .edit(
            PUBLISH,
            "publish      = [\"8000\"]\nvolumes      = [\"./conf:/etc/app\", \"conf/app.conf:/app.conf:ro\"]",
        )
        .edit("deadline    = \"2m\"", "deadline    = \"10s\"")
        .file("conf/app.conf", conf)
}

/// The image that has this tag in the registry gets a name that no registry knows, and no other.
fn build(world: &World, tag: &str) -> Result<()> {
    let docker = world.web.docker()?;
    docker.pull(&format!("{REPOSITORY_URL}:{tag}"), Some(&registry_authorization()))?;
    docker.request("POST", &format!("/images/{REPOSITORY_URL}:{tag}/tag?repo=built/app&tag=dev"), None)?;
    docker.request("DELETE", &format!("/images/{REPOSITORY_URL}:{tag}"), None)?;
    Ok(())
}

/// The port that is told, and that the app answers there.
fn answers(world: &World) -> Result<u64> {
    let status = world.status()?;
    let ports = &status[0]["containers"][0]["picked_ports"];
    let port = ports[0]["host"].as_u64().with_context(|| status.to_string())?;
    let url = format!("http://127.0.0.1:{port}/health");
    let asked = world.web.command("curl").args(["-fsS", "--max-time", "5", &url]).output()?;
    ensure!(asked.status.success(), "{asked:?}");
    Ok(port)
}

fn mounts(world: &World) -> Result<Vec<(String, String, bool)>> {
    let live = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = live["Mounts"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<_> =
        all.iter().map(|m| (word(&m["Source"]), word(&m["Destination"]), m["RW"] == true)).collect();
    all.sort();
    Ok(all)
}

#[test]
fn an_image_a_folder_and_a_port() -> Result<()> {
    let world = World::up()?;
    build(&world, "v1")?;
    let first = world.deploy("d-000000001", &bundle("one"))?;
    ensure!(first.succeeded(), "{first:?}");
    let kept = "/var/lib/handover/status-page/releases/1/bundle/conf";
    let wanted = [
        (kept.to_owned(), "/etc/app".to_owned(), false),
        (format!("{kept}/app.conf"), "/app.conf".to_owned(), false),
    ];
    ensure!(mounts(&world)? == wanted, "{:?}", mounts(&world)?);
    answers(&world)?;
    let shown = world.handover(&["run", "--", "show", "/app.conf"])?;
    ensure!(shown.status.success() && text(&shown.stdout) == "one", "{}", text(&shown.stderr));

    // A boot: Docker picks anew, and what is told is true.
    world.web.cut()?;
    world.web.boot()?;
    wait_until("it answers after the boot", PATIENCE, || Ok(answers(&world).is_ok()))?;

    // Refused: the old one is put back, with its image, its folder and a port that may be another one.
    build(&world, "crash")?;
    let refused = world.deploy("d-000000002", &bundle("two"))?;
    ensure!(!refused.succeeded());
    let port = answers(&world)?;
    let log = &refused.failure().context("it failed")?.log;
    ensure!(log.contains(&format!(":{port}")), "port {port} is not told: {log}");
    ensure!(mounts(&world)? == wanted, "{:?}", mounts(&world)?);
    let live = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    ensure!(live["Config"]["Image"].as_str().is_some_and(|image| image.starts_with("sha256:")), "{live}");

    build(&world, "v2")?;
    for (id, conf) in
        [("d-000000003", "three"), ("d-000000004", "four"), ("d-000000005", "five"), ("d-000000006", "six")]
    {
        let report = world.deploy(id, &bundle(conf))?;
        ensure!(report.succeeded(), "{report:?}");
        answers(&world)?;
    }
    let folder = world.web.path("/var/lib/handover/status-page/releases");
    ensure!(!folder.join("1").exists() && folder.join("6/bundle/conf/app.conf").is_file());
    let names: Vec<String> = world
        .web
        .docker()?
        .images()?
        .iter()
        .flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default())
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    // The build that serves has its name; v1's is gone but for ours, and so it is kept.
    for name in ["built/app:dev", "handover/status-page:r6", "handover/status-page:r1"] {
        ensure!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    ensure!(!names.contains(&"handover/status-page:r3".to_owned()), "{names:?}");
    Ok(())
}
