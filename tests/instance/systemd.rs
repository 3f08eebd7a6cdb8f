//! The units in a real systemd: what it makes of them at a boot, beside Docker, and of the timer. Nobody runs
//! `handover recover` by hand here.

mod start_first;

use std::fs;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::{SystemdInstance, wait_until};
use serde_json::{Value, json};

use world::{Bundle, PATIENCE, World, report, text};

const RECOVER: &str = "handover-recover.service";
const TEND: &str = "handover-tend.service";
const TIMER: &str = "handover-tend.timer";
const LIVE: &str = "status-page-web";
const NOTHING: &str = "status-page: nothing was interrupted";
const UNDONE: &str = "was undone, the old release is serving";

/// An instance on which systemd runs, with the units installed and v1 serving.
struct Booted {
    systemd: SystemdInstance,
    world: World,
}

impl Booted {
    /// Without the timer, which would do at any moment what a test looks at.
    fn with_v1() -> Result<Self> {
        Self::with_v1_and_the_timer()?.without_the_timer()
    }

    fn with_v1_and_the_timer() -> Result<Self> {
        Self::with(World::up()?, &Bundle::of("v1"))
    }

    fn without_the_timer(self) -> Result<Self> {
        self.systemd.run(&["systemctl", "disable", "--now", TIMER])?;
        Ok(self)
    }

    /// With this bundle deployed.
    fn with(world: World, bundle: &Bundle) -> Result<Self> {
        let systemd = SystemdInstance::boot(&world.web)?;
        let booted = Self { systemd, world };
        let said = booted.systemd.run(&["handover", "install"])?;
        ensure!(said.contains("handover-recover.service and handover-tend.timer are there"), "{said}");
        let bundle = booted.world.bundle(bundle)?;
        let output = booted.deployment("d-000000001", &bundle).output()?;
        ensure!(report(&output)?.succeeded(), "{}", text(&output.stdout));
        Ok(booted)
    }

    /// `CodeDeploy`'s agent, up to its command.
    fn agent(&self) -> Command {
        world::agent_by(self.systemd.command("codedeploy"), "v1")
    }

    /// A deployment by it.
    fn deployment(&self, id: &str, bundle: &str) -> Command {
        let mut command = self.agent();
        command.args(["deploy", "--bundle", bundle, "--deployment-id", id]);
        command
    }

    /// A deployment of a release that never answers, at its gate: live is stopped.
    fn switch_in_progress(&self) -> Result<Child> {
        let bundle = self.world.bundle(&Bundle::of("silent"))?;
        let agent = self.deployment("d-000000002", &bundle).stdout(Stdio::null()).spawn()?;
        self.world.wait_for_gate("d-000000002")?;
        Ok(agent)
    }

    /// The same, and handover is killed in it: containers are as they are, and no process is at work.
    fn interrupted_switch(&self) -> Result<()> {
        let mut agent = self.switch_in_progress()?;
        self.kill_handover()?;
        agent.wait()?;
        Ok(())
    }

    fn kill_handover(&self) -> Result<()> {
        self.systemd.run(&["sh", "-c", &world::signal_script("KILL")])?;
        wait_until("it is gone", PATIENCE, || Ok(self.state_of_the_run()? == "interrupted"))
    }

    /// Of the run in progress, or of the last one.
    fn state_of_the_run(&self) -> Result<String> {
        let status: Value = serde_json::from_str(&self.systemd.run(&["handover", "status", "--json"])?)?;
        Ok(status[0]["run"]["state"].as_str().context("no run")?.to_owned())
    }

    /// Which run of the unit was its last one.
    fn last_run(&self) -> Result<String> {
        self.systemd.property(RECOVER, "InvocationID")
    }

