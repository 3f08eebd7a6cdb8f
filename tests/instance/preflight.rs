//! What would make a deployment fail is told at once, and what serves is not touched for it (promise P1).

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::names::{ECR_HOST, REPOSITORY};
use lab::{registry_authorization, wait_until};
use serde_json::{Value, json};
use world::{Bundle, PATIENCE, World, text};

const PUBLISH: &str = "publish      = [\"8000:8000\"]";

fn live(world: &World) -> Result<Value> {
    world.web.docker()?.inspect("status-page-web")?.context("nothing is live")
}

/// A deployment that is refused in its first hook, with live as it was, to the last word of its inspect. What it said.
fn refused(world: &World, id: &str, bundle: &Bundle) -> Result<String> {
    let before = live(world)?;
    let report = world.deploy(id, bundle)?;
    let failure = report.failure().context("it is refused")?;
    ensure!(live(world)? == before, "live is not as it was");
    ensure!(world.containers()?.len() == 1, "something was made: {:?}", world.containers()?);
    ensure!(failure.exit == Some(1) && failure.log.contains("BeforeInstall"), "{}", failure.log);
    Ok(failure.log.clone())
}

/// A process of somebody else's, listening on the instance.
struct Listener(Child);

impl Listener {
    fn at(world: &World, port: u16) -> Result<Self> {
        let mut command: Command = world.web.command("python3");
        let listen = format!("import socket; s = socket.create_server(('', {port})); s.accept()");
        let listener = Self(command.args(["-c", &listen]).stdin(Stdio::null()).spawn()?);
        let port = format!(":{port:04X} ");
        wait_until("somebody else listens", PATIENCE, || {
            let output = world.web.command("cat").arg("/proc/net/tcp").output()?;
            Ok(text(&output.stdout).contains(&port))
        })?;
        Ok(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The closing lines, without the agent's prefix and what is different each time.
fn closing_lines(log: &str) -> String {
    let lines = log.lines().map(|line| line.trim_start_matches("[stderr]"));
    let lines = lines.map(|line| match (line.starts_with("next:  handover plan "), line.find(" --group")) {
        (true, Some(group)) => format!("next:  handover plan BUNDLE{}", &line[group..]),
        _ => line.to_owned(),
    });
    let closing: Vec<String> = lines.skip_while(|line| !line.starts_with("why:")).collect();
    let text = closing.join("\n");
    match text.split_once("(pid ").map(|(before, after)| (before, after.split_once(')'))) {
        Some((before, Some((_, after)))) => format!("{before}(pid N){after}"),
        _ => text,
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() -> Result<()> {
    let world = World::with_v1()?;
    let _listener = Listener::at(&world, 8001)?;
    let bundle = Bundle::of("missing")
        .edit(PUBLISH, "publish = [\"8001:8000\"]")
        .edit("prod/status-page/redis", "prod/status-page/nowhere");
    let log = refused(&world, "d-000000002", &bundle)?;
    insta::assert_snapshot!(closing_lines(&log), @r"
    why:   3 findings
      1.   port 8001 is held by 'python3' (pid N)
      fix: stop it, or publish another port in [process.web]
      2.   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:missing' in its registry:
           manifest unknown: manifest unknown
      fix: tag 'missing' is not in 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page: was it pushed to account
           123456789012 in eu-west-1?
      3.   AWS refuses to read secret 'prod/status-page/nowhere' (secretsmanager:GetSecretValue):
           ResourceNotFoundException: Secrets Manager can't find the specified secret.
      fix: asked in eu-west-1: check its name with 'aws secretsmanager list-secrets --region eu-west-1', and write the
           full ARN if it is in another account or region than the image's repository
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    let plan = world.handover(&["plan", &world.bundle(&bundle)?])?;
    ensure!(plan.status.code() == Some(1), "{plan:?}");
    for found in ["port 8001 is held by 'python3'", "status-page:missing", "prod/status-page/nowhere"] {
        ensure!(text(&plan.stdout).contains(found), "{plan:?}");
    }
    world.assert_settled("v1")
}

#[test]
fn a_foreign_container_that_has_the_port_is_named_and_stopping_it_helps() -> Result<()> {
    let world = World::with_v1()?;
    let docker = world.web.docker()?;
    let image = format!("{ECR_HOST}/{REPOSITORY}:v1");
    docker.pull(&image, Some(&registry_authorization()))?;
    let bindings = json!({ "8000/tcp": [{ "HostPort": "8001" }] });
    docker.run(
        "old-web",
        &json!({ "Image": image, "ExposedPorts": { "8000/tcp": {} }, "HostConfig": { "PortBindings": bindings } }),
    )?;
    let bundle = Bundle::of("v2").edit(PUBLISH, "publish = [\"8001:8000\"]");
    let before = live(&world)?;
    let report = world.deploy("d-000000002", &bundle)?;
    let failure = report.failure().context("it is refused")?;
    for words in [
        "port 8001 is held by container 'old-web', which handover did not make",
        "docker stop old-web, or write",
    ] {
        ensure!(failure.log.contains(words), "{}", failure.log);
    }
    ensure!(live(&world)? == before, "live is not as it was");
    docker.post("/containers/old-web/stop", &json!({}))?;
    let report = world.deploy("d-000000003", &bundle)?;
    ensure!(report.succeeded(), "{report:?}");
    Ok(())
}

#[test]
fn a_disk_that_is_too_small_is_told_before_anything_is_pulled() -> Result<()> {
    let world = World::up()?;
    // A disk of its own for Docker.
    world.web.stop_docker()?;
    let disk = ["-t", "tmpfs", "-o", "size=800m", "tmpfs", "/var/lib/docker"];
    ensure!(world.web.command("mount").args(disk).status()?.success());
    world.web.start_docker()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(report.succeeded(), "{report:?}");
    // All but a MiB is taken.
    let fill = "free=$(df --output=avail -k /var/lib/docker | tail -1); fallocate -l $((free - 1024))k /var/lib/docker/full";
    let filled = world.web.command("sh").args(["-c", fill]).output()?;
    ensure!(filled.status.success(), "{filled:?}");
    let log = refused(&world, "d-000000002", &Bundle::of("v2"))?;
    let images = if world.engine()?.in_containerd { "/containerd/daemon" } else { "" };
    let disk = format!("the disk of '/var/lib/docker{images}' has ");
    // Its lines are folded where they are too long.
    let said = log.split_whitespace().filter(|word| *word != "[stderr]").collect::<Vec<_>>().join(" ");
    ensure!(said.contains(&disk) && said.contains("docker system df"), "{log}");
    ensure!(world.web.command("rm").arg("/var/lib/docker/full").status()?.success());
    let report = world.deploy("d-000000003", &Bundle::of("v2"))?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v2")
}
