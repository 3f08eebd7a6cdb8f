//! Images from elsewhere than the instance's own ECR, and images for other machines, with a real Engine and registry.

use std::fs;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::{ImageSpec, names, wait_until};
use world::{Bundle, PATIENCE, World};

/// A bundle whose image is in another repository.
fn from(tag: &'static str, repository: &str, keys: &str) -> Bundle {
    let own = format!("repository = \"{}\"", names::REPOSITORY_URL);
    Bundle::of(tag).edit(&own, &format!("repository = \"{repository}\"\n{keys}"))
}

/// A registry on the instance itself, without TLS and without a password, with what the lab's has.
struct OwnRegistry(Child);

impl OwnRegistry {
    fn start(world: &World) -> Result<Self> {
        let storage = world.lab.dir().join("vpc/registry");
        let folder = world.web.path("/tmp/registry");
        let copied = std::process::Command::new("cp").arg("-a").args([&storage, &folder]).status()?;
        ensure!(copied.success(), "the registry's storage was not copied");
        let settings = "version: 0.1\nstorage: { filesystem: { rootdirectory: /tmp/registry } }\n\
            http: { addr: '127.0.0.1:5000' }\n";
        fs::write(world.web.path("/tmp/registry.yml"), settings)?;
        let mut command = world.web.command("docker-registry");
        let command = command.args(["serve", "/tmp/registry.yml"]).stdin(Stdio::null());
        let running = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        wait_until("the registry listens", PATIENCE, || {
            let probe = ["-c", "exec 3<>/dev/tcp/127.0.0.1/5000"];
            Ok(world.web.command("bash").args(probe).stderr(Stdio::null()).status()?.success())
        })?;
        Ok(running)
    }
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        // The way in only; the registry itself ends with the lab.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The regions whose ECR was asked for a token, in order; forgotten afterwards.
fn tokens_from(world: &World) -> Result<Vec<String>> {
    let aws = world.lab.aws()?;
    let calls = aws.call_log()?;
    aws.reset_calls()?;
    let tokens = calls.into_iter().filter(|call| call.action == "GetAuthorizationToken");
    Ok(tokens.filter_map(|call| call.host).collect())
}

#[test]
fn an_image_may_come_from_any_registry() -> Result<()> {
    let world = World::up()?;
    let _own = OwnRegistry::start(&world)?;
    let login = serde_json::json!({ "username": names::REGISTRY_USER, "password": names::REGISTRY_PASSWORD });
    world.lab.aws()?.put_secret("prod/registry", &login.to_string())?;
    let path = names::REPOSITORY;
    let other = format!("{}/{path}", names::OTHER_REGISTRY_HOST);
    let api = |region: &str| vec![format!("api.ecr.{region}.amazonaws.com")];

    tokens_from(&world)?;
    let with_secret = from("v1", &other, "auth = { secret = \"registry\" }")
        .edit("[environment]", "[secret.registry]\nid = \"prod/registry\"\n\n[environment]");
    for (id, bundle, release, tokens) in [
        ("d-000000001", with_secret, "v1", vec![]),
        ("d-000000002", from("v2", &format!("localhost:5000/{path}"), "auth = \"none\""), "v2", vec![]),
        ("d-000000003", from("v3", &other, "auth = \"ecr\""), "v3", api(names::REGION)),
        (
            "d-000000004",
            from("v1", &format!("{}/{path}", names::OTHER_REGION_ECR_HOST), ""),
            "v1",
            api(names::OTHER_REGION),
        ),
    ] {
        let report = world.deploy(id, &bundle)?;
        ensure!(report.succeeded(), "{report:?}");
        world.assert_settled(release)?;
        ensure!(tokens_from(&world)? == tokens, "{id}");
    }
    Ok(())
}

#[test]
fn an_image_for_other_machines_is_refused_and_one_for_several_is_taken() -> Result<()> {
    let world = World::with_v1()?;
    let before = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    let ours = ImageSpec::new("both");
    let theirs = |release: &str| {
        let architecture = if ours.architecture == "arm64" { "amd64" } else { "arm64" };
        ImageSpec { architecture: architecture.to_owned(), ..ImageSpec::new(release) }
    };
    let registry = world.lab.registry();
    registry.push_image(names::REPOSITORY, "single", &theirs("single"))?;
    registry.push_index(names::REPOSITORY, "index", &[theirs("index")])?;
    let both = registry.push_index(names::REPOSITORY, "both", &[theirs("both"), ours.clone()])?;
    for (id, tag) in [("d-000000002", "single"), ("d-000000003", "index")] {
        let report = world.deploy(id, &Bundle::of(tag))?;
        let failure = report.failure().context("it was taken")?;
        let [theirs, ours] = [&theirs(tag), &ours].map(|image| format!("linux/{}", image.architecture));
        ensure!(
            failure.log.contains(&format!("is for {theirs}, and this machine is {ours}")),
            "{}",
            failure.log
        );
        let after = world.web.docker()?.inspect("status-page-web")?;
        ensure!(after.as_ref() == Some(&before), "live was touched");
    }
    let report = world.deploy("d-000000004", &Bundle::of("both"))?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("both")?;
    let live = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    let image = live["Config"]["Image"].as_str().unwrap_or_default();
    ensure!(image.ends_with(&both), "{image} is not the index's digest, {both}");
    Ok(())
}