    /// Waits until the unit has run again, and says what that run printed.
    fn what_recover_says_after(&self, run: &str) -> Result<String> {
        wait_until("recover has run again", PATIENCE, || {
            // In this order: a run that begins between the two questions is not over.
            let has_begun = self.last_run()? != run;
            let state = self.systemd.property(RECOVER, "ActiveState")?;
            Ok(has_begun && ["inactive", "failed"].contains(&state.as_str()))
        })?;
        self.what_recover_said()
    }

    /// Kills Docker, waits until systemd has started it again and the unit after it, and says what that run printed.
    fn what_recover_says_after_a_kill_of_docker(&self) -> Result<String> {
        let moment = |unit: &str, name: &str| -> Result<u64> {
            Ok(self.systemd.property(unit, name)?.parse().unwrap_or_default())
        };
        let before = moment("docker.service", "ActiveEnterTimestampMonotonic")?;
        // Several starts within a minute are too many for systemd.
        self.systemd.run(&["systemctl", "reset-failed", "docker.service", RECOVER])?;
        self.systemd.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "docker.service"])?;
        wait_until("recover has run after the next start of Docker", PATIENCE, || {
            let up = moment("docker.service", "ActiveEnterTimestampMonotonic")?;
            let ended = moment(RECOVER, "ExecMainExitTimestampMonotonic")?;
            Ok(up > before && ended > up && self.systemd.property(RECOVER, "ActiveState")? != "activating")
        })
        .with_context(|| self.how_the_units_are())?;
        self.what_recover_said()
    }

    /// For the message of a test that waited in vain.
    fn how_the_units_are(&self) -> String {
        let state =
            ["systemctl", "show", "--property=Id,ActiveState,SubState,Result,Job", "docker.service", RECOVER];
        let log = [
            "journalctl",
            "--no-pager",
            "--lines=60",
            "--output=short-precise",
            "--unit=init.scope",
            "--unit=handover-recover",
        ];
        let dockers = ["journalctl", "--no-pager", "--lines=20", "--output=short-precise", "--unit=docker"];
        [&state[..], &log, &dockers].map(|words| self.systemd.run(words).unwrap_or_default()).join("\n")
    }

    /// What the last run of the unit printed.
    fn what_recover_said(&self) -> Result<String> {
        self.systemd.run(&["journalctl", "--sync"])?;
        // By its process: of one that has ended when the journal reads its line, the invocation is not known any more.
        let run = format!("_PID={}", self.systemd.property(RECOVER, "ExecMainPID")?);
        self.systemd.run(&["journalctl", "--no-pager", "--boot", "--output", "cat", &run])
    }

    /// The last run began when the last start of Docker was complete, and went well.
    fn assert_recover_came_after_docker(&self) -> Result<()> {
        let moment =
            |unit: &str, name: &str| -> Result<u64> { Ok(self.systemd.property(unit, name)?.parse()?) };
        let up = moment("docker.service", "ActiveEnterTimestampMonotonic")?;
        let began = moment(RECOVER, "ExecMainStartTimestampMonotonic")?;
        ensure!(up > 0 && began >= up, "Docker was up at {up}, recover began at {began} (microseconds)");
        let result = self.systemd.property(RECOVER, "Result")?;
        ensure!(result == "success", "{result}: {}", self.what_recover_said()?);
        Ok(())
    }

    fn live(&self) -> Result<Value> {
        self.world.web.docker()?.inspect(LIVE)?.context("nothing is live")
    }
}

