//! A whole application: a front server of an image of its own, the web process behind it, a worker, a scheduler of which there
//! are never two, and tasks before the switch.

use std::collections::BTreeSet;

use fake_docker::{Behaviour, ContainerView, Fate, Image, Race};
use handover::journal::TaskEnd;
use handover::model::Phase;
use handover::report::tail;
use handover::state::Releases;

use crate::kills::{Then, killed_then};
use crate::origin::Origin;
use crate::world::{REPOSITORY, Run, Site, World, cause};

/// The rest of the application. `web` of the world's own configuration is the one with the published port; it comes after
/// `app`.
const REST: &str = r#"[image.side]
repository = "REPOSITORY"
tag = "v4"
[task.migrate]
command = ["migrate"]
unless = ["migrate", "--check"]
after = ["smoke"]
schema = true
timeout = "30s"
[task.smoke]
command = ["smoke"]
[process.app]
stop-timeout = "1s"
volumes = ["@static:/static"]
health = { interval = "1ms", min-healthy = "0s" }
[process.scheduler]
singleton = true
image = "side"
stop-timeout = "1s"
health = { interval = "1ms", min-healthy = "0s" }
[process.worker]
stop-timeout = "2s"
health = { interval = "1ms", min-healthy = "0s" }
[process.worker.environment]
QUEUES = "high,low"
[process.web]
after = ["app"]
volumes = ["@static:/srv:ro"]
"#;

const LIVE: [&str; 4] = ["status-page-app", "status-page-scheduler", "status-page-web", "status-page-worker"];

/// Images whose commands do what the tasks ask for.
pub fn add_images(world: &World, migrate: &Behaviour) {
    for (tag, behaviour) in
        [("v1", Behaviour::Healthy), ("v2", Behaviour::Healthy), ("crash", Behaviour::ExitsAtOnce(1))]
    {
        let image = Image::new(REPOSITORY, tag, &Image::digest_of(tag)).behaving(behaviour);
        let image = image
            .command(&["smoke"], Behaviour::ExitsAtOnce(0))
            .command(&["migrate", "--check"], Behaviour::ExitsAtOnce(1))
            .command(&["migrate"], migrate.clone());
        replace(world, image);
    }
}

/// Another image under the same tag and digest.
pub fn replace(world: &World, image: Image) {
    world.engine.forget_image(REPOSITORY, &image.digest);
    world.engine.add_image(image.guarded("AWS", "canary-token"));
}

/// The application in its first version.
pub async fn world() -> World {
    let world = World::new().await;
    add_images(&world, &Behaviour::ExitsAtOnce(0));
    world.edit("[process.web]\n", &REST.replace("REPOSITORY", REPOSITORY));
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    world.engine.forget_calls();
    world
}

pub fn container(world: &World, name: &str) -> ContainerView {
    world.engine.container(name).unwrap_or_else(|| panic!("no {name}: {:?}", world.engine.containers()))
}

pub fn ids(world: &World) -> Vec<String> {
    LIVE.map(|name| container(world, name).id).into()
}

/// All processes are of one release, run, and come back at a boot; nothing else does, and no task is left.
pub fn assert_settled(world: &World, release: u64) {
    for name in LIVE {
        let live = container(world, name);
        assert!(live.running && live.restart_policy == "unless-stopped", "{live:?}");
        assert_eq!(live.labels["handover.release"], release.to_string(), "{live:?}");
    }
    for other in world.engine.containers().iter().filter(|c| !LIVE.contains(&c.name.as_str())) {
        assert!(!other.running && other.restart_policy == "no", "{other:?}");
        assert_eq!(other.labels["handover.kind"], "serve", "{other:?}");
    }
    // Each release that has containers has what they share, and no other one has.
    let all = world.engine.containers();
    let releases: BTreeSet<&str> = all.iter().map(|one| one.labels["handover.release"].as_str()).collect();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let of_each = |what: &str| releases.iter().map(|n| format!("{what}.r{n}")).collect::<Vec<_>>();
    assert_eq!(sorted(world.engine.networks()), of_each("status-page"));
    assert_eq!(sorted(world.engine.volumes()), of_each("status-page-static"));
    world.engine.assert_no_complaints();
}

