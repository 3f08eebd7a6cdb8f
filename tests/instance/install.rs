//! handover on the instance: for operators, and for systemd.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use world::{Bundle, World, text};

const UNITS: &str = "/etc/systemd/system";
const CALLS: &str = "/opt/codedeploy-agent/systemctl.log";

/// Takes the calls that handover makes, and no others.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >>/opt/codedeploy-agent/systemctl.log
case "$*" in
  "--no-ask-password --quiet daemon-reload" | \
  "--no-ask-password --quiet enable handover-recover.service" | \
  "--no-ask-password --quiet enable --now handover-tend.timer") exit 0 ;;
  *) echo "what is '$*'?" >&2; exit 1 ;;
esac
"#;

/// An instance that looks as if systemd ran on it.
fn with_systemd() -> Result<World> {
    let world = World::up()?;
    ensure!(world.web.command("mkdir").args(["-p", "/run/systemd/system"]).status()?.success());
    let systemctl = world.web.path("/usr/local/bin/systemctl");
    fs::write(&systemctl, SYSTEMCTL)?;
    ensure!(std::process::Command::new("chmod").arg("755").arg(&systemctl).status()?.success());
    Ok(world)
}

fn calls(world: &World) -> Vec<String> {
    let log = fs::read_to_string(world.web.path(CALLS)).unwrap_or_default();
    log.lines().map(|line| line.trim_start_matches("--no-ask-password --quiet ").to_owned()).collect()
}

fn unit(world: &World, name: &str) -> String {
    fs::read_to_string(world.web.path(&format!("{UNITS}/{name}"))).unwrap_or_default()
}

#[test]
fn without_systemd_it_is_told_and_nothing_is_written() -> Result<()> {
    let world = World::up()?;
    let output = world.handover(&["install"])?;
    let said = text(&output.stdout);
    ensure!(output.status.success(), "{}", text(&output.stderr));
    ensure!(said.contains("/usr/local/bin/handover points to it"), "{said}");
    ensure!(said.contains("systemd does not run here, so there are no units"), "{said}");
    ensure!(fs::read_dir(world.web.path(UNITS))?.next().is_none());
    Ok(())
}

#[test]
fn a_hook_writes_the_units_and_enables_them_once() -> Result<()> {
    let world = with_systemd()?;
    let first = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let enabled = ["daemon-reload", "enable handover-recover.service", "enable --now handover-tend.timer"];
    ensure!(calls(&world) == enabled, "{:?}", calls(&world));
    for name in ["handover-recover.service", "handover-tend.service", "handover-tend.timer"] {
        ensure!(unit(&world, name).starts_with("# Written by handover install."), "{name}");
    }
    // A unit that has changed is written again; one that somebody disabled or made is left alone.
    let path = |name: &str| world.web.path(&format!("{UNITS}/{name}"));
    fs::write(path("handover-recover.service"), "# Written by handover install. In another version.\n")?;
    fs::write(path("handover-tend.timer"), "[Timer]\nOnCalendar=weekly\n")?;
    let second = world.deploy("d-000000002", &Bundle::of("v2"))?;
    ensure!(second.succeeded(), "{second:?}");
    ensure!(calls(&world)[3..] == ["daemon-reload"], "{:?}", calls(&world));
    ensure!(unit(&world, "handover-recover.service").contains("ExecStart"));
    ensure!(unit(&world, "handover-tend.timer") == "[Timer]\nOnCalendar=weekly\n");
    Ok(())
}

#[test]
fn a_systemctl_that_fails_fails_no_deployment() -> Result<()> {
    let world = with_systemd()?;
    fs::write(world.web.path("/usr/local/bin/systemctl"), "#!/bin/sh\necho 'no bus' >&2\nexit 1\n")?;
    let report = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(report.succeeded(), "{report:?}");
    let notes = fs::read_to_string(world.web.path("/var/log/handover/handover.log"))?;
    ensure!(notes.contains("'systemctl daemon-reload' failed") && notes.contains("no bus"), "{notes}");
    world.assert_settled("v1")
}

/// The power fails in the middle of a switch; then systemd would call what the unit says, and the app serves.
#[test]
fn what_the_unit_calls_at_a_boot_brings_the_app_back() -> Result<()> {
    let world = with_systemd()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1"))?;
    ensure!(report.succeeded(), "{report:?}");
    let unit = unit(&world, "handover-recover.service");
    let call = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("no ExecStart")?;
    let path = world.bundle(&Bundle::of("silent"))?;
    let mut agent = world.agent("v1", &[]);
    let mut agent = agent.args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002"]).spawn()?;
    world.wait_for_gate("d-000000002")?;
    world.web.cut()?;
    let _ = agent.wait()?;
    world.web.boot()?;
    let words: Vec<&str> = call.split(' ').collect();
    let recovered = world.web.command(words[0]).args(&words[1..]).output()?;
    ensure!(recovered.status.success(), "{}", text(&recovered.stderr));
    world.assert_settled("v1")?;
    // At every other boot there is nothing to do.
    let quiet = world.web.command(words[0]).args(&words[1..]).output()?;
    ensure!(quiet.status.success(), "{}", text(&quiet.stderr));
    ensure!(text(&quiet.stderr).contains("nothing was interrupted"), "{}", text(&quiet.stderr));
    Ok(())
}