#[test]
fn systemd_takes_the_units_and_prunes_by_them() -> Result<()> {
    let booted = Booted::with_v1_and_the_timer()?;
    let systemd = &booted.systemd;
    let checked = systemd.command("systemd-analyze").args(["verify", RECOVER, TEND, TIMER]).output()?;
    ensure!(checked.status.success() && checked.stderr.is_empty(), "{}", text(&checked.stderr));
    for unit in [RECOVER, TIMER] {
        ensure!(systemd.run(&["systemctl", "is-enabled", unit])? == "enabled");
    }
    for unit in [RECOVER, TEND, TIMER] {
        ensure!(systemd.property(unit, "LoadState")? == "loaded", "{unit}");
        ensure!(systemd.property(unit, "NeedDaemonReload")? == "no", "{unit}");
    }
    systemd.run(&["systemctl", "status", TIMER])?;
    ensure!(systemd.property(TIMER, "Triggers")? == TEND);
    ensure!(!systemd.property(TIMER, "NextElapseUSecRealtime")?.is_empty(), "the timer waits for nothing");

    // Of releases that no record knows any more the newest three are kept: of these four r2 goes.
    let docker = booted.world.web.docker()?;
    let live = booted.live()?;
    for number in 2..=5 {
        let mut labels = live["Config"]["Labels"].clone();
        labels["handover.release"] = json!(number.to_string());
        let never = json!({ "RestartPolicy": { "Name": "no" } });
        let parked = json!({ "Image": live["Image"], "Labels": labels, "HostConfig": never });
        docker.post(&format!("/containers/create?name={LIVE}.r{number}"), &parked)?;
    }
    systemd.run(&["systemctl", "start", TEND])?;
    ensure!(systemd.property(TEND, "Result")? == "success");
    let left: Vec<_> = booted.world.containers()?.into_keys().collect();
    ensure!(left == [LIVE, "status-page-web.r3", "status-page-web.r4", "status-page-web.r5"], "{left:?}");
    booted.world.assert_settled("v1")
}

#[test]
fn recover_runs_after_docker_at_each_of_its_starts_and_leaves_alone_what_is_well() -> Result<()> {
    let mut booted = Booted::with_v1()?;
    let after = booted.systemd.property(RECOVER, "After")?;
    ensure!(after.split(' ').any(|unit| unit == "docker.service"), "After={after}");
    booted.systemd.cut()?;
    booted.systemd.boot_again()?;
    // A boot that is over has run it.
    let said = booted.what_recover_said()?;
    ensure!(said.contains(NOTHING), "{said}");
    booted.assert_recover_came_after_docker()?;
    booted.world.assert_settled("v1")?;

    let run = booted.last_run()?;
    booted.systemd.run(&["systemctl", "restart", "docker.service"])?;
    let said = booted.what_recover_says_after(&run)?;
    ensure!(said.contains(NOTHING), "{said}");
    booted.assert_recover_came_after_docker()?;
    booted.world.assert_settled("v1")?;

    let (live, journal) = (booted.live()?, booted.world.journal());
    booted.systemd.run(&["systemctl", "start", RECOVER])?;
    ensure!(booted.live()? == live, "recover changed live");
    ensure!(booted.world.journal() == journal, "recover wrote into the journal");
    Ok(())
}

#[test]
fn a_switch_that_the_power_cut_off_is_undone_by_the_boot() -> Result<()> {
    let mut booted = Booted::with_v1()?;
    let mut agent = booted.switch_in_progress()?;
    booted.systemd.cut()?;
    agent.wait()?;
    booted.systemd.boot_again()?;
    let said = booted.what_recover_said()?;
    ensure!(said.contains(UNDONE), "{said}");
    booted.assert_recover_came_after_docker()?;
    booted.world.assert_settled("v1")?;
    // The next boot has nothing to do.
    booted.systemd.cut()?;
    booted.systemd.boot_again()?;
    let said = booted.what_recover_said()?;
    ensure!(said.contains(NOTHING), "{said}");
    booted.world.assert_settled("v1")
}

#[test]
fn a_restart_of_docker_undoes_an_interrupted_switch() -> Result<()> {
    let booted = Booted::with_v1()?;
    booted.interrupted_switch()?;
    let run = booted.last_run()?;
    booted.systemd.run(&["systemctl", "restart", "docker.service"])?;
    let said = booted.what_recover_says_after(&run)?;
    ensure!(said.contains(UNDONE), "{said}");
    booted.assert_recover_came_after_docker()?;
    booted.world.assert_settled("v1")
}

