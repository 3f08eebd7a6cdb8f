//! Where secret values are, and where they are not (promise P6): the passwords of database and cache and two parameters are
//! values that can be told from everything else, and are searched for in all that handover leaves, says and does, in every encoding.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::names::{DATABASE_USER, RDS_MANAGED_SECRET, REDIS_SECRET, REGION};
use lab::wait_until;
use serde_json::json;
use world::canary::Canary;
use world::{Bundle, PATIENCE, World};

/// With characters that every encoding changes.
const DATABASE: &str = r#"C4nary-of/the#db ^&<with>"all\+specials%"#;
const CACHE: &str = "C4nary+of/the#cache^&<with>specials%41";
const PARAMETER: &str = "C4nary(of)/one#parameter^&<with>specials%";
const BELOW: &str = "C4nary[of]/one#below-a-path^&<with>specials%";

/// What the processes of an instance show of themselves to whoever looks.
#[derive(Debug, Default)]
struct Seen {
    /// Processes of handover.
    handovers: BTreeSet<String>,
    /// Where a canary was.
    found: BTreeSet<String>,
}

/// Looks at all processes again and again until it is told to stop: arguments of all, environments of handover's.
fn watch(proc: &Path, canary: &Canary, stop: &AtomicBool, seen: &Mutex<Seen>) {
    while !stop.load(Ordering::SeqCst) {
        for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
            look_at(&entry.path(), canary, &mut lock(seen));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nobody panics while looking")
}

fn look_at(process: &Path, canary: &Canary, seen: &mut Seen) {
    let Ok(arguments) = fs::read(process.join("cmdline")) else { return };
    let name = String::from_utf8_lossy(&arguments).replace('\0', " ");
    if canary.is_in(&arguments) {
        seen.found.insert(format!("arguments: {name}"));
    }
    if fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == "handover") {
        seen.handovers.insert(process.display().to_string());
        if fs::read(process.join("environ")).is_ok_and(|environment| canary.is_in(&environment)) {
            seen.found.insert(format!("environment: {name}"));
        }
    }
}

/// Does this while all processes are watched. It may ask what has been seen so far.
fn watched<T>(
    world: &World,
    canary: &Canary,
    work: impl FnOnce(&Mutex<Seen>) -> Result<T>,
) -> Result<(T, Seen)> {
    let (proc, stop, seen) = (world.web.path("/proc"), AtomicBool::new(false), Mutex::default());
    let done = thread::scope(|scope| {
        scope.spawn(|| watch(&proc, canary, &stop, &seen));
        let done = work(&seen);
        stop.store(true, Ordering::SeqCst);
        done
    })?;
    Ok((done, seen.into_inner().expect("nobody panics while looking")))
}

/// The passwords that are in use become canaries.
fn plant(world: &World) -> Result<Canary> {
    let (aws, lab) = (world.lab.aws()?, &world.lab);
    lab.sql(&format!("alter user {DATABASE_USER} password '{DATABASE}'"))?;
    lab.redis(&["CONFIG", "SET", "requirepass", CACHE])?;
    aws.put_secret(
        RDS_MANAGED_SECRET,
        &json!({ "username": DATABASE_USER, "password": DATABASE }).to_string(),
    )?;
    aws.put_secret(REDIS_SECRET, CACHE)?;
    aws.put_parameter(REGION, "/prod/token", "SecureString", PARAMETER)?;
    aws.put_parameter(REGION, "/prod/mail/smtp/password", "String", BELOW)?;
    Ok(Canary::of(&[DATABASE, CACHE, PARAMETER, BELOW]))
}

/// A release that gets secrets in its environment and in a file.
fn release(tag: &'static str) -> Bundle {
    let file = "[file.\"/etc/app/settings.json\"]\ntemplate = \"templates/settings.json\"\n\n\
                [secret.token]\nparameter = \"/prod/token\"\n\n[secret.mail]\nparameters = \"/prod/mail/\"\n\n\
                [environment]\nTOKEN = { secret = \"token.value\" }\nMAIL = { secret = \"mail.smtp/password\" }";
    let template =
        r#"{ "password": {{ database.password | tojson }}, "mail": {{ mail["smtp/password"] | tojson }} }"#;
    Bundle::of(tag).edit("[environment]", file).file("templates/settings.json", template)
}

/// The releases of which rendered files are kept that contain a secret.
fn rendered(world: &World, canary: &Canary) -> Result<BTreeSet<String>> {
    let releases = world.web.path("/var/lib/handover/status-page/releases");
    let found = canary.files_below(&releases)?;
    let top = releases.display().to_string();
    let numbers =
        found.iter().map(|path| path.trim_start_matches(&top).split('/').nth(1).unwrap_or_default());
    Ok(numbers.map(str::to_owned).collect())
}

/// All that has happened to containers and images so far.
fn events(world: &World) -> Result<Vec<u8>> {
    let now = jiff::Timestamp::now().as_second() + 1;
    let answer = world.web.docker()?.request("GET", &format!("/events?since=1&until={now}"), None)?;
    ensure!(answer.text().contains("status-page-web"), "no events of ours");
    Ok(answer.body)
}

