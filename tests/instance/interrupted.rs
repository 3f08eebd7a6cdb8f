//! Power cuts and SIGKILL on a real Engine, at a sample of the sites that tests/crash walks through completely.

use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::wait_until;

use world::{Bundle, PATIENCE, World, text};

/// Starts a deployment that stops for good right after the journal's nth entry is on the disk.
fn deploy_up_to_entry(world: &World, tag: &'static str, id: &str, entries: usize) -> Result<Child> {
    let path = world.bundle(&Bundle::of(tag))?;
    let crash_point = format!("FAILPOINTS=journal-after-append={}*off->sleep(600000)", entries - 1);
    let mut agent = world.agent("v1", &["--agent-env", &crash_point]);
    let child = agent
        .args(["deploy", "--bundle", &path, "--deployment-id", id, "--only", "ApplicationStart"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

/// Prepares an update completely, so that what follows is the switch.
fn prepare(world: &World, tag: &'static str, id: &str) -> Result<usize> {
    let path = world.bundle(&Bundle::of(tag))?;
    let output = world
        .agent("v1", &[])
        .args(["deploy", "--bundle", &path, "--deployment-id", id, "--stop-after", "AfterInstall"])
        .output()?;
    ensure!(output.status.success(), "{}", text(&output.stdout));
    Ok(world.journal().lines().count())
}

/// The entries of the switch, by how many there are after `prepare`. The first is that another process took the run up.
const SITES: [(usize, &str); 6] = [
    (4, "\"began\",\"step\":\"protect-live web\""),
    (6, "\"began\",\"step\":\"stop-live web\""),
    (8, "\"began\",\"step\":\"start-new web\""),
    (11, "\"done\",\"step\":\"gate web\""),
    (13, "\"began\",\"step\":\"keep-new web\""),
    (17, "\"began\",\"step\":\"park-old web\""),
];

/// One update that stops for good at a site, from a release that serves well.
struct Stopped<'a> {
    world: &'a World,
    /// The journal's entry that it stopped after.
    says: &'static str,
    from: &'static str,
    to: &'static str,
    /// A third release.
    other: &'static str,
    id: String,
    /// For another deployment after this one.
    next_id: String,
}

const RELEASES: [&str; 3] = ["v1", "v2", "v3"];

/// One instance is updated again and again, each time from the release that the last site has left.
fn at_every_site(then: impl Fn(&Stopped) -> Result<()>) -> Result<()> {
    let world = World::with_v1_and_failpoints()?;
    for (number, (entries, says)) in SITES.into_iter().enumerate() {
        let serving = world.release()?;
        let from = RELEASES.iter().position(|release| *release == serving).context("another release")?;
        let [from, to, other] = [0, 1, 2].map(|further| RELEASES[(from + further) % RELEASES.len()]);
        let id = |of: usize| format!("d-{:09}", 10 * (number + 1) + of);
        let stopped = Stopped { world: &world, says, from, to, other, id: id(0), next_id: id(1) };
        let before = prepare(&world, to, &stopped.id)?;
        let mut agent = deploy_up_to_entry(&world, to, &stopped.id, entries)?;
        wait_until("the site is reached", PATIENCE, || {
            Ok(world.journal().lines().count() >= before + entries)
        })?;
        let journal = world.journal();
        let last = journal.lines().last().unwrap_or_default().to_owned();
        ensure!(last.contains(says), "entry {entries} after the preparation is {last}");
        then(&stopped).context(says)?;
        let _ = agent.kill();
        let _ = agent.wait();
    }
    Ok(())
}

impl Stopped<'_> {
    /// Which release has to serve: before the commit the old one.
    fn serves(&self) -> &'static str {
        if self.says.contains("keep-new") || self.says.contains("park-old") { self.to } else { self.from }
    }
}

#[test]
fn after_a_power_cut_a_release_serves_by_itself_and_recover_settles_it() -> Result<()> {
    at_every_site(|stopped| {
        let world = stopped.world;
        world.web.cut()?;
        world.web.boot()?;
        let serving = world.release_that_comes_up()?;
        ensure!(serving == stopped.from || serving == stopped.serves(), "{serving} serves");
        let recovered = world.handover(&["recover"])?;
        ensure!(recovered.status.success(), "{}", text(&recovered.stderr));
        world.assert_settled(stopped.serves())?;
        world.web.cut()?;
        world.web.boot()?;
        world.assert_settled(stopped.serves())
    })
}

#[test]
fn after_a_kill_the_same_deployment_goes_on() -> Result<()> {
    at_every_site(|stopped| {
        let world = stopped.world;
        world.kill_handover()?;
        let path = format!("/opt/codedeploy-agent/bundles/{}", stopped.to);
        for event in ["ApplicationStart", "ValidateService"] {
            let arguments = ["event", event, "--deployment-id", &stopped.id, "--bundle", &path];
            let output = world.agent("v1", &[]).args(arguments).output()?;
            ensure!(output.status.success(), "{}", text(&output.stdout));
        }
        world.assert_settled(stopped.to)
    })
}

#[test]
fn after_a_kill_another_deployment_brings_it_to_its_end_first() -> Result<()> {
    at_every_site(|stopped| {
        let world = stopped.world;
        world.kill_handover()?;
        let next = world.deploy(&stopped.next_id, &Bundle::of(stopped.other))?;
        ensure!(next.succeeded(), "{next:?}");
        world.assert_settled(stopped.other)
    })
}
