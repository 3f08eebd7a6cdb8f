//! A whole application of which one part is bad, or is killed: all of the old release is back, or all of the new one serves.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use insta::assert_snapshot;
use lab::{ImageSpec, names, wait_until};
use world::{Bundle, PATIENCE, World, text};

use crate::case::Case;
use crate::told::Told;

const KIND: &str = "task";

const CONFIGURATION: &str = include_str!("../instance/whole_app/handover.toml");
const SITE: &str = include_str!("../instance/whole_app/site.conf");
const PROCESSES: [&str; 4] = ["front", "scheduler", "web", "worker"];

/// The bundle of a release, with these words changed in its configuration or in that of its front server.
fn bundle(tag: &'static str, edits: &[(&str, &str)]) -> Bundle {
    let own = CONFIGURATION.replace("\"FRONT\"", &format!("\"front-{tag}\""));
    let (mut own, mut site) = (own.replace("\"TAG\"", &format!("{tag:?}")), SITE.replace("TAG", tag));
    for (from, to) in edits {
        assert!(own.contains(from) || site.contains(from), "there is no '{from}'");
        (own, site) = (own.replace(from, to), site.replace(from, to));
    }
    let files = [
        ("handover.toml", &*own),
        ("templates/site.conf", &*site),
        ("templates/status-page.conf", "database = {{ database.host }}\n"),
    ];
    files.into_iter().fold(Bundle::of(tag), |bundle, (path, text)| bundle.file(path, text))
}

/// Where all of release v1 serves.
fn world() -> Result<World> {
    let world = World::up()?;
    trust(&world)?;
    for tag in ["v1", "v2"] {
        let front = ImageSpec::front(tag)?;
        world.lab.registry().push_image(names::REPOSITORY, &format!("front-{tag}"), &front)?;
    }
    let first = world.deploy("d-000000001", &bundle("v1", &[]))?;
    ensure!(first.succeeded(), "{first:?}");
    Ok(world)
}

/// Puts the database's CA onto the instance.
fn trust(world: &World) -> Result<()> {
    std::fs::copy(world.lab.dir().join("vpc/ca.pem"), world.web.path("/etc/ssl/rds.pem"))?;
    Ok(())
}

/// The containers that serve, by process.
fn live(world: &World) -> Result<BTreeMap<&'static str, String>> {
    let docker = world.web.docker()?;
    let mut live = BTreeMap::new();
    for process in PROCESSES {
        let one = docker.inspect(&format!("status-page-{process}"))?.context(process)?;
        let policy = &one["HostConfig"]["RestartPolicy"]["Name"];
        ensure!(one["State"]["Running"] == true && policy == "unless-stopped", "{process}: {one}");
        live.insert(process, one["Id"].as_str().context("no id")?.to_owned());
    }
    Ok(live)
}

/// A release that is refused for one of its processes: all four of the old one are back.
fn all_are_back(case: &Case, release: &Bundle) -> Result<Told> {
    let before = live(&case.world)?;
    let told = case.put_back(release)?;
    ensure!(live(&case.world)? == before, "{told}");
    unharmed(&case.world)?;
    Ok(told)
}

/// There were never two schedulers, no migration did damage, and no job is lost.
fn unharmed(world: &World) -> Result<()> {
    let counts = world.lab.counts()?;
    let is_none = |what: &&str| counts[*what].as_array().is_some_and(Vec::is_empty);
    ensure!(["overlaps", "damage", "lost"].iter().all(is_none) && counts["duplicated"] == 0, "{counts}");
    Ok(())
}

fn wait_for_step(world: &World, id: &str, step: &str) -> Result<()> {
    let began = format!("\"began\",\"step\":\"{step}\"");
    wait_until(step, PATIENCE, || {
        let journal = world.journal();
        Ok(journal.contains(id) && journal.contains(&began))
    })
}

const GOOD: &str = "VARIANT           = \"good\"";