#[test]
fn a_secret_is_in_the_container_and_nowhere_else() -> Result<()> {
    let world = World::up()?;
    let canary = plant(&world)?;
    world.push("leaky", "print-secrets")?;
    // An application that prints its environment, and then fails its gate on a port where nobody listens.
    let health = "http        = \"/health\"";
    let leaky = release("leaky")
        .edit(health, &format!("{health}\nport = 8001"))
        .edit("deadline    = \"2m\"", "deadline = \"1s\"");
    let deployments = |_: &Mutex<Seen>| {
        Ok([
            world.deploy("d-000000001", &release("v1"))?,
            world.deploy("d-000000002", &leaky)?,
            world.deploy("d-000000003", &release("crash"))?,
            world.deploy("d-000000004", &release("v2"))?,
        ])
    };
    let (reports, seen) = watched(&world, &canary, deployments)?;
    let succeeded: Vec<_> = reports.iter().map(codedeploy::DeploymentReport::succeeded).collect();
    ensure!(succeeded == [true, false, false, true], "{reports:?}");
    ensure!(seen.handovers.len() > 8, "hardly a hook was seen: {seen:?}");
    ensure!(seen.found.is_empty(), "{:?}", seen.found);
    let printed = &reports[1].failure().context("it failed")?.log;
    ensure!(printed.contains("REDIS_URL=***"), "what the container printed is no evidence: {printed}");

    for report in &reports {
        ensure!(
            !canary.is_in(serde_json::to_string(report)?.as_bytes()),
            "a secret is in what CodeDeploy got"
        );
    }
    let found = canary.found_outside_of_containers(&world)?;
    ensure!(found.is_empty(), "secrets are in {found:?}");
    let rendered = rendered(&world, &canary)?;
    ensure!(rendered.iter().eq(["1", "4"]), "files of refused releases were left: {rendered:?}");
    ensure!(!canary.is_in(&events(&world)?), "a secret is in Docker's events");
    for container in world.web.docker()?.containers()? {
        ensure!(
            !canary.is_in(container.to_string().as_bytes()),
            "a secret is in a label or a name: {container}"
        );
    }
    let bundle = world.bundle(&leaky)?;
    for words in [&["status"][..], &["status", "--json"], &["plan", &bundle], &["plan"], &["recover"]] {
        let output = world.handover(words)?;
        ensure!(output.status.success(), "{words:?}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        ensure!(!said.is_empty() && !canary.is_in(&said), "a secret is in what {words:?} says");
    }
    // No `docker login`, no credentials file.
    let output = world.web.command("sh").args(["-c", "ls -A /root/.docker /.docker 2>/dev/null"]).output()?;
    ensure!(!String::from_utf8_lossy(&output.stdout).contains("config.json"), "{output:?}");
    Ok(())
}

/// The control: what finds nothing elsewhere finds the secrets where they are.
#[test]
fn the_search_finds_what_is_there() -> Result<()> {
    let world = World::up()?;
    let canary = plant(&world)?;
    let deployed = world.deploy("d-000000001", &release("v1"))?;
    ensure!(deployed.succeeded(), "{deployed:?}");
    world.assert_settled("v1")?;
    let inspect = world.web.docker()?.inspect("status-page-web")?.context("v1 is live")?;
    let variables = inspect["Config"]["Env"].as_array().context("no environment")?;
    let has = |variable: String| variables.iter().any(|one| *one == json!(variable));
    ensure!(has(format!("DATABASE_PASSWORD={DATABASE}")), "the container did not get it");
    let encoded =
        "REDIS_URL=rediss://:C4nary%2Bof%2Fthe%23cache%5E%26%3Cwith%3Especials%2541@cache.internal:6379/0";
    ensure!(has(encoded.to_owned()), "{variables:?}");
    ensure!(rendered(&world, &canary)?.iter().eq(["1"]), "the search does not find the rendered file");
    for value in [DATABASE, CACHE, PARAMETER, BELOW] {
        let found =
            Canary::of(&[value]).files_below(&world.web.path("/var/lib/docker").join("containers"))?;
        ensure!(!found.is_empty(), "the search does not find {value} in Docker's own files");
    }
    // In the arguments of a process.
    let ((), seen) = watched(&world, &canary, |seen| {
        let mut process =
            world.web.command("sh").args(["-c", "read forever", DATABASE]).stdin(Stdio::piped()).spawn()?;
        // It lives until the watcher has come by.
        let looked = wait_until("it is seen", PATIENCE, || Ok(!lock(seen).found.is_empty()));
        let ended = world.web.signal(&process, 9);
        process.wait()?;
        looked.and(ended)
    })?;
    ensure!(seen.found.iter().any(|found| found.contains(DATABASE)), "{seen:?}");
    // In a file, and in what Docker tells of a container.
    let file = world.web.path("/var/lib/handover/status-page/control");
    fs::write(
        &file,
        format!("x{}", percent_encoding::utf8_percent_encode(CACHE, percent_encoding::NON_ALPHANUMERIC)),
    )?;
    ensure!(canary.found_outside_of_containers(&world)? == [file.display().to_string()]);
    let settings = json!({ "Image": inspect["Image"], "Labels": { "secret": DATABASE } });
    world.web.docker()?.run("labelled", &settings)?;
    ensure!(canary.is_in(&events(&world)?), "a label is in no event");
    Ok(())
}
