//! Start-first, cut off while a candidate is there, and nobody runs handover again: the units bring it to its end, after a
//! restart of Docker, at a boot, and when the timer has them look.

use anyhow::{Context as _, Result, ensure};
use world::{Bundle, World, assert_none_is_ours};

use super::{Booted, NOTHING, TEND, UNDONE};
use crate::held::Deploying;

const FINISHED: &str = "the interrupted deployment was finished";

/// What cuts a deployment off, and has a unit run after it.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// handover is killed, and somebody restarts Docker.
    RestartOfDocker,
    /// The power fails.
    Power,
    /// handover is killed, and the timer comes round.
    Timer,
}

/// A place at which a deployment of v2 beside v1 is cut off.
struct Case {
    step: &'static str,
    cut: Cut,
    live_runs: bool,
    is_finished: bool,
}

const CASES: [Case; 4] = [
    // The redirect is in place, and live is warm.
    Case { step: "bake", cut: Cut::RestartOfDocker, live_runs: true, is_finished: false },
    // Live is stopped.
    Case { step: "gate web", cut: Cut::Power, live_runs: false, is_finished: false },
    Case { step: "gate web", cut: Cut::Timer, live_runs: false, is_finished: false },
    // Behind the commit. The container with the live name is still that of v1.
    Case { step: "retire-candidate web", cut: Cut::RestartOfDocker, live_runs: false, is_finished: true },
];

#[test]
fn cut_off_with_a_candidate_it_is_ended_by_the_units() -> Result<()> {
    let world = World::up_with_failpoints()?;
    let mut booted = Booted::with(world, &Bundle::of("v1").start_first())?.without_the_timer()?;
    for (n, case) in CASES.iter().enumerate() {
        cut_off(&mut booted, case, &format!("d-00000010{n}"))
            .with_context(|| format!("{}, {:?}", case.step, case.cut))?;
    }
    // The next boot has nothing to do.
    booted.systemd.cut()?;
    booted.systemd.boot_again()?;
    let said = booted.what_recover_said()?;
    ensure!(said.contains(NOTHING), "{said}");
    booted.world.assert_settled("v2")
}

fn cut_off(booted: &mut Booted, case: &Case, id: &str) -> Result<()> {
    let bundle = Bundle::of("v2").start_first();
    let deploying = Deploying::by(booted.agent(), &booted.world, case.step, &bundle, id)?;
    // What must not be left is there now: else its absence shows nothing.
    ensure!(candidates(booted)?.len() == 1, "{:?}", booted.world.containers()?);
    ensure!(assert_none_is_ours(&rules(booted)?).is_err(), "none of ours: {:#?}", rules(booted)?);
    let live_runs = booted.live()?["State"]["Running"] == true;
    ensure!(live_runs == case.live_runs, "{:?}", booted.world.containers()?);
    // While live runs, the kernel may have ended the redirect: this machine may be slow.
    ensure!(live_runs || booted.world.release()? == "v2", "{} serves", booted.world.release()?);

    match case.cut {
        Cut::RestartOfDocker => {
            booted.kill_handover()?;
            deploying.wait()?;
            let run = booted.last_run()?;
            booted.systemd.run(&["systemctl", "restart", "docker.service"])?;
            assert_recover_said(booted, case, &booted.what_recover_says_after(&run)?)?;
        }
        Cut::Power => {
            booted.systemd.cut()?;
            deploying.wait()?;
            booted.systemd.boot_again()?;
            // A boot that is over has run it.
            assert_recover_said(booted, case, &booted.what_recover_said()?)?;
        }
        Cut::Timer => {
            booted.kill_handover()?;
            deploying.wait()?;
            booted.systemd.run(&["systemctl", "start", TEND])?;
        }
    }
    let (state, release) = if case.is_finished { ("deployed", "v2") } else { ("reverted", "v1") };
    ensure!(booted.state_of_the_run()? == state, "{}", booted.state_of_the_run()?);
    ensure!(booted.world.journal().contains(id), "another run was the last one");
    booted.world.assert_settled(release)?;
    assert_none_is_ours(&rules(booted)?)?;
    ensure!(candidates(booted)?.is_empty(), "{:?}", booted.world.containers()?);
    Ok(())
}

/// The unit ended the run, after Docker's start, and says how.
fn assert_recover_said(booted: &Booted, case: &Case, said: &str) -> Result<()> {
    let words = if case.is_finished { FINISHED } else { UNDONE };
    ensure!(said.contains(words), "{said}\n{}", booted.how_the_units_are());
    booted.assert_recover_came_after_docker()
}

/// The names of the candidates that are there, running or not.
fn candidates(booted: &Booted) -> Result<Vec<String>> {
    let names = booted.world.containers()?.into_keys();
    Ok(names.filter(|name| name.ends_with(".bridge")).collect())
}

/// In the eyes of the system that was booted: its iptables need not be that of the machine.
fn rules(booted: &Booted) -> Result<Vec<String>> {
    let rules = world::rules_by(booted.systemd.command("sh"))?;
    ensure!(rules.iter().any(|rule| rule.contains("DOCKER")), "not even Docker's are seen: {rules:#?}");
    Ok(rules)
}