/// The order in which containers were started.
pub fn started(world: &World) -> Vec<String> {
    let name = |id: &str| {
        let all = world.engine.containers();
        all.iter().find(|c| c.id == id).map_or_else(String::new, |c| c.labels["handover.process"].clone())
    };
    let calls = world.engine.calls();
    let starts = calls.iter().filter_map(|call| call.path.strip_suffix("/start")?.rsplit('/').next());
    starts.map(name).filter(|name| !name.is_empty()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn what_answers_clients_swaps_first_and_after_what_it_needs() {
    let world = world().await;
    assert_settled(&world, 1);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.exit().code(), report.serving.len()), (0, 4), "{report:?}");
    assert_settled(&world, 2);
    assert_eq!(started(&world), ["app", "web", "scheduler", "worker"]);
    // The old network goes with the old release, the new one is the release's.
    assert_eq!(world.engine.networks(), ["status-page.r1", "status-page.r2"]);
    // One side image for both releases, and a variable that only the worker has.
    assert_eq!(container(&world, "status-page-scheduler").digest, Image::digest_of("v4"));
    let docker = world.host().docker;
    let has_queues = async |name: &str| {
        let all = docker.inspect(name).await.unwrap().unwrap().environment;
        all.iter().any(|(name, _)| name == "QUEUES")
    };
    assert!(has_queues("status-page-worker").await && !has_queues("status-page-web").await);
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_is_bad_puts_all_back() {
    let world = world().await;
    let before = ids(&world);
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
    assert_eq!(world.engine.networks(), ["status-page.r1"]);
    // What nobody can take back is said.
    let told = tail::of(&report).join("\n");
    assert!(told.contains("schema: moved by migrate of r2"), "{told}");
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_that_is_missing_is_found_before_anything_is_touched() {
    let world = world().await;
    let before = ids(&world);
    world.edit("tag = \"v4\"", "tag = \"v9\"");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1);
    assert!(cause(&report).contains("tag 'v9' is not in"), "{}", cause(&report));
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_process_that_left_the_configuration_is_parked_or_put_back() {
    let world = world().await;
    let (from, to) = ("[process.worker]\n", "[process.queue]\n");
    world.edit(from, to);
    world.edit("[process.worker.environment]", "[process.queue.environment]");
    let before = ids(&world);
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!((report.exit().code(), report.serving.len()), (1, 4), "{report:?}");
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
    assert!(world.engine.container("status-page-queue").is_none());

    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(container(&world, "status-page-queue").running);
    assert!(world.engine.container("status-page-worker").is_none());
    let parked = container(&world, "status-page-worker.r1");
    assert!(!parked.running && parked.restart_policy == "no", "{parked:?}");
    // The same once more: there is nothing to change.
    let report = world.deploy("d-4", "v2").await.unwrap();
    assert_eq!(report.outcome.word(), "unchanged", "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_that_fails_refuses_the_release_and_shows_what_it_said() {
    let world = world().await;
    add_images(&world, &Behaviour::ExitsAtOnce(3));
    let before = ids(&world);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1);
    assert!(cause(&report).contains("task 'migrate' failed (exit code 3)"), "{}", cause(&report));
    assert!(tail::of(&report).join("\n").contains("did not come to its end"), "{:?}", tail::of(&report));
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
    assert!(report.unhealthy_ms.is_none(), "nothing was stopped");
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_that_does_not_end_is_stopped_in_time() {
    let world = world().await;
    add_images(&world, &Behaviour::NeverListens);
    world.edit("timeout = \"30s\"", "timeout = \"1s\"");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1);
    assert!(cause(&report).contains("task 'migrate' did not end within 1 s"), "{}", cause(&report));
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_with_nothing_to_do_is_not_run_and_moves_no_schema() {
    let world = world().await;
    let image = Image::new(REPOSITORY, "v2", &Image::digest_of("v2"))
        .command(&["smoke"], Behaviour::ExitsAtOnce(0))
        .command(&["migrate", "--check"], Behaviour::ExitsAtOnce(0))
        .command(&["migrate"], Behaviour::ExitsAtOnce(9));
    replace(&world, image);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.exit().code(), report.schema), (0, None));
    let record = Releases::of(&world.state()).last_good().unwrap();
    let ends: Vec<TaskEnd> = record.tasks.values().map(|run| run.ended).collect();
    assert_eq!(ends, [TaskEnd::NotNeeded, TaskEnd::Done]);
}

/// While the migration runs, its container is there; then this happens to handover.
async fn killed_in_migration(world: &World) -> Run {
    // Those before it are for smoke and for its own check.
    killed_in_wait(world, 2).await
}

/// Handover is killed while it waits for a container for the nth time.
pub async fn killed_in_wait(world: &World, n: usize) -> Run {
    add_images(world, &Behaviour::NeverListens);
    let waits = |call: &fake_docker::Call| call.path.ends_with("/wait");
    let waited = std::sync::atomic::AtomicUsize::new(0);
    let fate = move |call: &fake_docker::Call| {
        let is_it = waits(call) && waited.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == n;
        if is_it { Fate::CrashBefore } else { Fate::Proceed }
    };
    world.killed_by(Box::new(fate), world.deploy("d-2", "v2")).await
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_is_waited_for_by_who_takes_the_run_up() {
    let world = world().await;
    assert!(matches!(killed_in_migration(&world).await, Run::Killed));
    let running = container(&world, "status-page-migrate.r2.task");
    assert!(running.running, "{running:?}");
    // It ends by itself, and is not run once more.
    world.engine.dies("status-page-migrate.r2.task", 0);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, 2);
    assert!(!started(&world).iter().any(|name| name == "migrate"), "{:?}", started(&world));
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_of_a_run_that_is_given_up_is_stopped() {
    let world = world().await;
    assert!(matches!(killed_in_migration(&world).await, Run::Killed));
    let report = world.recover().await.unwrap().unwrap();
    assert!(report.schema.as_ref().is_some_and(|schema| schema.contains("migrate of r2")), "{report:?}");
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_that_a_power_cut_ended_is_a_failure() {
    let world = world().await;
    assert!(matches!(killed_in_migration(&world).await, Run::Killed));
    world.engine.power_cut();
    world.engine.boot(&Race::OldestFirst).unwrap();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(cause(&report).contains("task 'migrate'"), "{}", cause(&report));
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_network_that_is_gone_between_two_hooks_is_made_again() {
    let world = world().await;
    world.hook("d-2", "v2", Phase::Tasks).await.unwrap();
    world.engine.lose_network("status-page.r2");
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, 2);
}

#[tokio::test(flavor = "current_thread")]
async fn the_network_of_the_old_release_is_made_again_for_the_way_back() {
    let world = world().await;
    let down = |call: &fake_docker::Call| call.path.ends_with("/stop");
    let stops = std::sync::atomic::AtomicUsize::new(0);
    let fate = move |call: &fake_docker::Call| {
        let is_last = down(call) && stops.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3;
        if is_last { Fate::CrashAfter } else { Fate::Proceed }
    };
    assert!(matches!(world.killed_by(Box::new(fate), world.deploy("d-2", "v2")).await, Run::Killed));
    world.engine.lose_network("status-page.r1");
    world.recover().await.unwrap();
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn no_addresses_for_a_network_are_told_with_what_to_do() {
    let world = world().await;
    let why = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
    world.engine.refuse_networks(Some(why));
    let before = ids(&world);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1);
    assert!(cause(&report).contains("default-address-pools"), "{}", cause(&report));
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
}

/// Two of it never run, whatever happens to handover and to the machine.
fn assert_one_scheduler_at_most(world: &World) {
    let all = world.engine.containers();
    let schedulers = all.iter().filter(|c| c.labels["handover.process"] == "scheduler" && c.running);
    assert!(schedulers.count() <= 1, "{all:?}");
}

/// Each way of going on by every fifth site: those of two.rs and of the matrix are closer.
async fn killed_everywhere(tag: &str, then: Then) {
    let whole = world().await;
    whole.deploy("d-2", tag).await.unwrap();
    let (calls, entries) = (whole.engine.calls(), whole.entries());
    assert!(calls.len() > 100 && entries > 50, "{} calls, {entries} entries", calls.len());
    let mut origin = Origin::of(world().await);
    for site in Site::all(&calls, entries).skip(then as usize).step_by(5) {
        let world = origin.world();
        killed_then(world, site, "d-2", tag, then, assert_one_scheduler_at_most).await;
        assert_one_scheduler_at_most(world);
        let release = container(world, "status-page-web").labels["handover.release"].parse().unwrap();
        assert_settled(world, release);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_same_id() {
    killed_everywhere("v2", Then::SameId).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_recover() {
    killed_everywhere("v2", Then::Recover).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_then_boot() {
    killed_everywhere("v2", Then::Boot).await;
}

#[tokio::test(flavor = "current_thread")]
async fn refused_and_killed_then_boot() {
    killed_everywhere("crash", Then::Boot).await;
}
