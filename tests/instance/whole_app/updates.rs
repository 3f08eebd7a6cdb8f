//! First deployments and updates that go well.

use anyhow::{Context as _, Result, ensure};

use super::{Release, Whole};

#[test]
fn the_first_deployment_brings_all_of_it() -> Result<()> {
    let whole = Whole::with_v1()?;
    whole.assert_settled("v1")?;
    ensure!(whole.live()?.len() == 4, "{:?}", whole.live()?);
    ensure!(whole.shared()? == ["status-page-static.r1", "status-page.r1"], "{:?}", whole.shared()?);
    ensure!(whole.migrations()? == 1, "{}", whole.world.lab.counts()?);
    whole.assert_unharmed()?;
    whole.world.web.cut()?;
    whole.world.web.boot()?;
    whole.assert_settled("v1")?;
    whole.assert_unharmed()
}

#[test]
fn an_update_under_load_loses_no_job_and_mixes_no_releases() -> Result<()> {
    let whole = Whole::with_v1()?;
    let before = whole.live()?;
    let url = format!("http://{}:8000/jobs/job-{{}}?ms=20", whole.world.web.ip());
    let load = whole.world.lab.load(&url, &["--post", "--rate", "10", "--seconds", "120", "--no-retry"])?;
    whole.counted("jobs are done", |counts| counts["done"].as_u64() > Some(5))?;
    let updated = whole.deploy("d-000000002", Release::of("v2").with("SCHEMA", "2"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    let report = load.stop()?;
    let accepted =
        report["total"].as_u64().unwrap_or_default() - report["failed"].as_u64().unwrap_or_default();
    let counts = whole.counted("all jobs are done", |counts| {
        counts["waiting"] == 0 && counts["in_hand"] == 0 && counts["done"] == counts["accepted"]
    })?;
    // What was accepted and whose answer was cut off counts, too.
    ensure!(counts["done"].as_u64() >= Some(accepted), "{counts} {report}");
    ensure!(counts["begun_again"] == 0, "a worker was killed in the middle of a job: {counts}");
    ensure!(whole.migrations()? == 2, "{counts}");
    whole.assert_unharmed()?;
    whole.assert_settled("v2")?;
    let after = whole.live()?;
    ensure!(before.iter().all(|(process, id)| after[process] != *id), "{before:?} {after:?}");
    let shared = whole.shared()?;
    ensure!(
        shared == ["status-page-static.r1", "status-page-static.r2", "status-page.r1", "status-page.r2"],
        "{shared:?}"
    );
    // On the network of its release is what runs of it, and nothing else.
    let network = whole.world.web.docker()?.get("/networks/status-page.r2")?;
    let on_it: Vec<_> =
        network["Containers"].as_object().into_iter().flatten().map(|(id, _)| id.clone()).collect();
    let mut live: Vec<_> = after.into_values().collect();
    live.sort();
    ensure!(on_it == live, "{network}");
    // The same once more: there is nothing to migrate.
    let again = whole.deploy("d-000000003", Release::of("v3").with("SCHEMA", "2"))?;
    ensure!(again.succeeded(), "{again:?}");
    ensure!(whole.migrations()? == 2, "{}", whole.world.lab.counts()?);
    whole.assert_settled("v3")?;
    whole.assert_unharmed()
}

#[test]
fn a_process_that_is_removed_is_parked_and_put_back_when_the_release_is_refused() -> Result<()> {
    let whole = Whole::with_v1()?;
    let before = whole.live()?;
    let refused = whole
        .deploy("d-000000002", Release::of("v2").without("scheduler").with("VARIANT", "worker:crash"))?;
    ensure!(refused.failure().is_some(), "{refused:?}");
    let back = whole.live().with_context(|| format!("{refused:?}"))?;
    ensure!(back == before, "{back:?}");
    whole.assert_settled("v1")?;
    let updated = whole.deploy("d-000000003", Release::of("v2").without("scheduler"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    whole.assert_settled("v2")?;
    ensure!(!whole.live()?.contains_key("scheduler"), "{:?}", whole.live()?);
    let parked = whole.world.containers()?;
    ensure!(parked.get("status-page-scheduler.r1") == Some(&(false, "no".to_owned())), "{parked:?}");
    // And it is new again.
    let back = whole.deploy("d-000000004", Release::of("v3"))?;
    ensure!(back.succeeded(), "{back:?}");
    whole.assert_settled("v3")?;
    ensure!(whole.live()?.len() == 4, "{:?}", whole.live()?);
    whole.assert_unharmed()
}
