//! Between deployments, on a real Engine: secrets that change, what is left undone, and an image of an instance that is started as
//! another one.

use anyhow::{Context as _, Result, ensure};
use lab::names::RDS_MANAGED_SECRET;
use lab::{Fault, wait_until};
use serde_json::Value;
use world::{Bundle, PATIENCE, World, text};

use crate::held::Deploying;

fn live(world: &World) -> Result<Value> {
    world.web.docker()?.inspect("status-page-web")?.context("nothing is live")
}

fn has_password(world: &World, password: &str) -> Result<bool> {
    Ok(live(world)?["Config"]["Env"].to_string().contains(&format!("DATABASE_PASSWORD={password}")))
}

/// As RDS does it: the old password is dead at once.
fn rotate(world: &World, password: &str) -> Result<()> {
    world.lab.sql(&format!("ALTER ROLE sp PASSWORD '{password}'"))?;
    let secret = format!("{{\"username\":\"sp\",\"password\":\"{password}\"}}");
    world.lab.aws()?.put_secret(RDS_MANAGED_SECRET, &secret).map(drop)
}

/// What a command says, which has to exit with this code.
fn handover(world: &World, arguments: &[&str], code: i32) -> Result<String> {
    let output = world.handover(arguments)?;
    let said = text(&output.stdout) + &text(&output.stderr);
    ensure!(output.status.code() == Some(code), "{arguments:?}: {}: {said}", output.status);
    Ok(said)
}

#[test]
fn a_rotated_password_is_handed_over_to_without_losing_a_request() -> Result<()> {
    let world = World::up()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let said = handover(&world, &["refresh"], 0)?;
    ensure!(said.contains("the secrets are as r1 was given: nothing to refresh"), "{said}");
    ensure!(world.status()?[0]["looked"]["found"] == "same", "{}", world.status()?);

    let url = format!("http://{}:8000/ping", world.web.ip());
    let load = world.lab.load(&url, &["--rate", "200", "--seconds", "900", "--timeout-ms", "15000"])?;
    rotate(&world, "another")?;
    let said = handover(&world, &["refresh"], 0)?;
    ensure!(said.contains("secret database changed since r1 was given it"), "{said}");
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && seen["total"].as_u64() > Some(100), "{seen}");
    ensure!(has_password(&world, "another")?, "{}", live(&world)?);
    world.assert_settled("v1")?;
    world.assert_no_rules()?;
    let looked = &world.status()?[0]["looked"];
    ensure!(looked["found"] == "refreshed" && looked["release"] == 2, "{looked}");
    let history = handover(&world, &["history"], 0)?;
    ensure!(history.contains("refresh of r1"), "{history}");
    // It is not this instance's turn again.
    ensure!(handover(&world, &["tend"], 0)?.is_empty(), "the timer has something to say");

    // Another version, of which the password is the same: the lab's own tools do not learn of a second one.
    let secret = r#"{"username":"sp","password":"another","rotated":"twice"}"#;
    world.lab.aws()?.put_secret(RDS_MANAGED_SECRET, secret)?;
    let before = live(&world)?;
    world.lab.aws()?.set_faults([("GetSecretValue", Fault::error(400, "AccessDeniedException"))])?;
    let said = handover(&world, &["refresh"], 1)?;
    ensure!(said.contains("secretsmanager:GetSecretValue"), "{said}");
    ensure!(live(&world)?["State"] == before["State"], "what runs was touched");
    let status = handover(&world, &["status"], 0)?;
    ensure!(status.contains("secrets, looked at") && status.contains("FAILED: "), "{status}");
    world.lab.aws()?.clear_faults()?;
    handover(&world, &["refresh"], 0)?;
    let looked = &world.status()?[0]["looked"];
    ensure!(looked["found"] == "refreshed" && looked["release"].as_u64() > Some(2), "{looked}");
    world.assert_settled("v1")
}

/// It is not this instance's turn for an hour; but the database does not take the password of live any more.
#[test]
fn a_database_that_refuses_the_password_is_a_reason_to_look_at_once() -> Result<()> {
    const CHECK: &str = "[check.database]\npostgres = { secret = \"database\", ca = \"/etc/ssl/rds.pem\" }\n";
    let world = World::up()?;
    std::fs::copy(world.lab.dir().join("vpc/ca.pem"), world.web.path("/etc/ssl/rds.pem"))?;
    let bundle = Bundle::of("v1").edit("[process.web]\n", &format!("{CHECK}[process.web]\n"));
    // A gate that does not ask for the database itself.
    let report = world.deploy("d-000000001", &bundle.edit("\"/health\"", "\"/ping\""))?;
    ensure!(report.succeeded(), "{report:?}");
    ensure!(handover(&world, &["tend"], 0)?.is_empty(), "the timer has something to say");
    rotate(&world, "another")?;
    let said = handover(&world, &["tend"], 0)?;
    ensure!(said.contains("secret database changed since r1 was given it"), "{said}");
    ensure!(has_password(&world, "another")?);
    world.assert_settled("v1")?;
    ensure!(handover(&world, &["tend"], 0)?.is_empty(), "the timer has something to say");
    Ok(())
}

#[test]
fn the_timer_ends_what_was_abandoned() -> Result<()> {
    let world = World::with_v1_and_failpoints()?;
    let deploying = Deploying::up_to(&world, "gate web", &Bundle::of("v2"), "d-000000002")?;
    // As long as somebody is in charge of it, it is none.
    handover(&world, &["tend"], 75)?;
    deploying.kill(&world)?;
    let said = handover(&world, &["tend"], 0)?;
    ensure!(said.contains("was undone, the old release is serving"), "{said}");
    world.assert_settled("v1")
}

#[test]
fn an_image_of_an_instance_is_another_instance() -> Result<()> {
    let world = World::with_v1()?;
    ensure!(world.deploy("d-000000002", &Bundle::of("v2"))?.succeeded());
    world.web.cut()?;
    let mut metadata = world.web.metadata()?;
    metadata.instance_id = "i-0fedcba9876543210".to_owned();
    world.web.set_metadata(&metadata)?;
    world.web.boot()?;
    // Docker has started it, with the secrets of the other one.
    ensure!(world.release_that_comes_up()? == "v2");
    let said = handover(&world, &["recover"], 0)?;
    ensure!(said.contains("and this is i-0fedcba9876543210"), "{said}");
    ensure!(world.containers()?.is_empty(), "{:?}", world.containers()?);
    wait_until("nothing answers", PATIENCE, || Ok(world.answer().is_err()))?;
    // And what is deployed has the secrets of now.
    rotate(&world, "another")?;
    let report = world.deploy("d-000000003", &Bundle::of("v2"))?;
    ensure!(report.succeeded(), "{report:?}");
    ensure!(has_password(&world, "another")?);
    world.assert_settled("v2")?;
    let history = handover(&world, &["history"], 0)?;
    ensure!(history.contains("r3") && !history.contains("r2"), "{history}");
    Ok(())
}
