//! An older binary meets a newer run, and the other way round: what it does not know it reads as unknown, hands to the
//! binary that does, and only without that undoes as far as it understands.

use std::os::unix::fs::PermissionsExt as _;

use handover::deploy::{DeployError, Recovered};
use handover::journal::Journal;
use handover::model::Phase;
use handover::report::Outcome;

use crate::world::World;

/// The run of `d-2`, left where `entry` was written, as if handover 9.9.9 had begun it.
async fn left_by_another_version(entry: &str) -> World {
    let world = World::with_v1().await;
    world.killed_after(entry, "v2").await;
    rewrite(&world, |text| text.replace("\"version\":\"0.1.0\"", "\"version\":\"9.9.9\""));
    world
}

fn rewrite(world: &World, change: impl Fn(String) -> String) {
    let path = world.journal();
    std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
}

/// Adds a line to the journal, as another version would write it.
fn append(world: &World, line: &str) {
    rewrite(world, |text| {
        let seq = text.lines().count();
        format!("{text}{{\"seq\":{seq},\"at\":\"2026-11-26T00:00:00Z\",{line}}}\n")
    });
}

/// Puts a script in the place of the binary that began the run.
fn binary_is(world: &World, script: &str) {
    let path = world.dir.path().join("handover-9.9.9");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    rewrite(world, |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        first["binary"] = path.display().to_string().into();
        lines[0] = first.to_string();
        lines.join("\n") + "\n"
    });
}

const STOPPED: &str = "\"entry\":\"done\",\"step\":\"stop-live web\"";
const COMMITTED: &str = "\"entry\":\"committed\"";

#[tokio::test(flavor = "current_thread")]
async fn the_binary_that_began_a_run_is_asked_to_end_it() {
    for hook in [false, true] {
        let world = left_by_another_version(COMMITTED).await;
        let called = world.dir.path().join("called");
        // It does not end the run, so that this version has to, and can: it knows every word of it.
        binary_is(&world, &format!("echo \"$@\" ${{HANDOVER_HANDED_OVER-no}} >>{}", called.display()));
        if hook {
            let report = world.deploy("d-3", "v3").await.unwrap();
            assert_eq!(report.exit().code(), 0, "{report:?}");
            assert_eq!(std::fs::read_to_string(&called).unwrap(), "recover --app status-page 1\n");
            world.assert_settled("v3");
        } else {
            assert!(matches!(world.recovered(false).await.unwrap(), Recovered::HandedOver(0)));
            assert_eq!(std::fs::read_to_string(&called).unwrap(), "recover --app status-page 1\n");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn without_that_binary_it_is_undone_by_the_inverses_that_are_known() {
    for committed in [false, true] {
        let world = left_by_another_version(if committed { COMMITTED } else { STOPPED }).await;
        append(&world, "\"entry\":\"rehearsed\",\"curtain\":\"up\"");
        let Recovered::Settled(report) = world.recovered(false).await.unwrap() else {
            panic!("it was settled")
        };
        assert_eq!(
            (report.outcome, report.exit().code()),
            (Outcome::Reverted { serving: true }, 0),
            "{report:?}"
        );
        world.assert_settled("v1");
    }
}

/// Undone as far as this version can; the rest is named, with who can do it.
#[tokio::test(flavor = "current_thread")]
async fn an_inverse_that_is_not_known_is_left_and_named() {
    let world = left_by_another_version(STOPPED).await;
    append(
        &world,
        "\"entry\":\"began\",\"step\":\"redirect web\",\"inverse\":[{\"do\":\"delete-rules\",\"tag\":\"t\"}]",
    );
    let error = world.recovered(false).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("undo redirect web") && said.contains("9.9.9 knows how to take this back"),
        "{said}"
    );
    // The old release serves all the same.
    assert_eq!(world.serving().as_deref(), Some("v1"));
}

/// The same deployment goes on only with what it was begun with.
#[tokio::test(flavor = "current_thread")]
async fn the_same_deployment_is_not_resumed_with_steps_that_are_not_known() {
    let world = World::with_v1().await;
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    rewrite(&world, |text| text.replace("\"step\":\"recheck\"", "\"step\":\"rehearse\""));
    let before = world.live_hash();
    let error = world.hook("d-2", "v2", Phase::Finish).await.unwrap_err();
    assert!(matches!(error, DeployError::ForeignRun { .. }), "{error}");
    assert_eq!(world.live_hash(), before);
    // Another deployment ends it by its inverses.
    assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
    world.assert_settled("v3");
}

/// The run is resumed by the plan that its journal holds, whatever this version would plan.
#[tokio::test(flavor = "current_thread")]
async fn a_run_is_resumed_by_its_own_plan() {
    let world = World::with_v1().await;
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    // A version that did not recheck.
    rewrite(&world, |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        first["plan"].as_array_mut().unwrap().retain(|planned| planned["step"] != "recheck");
        lines[0] = first.to_string();
        lines.join("\n") + "\n"
    });
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(!std::fs::read_to_string(world.journal()).unwrap().contains("\"began\",\"step\":\"recheck\""));
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn every_release_keeps_its_journal_and_its_binary() {
    let world = World::with_v1().await;
    world.deploy("d-2", "crash").await.unwrap();
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let releases = world.state().join("releases");
    for release in [1, 3] {
        let text = std::fs::read_to_string(releases.join(format!("{release}/journal.jsonl"))).unwrap();
        let binary: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let binary = binary["binary"].as_str().unwrap();
        assert!(std::path::Path::new(binary).is_file() && binary.contains("handover-0.1.0-"), "{binary}");
    }
    assert!(Journal::last(&releases).unwrap().unwrap().ends_with("releases/3/journal.jsonl"));
}