/// A deployment's own process is in charge; recover says so, and is no failed unit for it.
#[test]
fn recover_leaves_a_switch_to_the_process_that_is_at_work() -> Result<()> {
    let booted = Booted::with_v1()?;
    let mut agent = booted.switch_in_progress()?;
    booted.systemd.run(&["systemctl", "start", RECOVER])?;
    ensure!(booted.systemd.property(RECOVER, "ExecMainStatus")? == "75", "{}", booted.what_recover_said()?);
    ensure!(booted.systemd.property(RECOVER, "Result")? == "success");
    ensure!(agent.try_wait()?.is_none(), "the deployment ended");
    Ok(())
}

/// Docker goes away below a recover that is at work: systemd ends that one before, and begins another one after.
#[test]
fn a_restart_of_docker_begins_a_recover_anew_that_is_at_work() -> Result<()> {
    let booted = Booted::with_v1()?;
    booted.interrupted_switch()?;
    // Without its database the old release is not healthy, and recover waits for it.
    booted.world.lab.stop("database")?;
    let run = booted.last_run()?;
    booted.systemd.run(&["systemctl", "start", "--no-block", RECOVER])?;
    wait_until("recover has started the old release", PATIENCE, || {
        Ok(booted.live()?["State"]["Running"] == true && booted.last_run()? != run)
    })?;
    let run = booted.last_run()?;
    booted.systemd.run(&["systemctl", "restart", "docker.service"])?;
    wait_until("recover was begun anew", PATIENCE, || Ok(booted.last_run()? != run))?;
    let run = booted.last_run()?;
    booted.world.lab.start("database")?;
    let said = booted.what_recover_says_after("")?;
    ensure!(booted.last_run()? == run && said.contains(UNDONE), "{said}");
    booted.assert_recover_came_after_docker()?;
    booted.world.assert_settled("v1")
}

/// Docker's restart ends the unit first and waits for that; and its socket takes connections all the while, so that whoever asks
/// Docker something waits for its start.
#[test]
fn recover_ends_when_it_is_asked_to_although_docker_does_not_answer() -> Result<()> {
    let booted = Booted::with_v1()?;
    let signal = |signal: &str| {
        booted.systemd.run(&["systemctl", "kill", "--kill-who=main", signal, "docker.service"])
    };
    let log = booted.systemd.path("/var/log/handover/handover.log")?;
    let asked =
        || -> Result<usize> { Ok(fs::read_to_string(&log)?.matches("act=\"list containers\"").count()) };
    let before = asked()?;
    signal("--signal=STOP")?;
    booted.systemd.run(&["systemctl", "start", "--no-block", RECOVER])?;
    wait_until("recover asks Docker", PATIENCE, || Ok(asked()? > before))?;
    booted.systemd.run(&["systemctl", "stop", RECOVER])?;
    signal("--signal=CONT")?;
    ensure!(
        booted.systemd.property(RECOVER, "ExecMainStatus")?.trim() == "75",
        "{}",
        booted.how_the_units_are()
    );
    ensure!(
        booted.what_recover_said()?.contains("asked to stop while it waited"),
        "{}",
        booted.how_the_units_are()
    );
    booted.world.assert_settled("v1")
}

/// Docker's next life stops every container that still runs, as if somebody had asked for that. What somebody did ask for
/// stays as it is.
#[test]
fn live_comes_back_after_docker_was_killed_unless_somebody_had_stopped_it() -> Result<()> {
    let booted = Booted::with_v1()?;
    let said = booted.what_recover_says_after_a_kill_of_docker()?;
    ensure!(
        said.contains("status-page-web was down, and nobody had stopped it: it is started again"),
        "{said}"
    );
    booted.world.assert_settled("v1")?;

    booted.world.web.docker()?.post("/containers/status-page-web/stop", &Value::Null)?;
    let said = booted.what_recover_says_after_a_kill_of_docker()?;
    ensure!(booted.live()?["State"]["Running"] == false, "it was started against somebody's will: {said}");
    Ok(())
}
