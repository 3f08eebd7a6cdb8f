//! Kills and power cuts in the middle.

use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use lab::wait_until;

use world::{PATIENCE, text};

use super::{Release, Whole};

impl Whole {
    /// Starts a deployment and returns at once.
    fn begin(&self, id: &str, release: &Release) -> Result<(Child, String)> {
        let path = self.bundle(release)?;
        let mut agent = self.world.agent("v1", &[]);
        agent.args(["deploy", "--bundle", &path, "--deployment-id", id]);
        Ok((agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?, path))
    }

    fn wait_for_step(&self, id: &str, step: &str) -> Result<()> {
        let began = format!("\"began\",\"step\":\"{step}\"");
        wait_until(step, PATIENCE, || {
            let journal = self.world.journal();
            Ok(journal.contains(id) && journal.contains(&began))
        })
    }

    fn recover(&self) -> Result<()> {
        let recovered = self.world.handover(&["recover"])?;
        ensure!(recovered.status.success(), "{}{}", text(&recovered.stdout), text(&recovered.stderr));
        Ok(())
    }

    /// A deployment with a long migration, killed when that has begun.
    fn killed_in_migration(id: &str, tag: &'static str) -> Result<(Self, String)> {
        let whole = Self::with_v1()?;
        let (mut agent, path) =
            whole.begin(id, &Release::of(tag).with("SCHEMA", "2").with("MIGRATE_MS", "6000"))?;
        whole.counted("the migration has begun", |_| {
            whole.world.lab.sql("select count(*) from migrations").is_ok_and(|count| count == "2")
        })?;
        whole.world.kill_handover()?;
        let _ = agent.wait();
        Ok((whole, path))
    }
}

#[test]
fn killed_in_a_migration_and_given_up() -> Result<()> {
    let (whole, _) = Whole::killed_in_migration("d-000000002", "v2")?;
    let before = whole.live()?;
    whole.recover()?;
    ensure!(whole.live()? == before, "{:?}", whole.live()?);
    whole.assert_settled("v1")?;
    ensure!(whole.shared()? == ["status-page-static.r1", "status-page.r1"], "{:?}", whole.shared()?);
    ensure!(!whole.world.containers()?.keys().any(|name| name.contains("migrate")), "the task is left");
    whole.assert_unharmed()
}

#[test]
fn killed_in_a_migration_and_resumed_it_is_waited_for() -> Result<()> {
    let (whole, path) = Whole::killed_in_migration("d-000000002", "v2")?;
    for event in ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"] {
        let arguments = ["event", event, "--deployment-id", "d-000000002", "--bundle", &path];
        let output = whole.world.agent("v1", &[]).args(arguments).output()?;
        ensure!(output.status.success(), "{event}: {}", text(&output.stdout));
    }
    whole.assert_settled("v2")?;
    // It was not run twice.
    let counts = whole.world.lab.counts()?;
    ensure!(whole.migrations()? == 2, "{counts}");
    whole.assert_unharmed()
}

#[test]
fn a_power_cut_in_the_switch_makes_no_two_schedulers() -> Result<()> {
    let whole = Whole::with_v1()?;
    for (nth, step) in ["gate front", "stop-live scheduler", "gate scheduler"].into_iter().enumerate() {
        let id = format!("d-00000001{nth}");
        whole.trust()?;
        let long = Release::of("v2").edit(
            "\n\n[process.scheduler.health]\nmin-healthy = \"500ms\"",
            "\n\n[process.scheduler.health]\nmin-healthy = \"30s\"",
        );
        let long = long.edit(
            "interval    = \"50ms\"\nmin-healthy = \"200ms\"\ndeadline    = \"20s\"\n\n[process.web]",
            "interval = \"50ms\"\nmin-healthy = \"2s\"\ndeadline = \"20s\"\n\n[process.web]",
        );
        let (mut agent, _) = whole.begin(&id, &long)?;
        whole.wait_for_step(&id, step)?;
        whole.world.web.cut()?;
        let _ = agent.wait();
        whole.world.web.boot()?;
        whole.recover()?;
        whole.assert_settled("v1")?;
        ensure!(whole.live()?.len() == 4, "{step}: {:?}", whole.live()?);
        whole.assert_unharmed()?;
        // And a boot changes nothing of it.
        whole.world.web.cut()?;
        whole.world.web.boot()?;
        whole.assert_settled("v1")?;
        whole.assert_unharmed()?;
    }
    Ok(())
}