#[test]
fn a_worker_that_crashes_again_and_again() -> Result<()> {
    let case = Case::on(world()?, KIND, "one of four processes, the worker, crashes again and again")?;
    let crashing = "VARIANT = \"worker:crash-later\"\nCRASH_AFTER_MS = \"5000\"";
    let longer = ("interval    = \"200ms\"\nmin-healthy = \"500ms\"", "min-healthy = \"15s\"");
    let told = all_are_back(&case, &bundle("v2", &[(GOOD, crashing), longer]))?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   container 'status-page-worker.r2' is not healthy: it exited with code 1
    the container's last lines:
      | app ID works
      | app v2 starts as worker, crash-later
      | app: crashing, as I was told
    gap:   nothing answered for N s
    now:   status-page-front (r1) is running, status-page-scheduler (r1) is running, status-page-web (r1) is running,
           status-page-worker (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/worker.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    told.next_shows(&case.world, "crashing, as I was told")?;
    case.mended_by(&bundle("v2", &[]))
}

#[test]
fn a_front_server_that_cannot_find_web() -> Result<()> {
    let case = Case::on(world()?, KIND, "the front server forwards to a name that is no process")?;
    let told = all_are_back(&case, &bundle("v2", &[("http://web:8000", "http://wbe:8000")]))?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-front.r2' is not healthy: it exited with code 1
    fix:   a name on the release's network is that of a process (front, scheduler, web, worker): correct 'wbe' in the
           configuration of [process.front]
    the container's last lines:
      | TIME [emerg] 1#1: host not found in upstream "wbe" in /etc/nginx/conf.d/site.conf:5
    gap:   nothing answered for N s
    now:   status-page-front (r1) is running, status-page-scheduler (r1) is running, status-page-web (r1) is running,
           status-page-worker (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/front.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    told.next_shows(&case.world, "host not found in upstream")?;
    case.mended_by(&bundle("v2", &[]))
}

#[test]
fn a_front_server_that_is_started_before_web() -> Result<()> {
    let case = Case::on(world()?, KIND, "the front server does not come after what it forwards to")?;
    let told = all_are_back(&case, &bundle("v2", &[("after        = [\"web\"]\n", "")]))?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-front.r2' is not healthy: it exited with code 1
    fix:   'web' has to run before it: write after = ["web"] in [process.front]
    the container's last lines:
      | TIME [emerg] 1#1: host not found in upstream "web" in /etc/nginx/conf.d/site.conf:5
    gap:   nothing answered for N s
    now:   status-page-front (r1) is running, status-page-scheduler (r1) is running, status-page-web (r1) is running,
           status-page-worker (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/front.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    case.mended_by(&bundle("v2", &[]))
}

#[test]
fn a_worker_that_is_killed_with_a_job_in_hand() -> Result<()> {
    let case =
        Case::on(world()?, KIND, "the old worker is killed with a job in hand, in the middle of the switch")?;
    let world = &case.world;
    // The gate in front of the worker's stop takes a while; the new front server takes the job, the old worker does it.
    let gate = (
        "http        = \"/health\"\ninterval    = \"50ms\"\nmin-healthy = \"200ms\"",
        "http = \"/health\"\ninterval = \"50ms\"\nmin-healthy = \"6s\"",
    );
    let deployment = case.begin("v1", &bundle("v2", &[gate]))?;
    wait_for_step(world, "d-000000002", "gate front")?;
    let url = format!("http://{}:8000/jobs/long?ms=4000", world.web.ip());
    wait_until("the job is accepted", PATIENCE, || {
        Ok(world.lab.http_post(&url).is_ok_and(|answer| answer.status == 202))
    })?;
    wait_until("the job is in hand", PATIENCE, || {
        let begun = "select count(*) from job_runs where job = 'long' and ended is null";
        Ok(world.lab.sql(begun).is_ok_and(|count| count.trim() == "1"))
    })?;
    let killed = world.web.command("docker").args(["kill", "status-page-worker"]).output()?;
    ensure!(killed.status.success(), "{}", text(&killed.stderr));
    case.succeeds_in(deployment, "v2")?;
    // The next worker takes up what that one had in hand, once.
    wait_until("it is done", PATIENCE, || Ok(world.lab.counts()?["done"] == 1))?;
    let counts = world.lab.counts()?;
    ensure!(counts["accepted"] == 1 && counts["begun_again"] == 1 && counts["in_hand"] == 0, "{counts}");
    unharmed(world)?;
    live(world).map(drop)
}

#[test]
fn a_power_cut_while_the_scheduler_is_switched() -> Result<()> {
    let case =
        Case::on(world()?, KIND, "the power fails while the scheduler is switched; then handover recover")?;
    let world = &case.world;
    let before = live(world)?;
    let long = (
        "[process.scheduler.health]\nmin-healthy = \"500ms\"",
        "[process.scheduler.health]\nmin-healthy = \"60s\"",
    );
    let mut deployment = case.begin("v1", &bundle("v2", &[long]))?;
    wait_for_step(world, "d-000000002", "gate scheduler")?;
    world.web.cut()?;
    deployment.wait()?;
    world.web.boot()?;
    trust(world)?;
    let told = case.recovered()?;
    assert_snapshot!(told, @r"
    recover ends with 0
    why:   it was interrupted
    now:   status-page-front (r1) is running, status-page-scheduler (r1) is running, status-page-web (r1) is running,
           status-page-worker (r1) is running
    handover: done: the interrupted deployment of status-page r2 was undone, the old release is serving
    ");
    ensure!(live(world)? == before, "{told}");
    unharmed(world)?;
    case.mended_by(&bundle("v2", &[]))?;
    unharmed(world)
}
