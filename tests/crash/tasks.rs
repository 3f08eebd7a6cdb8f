//! Tasks: what may come between them and their end, and the lock of a fleet.

use std::time::Duration;

use fake_docker::{Behaviour, Call, HostPort, Image};
use handover::deploy::Request;
use handover::deploy::clock::Clock;
use handover::model::Phase;
use handover::report::{Report, tail};

use crate::database::Database;
use crate::origin::Origin;
use crate::whole::{assert_settled, container, ids, killed_in_wait, replace, started, world};
use crate::world::{REPOSITORY, Run, Site, World, cause};

const MIGRATION: &str = "status-page-migrate.r2.task";

/// Waits for something that is to come in this very process.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap_or_else(|_| panic!("no {what}"));
}

fn told(report: &Report) -> String {
    tail::of(report).join("\n")
}

/// An image whose `unless` and whose migration end so.
fn migrates(world: &World, unless: Behaviour, migrate: Behaviour) {
    let image = Image::new(REPOSITORY, "v2", &Image::digest_of("v2"))
        .command(&["smoke"], Behaviour::ExitsAtOnce(0))
        .command(&["migrate", "--check"], unless)
        .command(&["migrate"], migrate);
    replace(world, image);
}

/// A world whose migration needs the lock of a database.
async fn locked() -> (World, Database) {
    let (world, database) = (world().await, Database::start().await);
    database.locks(&world);
    (world, database)
}

#[tokio::test(flavor = "current_thread")]
async fn what_can_be_foreseen_is_refused_before_a_task_moves_a_schema() {
    let (world, nobody) = (world().await, HostPort::take().unwrap());
    let check = format!(
        "[check.cache]\ntcp = \"127.0.0.1:{}\"\nrequired = true\ndeadline = \"1ms\"\n[task.migrate]\n",
        nobody.number()
    );
    world.edit("[task.migrate]\n", &check);
    let before = ids(&world);
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(cause(&report).contains("check.cache: connect: "), "{}", cause(&report));
    assert_eq!(report.schema, None, "{}", told(&report));
    assert_eq!(started(&world), [""; 0], "a task ran");
    assert_eq!(ids(&world), before);
    assert_settled(&world, 1);
}

/// A first boot waits for what comes up late, but only once.
#[tokio::test(flavor = "current_thread")]
async fn checks_are_made_before_the_tasks_before_the_switch_and_at_the_end() {
    let (world, database) = locked().await;
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let heard = world.heard.all();
    assert_eq!(
        heard.matches("check.database: fine").count(),
        2 * 3,
        "told and logged, three times:\n{heard}"
    );
    assert!(!database.is_locked());
    assert_settled(&world, 2);
}

/// Without `unless` a task whose container is gone would run once more.
#[tokio::test(flavor = "current_thread")]
async fn a_task_that_has_ended_never_runs_again_wherever_handover_is_killed() {
    let once = async || {
        let world = world().await;
        world.edit("unless = [\"migrate\", \"--check\"]\n", "");
        world
    };
    let made = |calls: &[Call]| {
        let is_it =
            |call: &&Call| call.path.ends_with("/create") && call.query.contains("status-page-migrate.r");
        calls.iter().filter(is_it).count()
    };
    let whole = once().await;
    whole.deploy("d-2", "v2").await.unwrap();
    let calls = whole.engine.calls();
    assert_eq!(made(&calls), 1);
    // From the container of the last task, until live is touched.
    let create = calls.iter().position(|call| call.query.contains(MIGRATION)).unwrap();
    let touched = calls.iter().position(|call| call.path.ends_with("/stop")).unwrap();
    let journal = std::fs::read_to_string(whole.journal()).unwrap();
    let entry = |words: &str| journal.lines().position(|line| line.contains(words)).unwrap();
    let entries = entry("run-task migrate")..entry("protect-live");
    let sites: Vec<Site> = Site::all(&calls, whole.entries())
        .filter(|site| match site {
            Site::BeforeCall(n) | Site::AfterCall(n) => (create + 1..touched).contains(n),
            Site::BeforeEntry(n) | Site::AfterEntry(n) => entries.contains(n),
        })
        .collect();
    assert!(sites.len() > 40, "{sites:?}");
    let mut origin = Origin::of(once().await);
    for site in sites {
        let world = origin.world();
        world.deploy_killed(site, "d-2", "v2").await;
        let before = made(&world.engine.calls());
        world.engine.forget_calls();
        let report = world.deploy("d-2", "v2").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{site:?} {report:?}");
        assert_eq!(before + made(&world.engine.calls()), 1, "it ran twice, or never: {site:?}");
        assert_settled(world, 2);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_takes_a_task_up_takes_its_lock_where_nobody_has_it() {
    let (world, database) = locked().await;
    assert!(matches!(killed_in_wait(&world, 3).await, Run::Killed));
    until("free lock", || !database.is_locked()).await;
    let before = container(&world, MIGRATION).id;
    let goes_on = async {
        until("lock", || database.is_locked()).await;
        assert_eq!(container(&world, MIGRATION).id, before);
        world.engine.dies(MIGRATION, 0);
    };
    let (report, ()) = tokio::join!(world.deploy("d-2", "v2"), goes_on);
    assert_eq!(report.unwrap().exit().code(), 0);
    assert_settled(&world, 2);
}

/// What ended needs no lock to be read, whoever has it.
#[tokio::test(flavor = "current_thread")]
async fn how_a_task_ended_is_read_without_its_lock() {
    let (world, database) = locked().await;
    assert!(matches!(killed_in_wait(&world, 3).await, Run::Killed));
    until("free lock", || !database.is_locked()).await;
    world.engine.dies(MIGRATION, 0);
    database.another_instance_has_it();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_without_its_lock_is_killed_and_waits_for_its_turn() {
    let (world, database) = locked().await;
    assert!(matches!(killed_in_wait(&world, 3).await, Run::Killed));
    until("free lock", || !database.is_locked()).await;
    database.another_instance_has_it();
    let goes_on = async {
        until("waiting", || database.is_waited_for()).await;
        assert!(!container(&world, MIGRATION).running, "both are at it");
        // The other one has not done it: then it is run, under the lock.
        let killed = container(&world, MIGRATION).id;
        database.another_instance_is_done();
        let again = || world.engine.container(MIGRATION).is_some_and(|one| one.id != killed && one.running);
        until("migration", again).await;
        assert!(database.is_locked());
        world.engine.dies(MIGRATION, 0);
    };
    let (report, ()) = tokio::join!(world.deploy("d-2", "v2"), goes_on);
    let report = report.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    assert!(note.contains("'handover status-page web-2' (10.0.0.2) has the lock"), "{note}");
    assert_settled(&world, 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_without_its_lock_that_nobody_can_ask_is_a_failure() {
    let (world, database) = locked().await;
    world.edit("unless = [\"migrate\", \"--check\"]\n", "");
    assert!(matches!(killed_in_wait(&world, 1).await, Run::Killed));
    until("free lock", || !database.is_locked()).await;
    database.another_instance_has_it();
    let report = world.deploy("d-2", "v2").await.unwrap();
    let told = told(&report);
    assert_eq!(report.exit().code(), 1, "{told}");
    assert!(
        told.contains("task 'migrate' was killed, because its lock was lost: handover was killed"),
        "{told}"
    );
    assert!(told.contains("schema: migrate of r2 did not come to its end"), "{told}");
    assert_settled(&world, 1);
}

fn within(world: &World, timeout: Duration) -> Request {
    Request { clock: Clock::until(std::time::Instant::now(), timeout), ..world.request("d-2", "v2") }
}

#[tokio::test(flavor = "current_thread")]
async fn the_lock_is_waited_for_as_long_as_the_task_may_take_and_no_schema_is_told() {
    let (world, database) = locked().await;
    world.edit("timeout = \"30s\"", "timeout = \"1s\"");
    database.another_instance_has_it();
    let report = world.deploy("d-2", "v2").await.unwrap();
    let told = told(&report);
    assert!(
        cause(&report)
            .contains("task 'migrate' waited 1 s for the lock, which is the timeout of [task.migrate]"),
        "{told}"
    );
    assert!(cause(&report).contains("still has it by 'handover status-page web-2'"), "{told}");
    assert!(!told.contains("schema"), "it never ran: {told}");
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_hook_without_time_for_a_task_does_not_begin_it() {
    let world = world().await;
    let report = world.run(within(&world, Duration::from_secs(16))).await.unwrap();
    let told = told(&report);
    assert!(cause(&report).contains("task 'smoke' was not begun: test had"), "{told}");
    assert!(told.contains("raise the timeout of test in appspec.yml: the task may take 10 min"), "{told}");
    assert_eq!(started(&world), [""; 0]);
    assert_settled(&world, 1);
}

/// The switch is not this hook's.
#[tokio::test(flavor = "current_thread")]
async fn a_hook_for_the_tasks_alone_waits_for_what_is_needed() {
    let (world, late) = (world().await, HostPort::take().unwrap());
    let check =
        format!("[check.cache]\ntcp = \"127.0.0.1:{}\"\nrequired = true\ndeadline = \"1m\"\n", late.number());
    world.edit("[task.migrate]\n", &format!("{check}[task.migrate]\n"));
    let comes_up = async {
        until("check", || world.heard.all().contains("check what the app needs of others, before the tasks"))
            .await;
        std::net::TcpListener::bind(("127.0.0.1", late.number())).unwrap()
    };
    let time = world.config("v2").settings.shortest_switch();
    assert!(time > Duration::from_secs(40), "{time:?}");
    let request = Request { until: Phase::Tasks, ..within(&world, Duration::from_secs(40)) };
    let (report, up) = tokio::join!(world.run(request), comes_up);
    assert_eq!(report.unwrap().outcome.word(), "waiting");
    drop(up);
}

/// What the kernel says of the first process of a container.
async fn kernel_says(world: &World, name: &str, file: &str, text: &str) -> u32 {
    let pid = world.host().docker.inspect(name).await.unwrap().unwrap().pid.unwrap();
    let path = world.dir.path().join("proc").join(file.replace("PID", &pid.to_string()));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    pid
}

#[tokio::test(flavor = "current_thread")]
async fn who_takes_a_task_up_gives_it_what_is_left_of_its_time() {
    let world = world().await;
    assert!(matches!(killed_in_wait(&world, 2).await, Run::Killed));
    // It runs for longer than its 30 s, whatever the clock says.
    kernel_says(&world, MIGRATION, "uptime", "100.00 1.00\n").await;
    kernel_says(&world, MIGRATION, "PID/stat", "1 (app) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 6000 0 0\n")
        .await;
    // The hook has a second for it: it is not asked for.
    let report = world.run(within(&world, Duration::from_secs(16))).await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert!(cause(&report).contains("task 'migrate' did not end within 30 s"), "{}", cause(&report));
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn an_unless_that_hangs_is_called_so_and_leaves_nothing() {
    let world = world().await;
    migrates(&world, Behaviour::NeverListens, Behaviour::ExitsAtOnce(0));
    world.edit("timeout = \"30s\"", "timeout = \"1s\"");
    let removed = |call: &Call| call.method == "DELETE" && call.path.contains("/containers/");
    let report = world.deploy("d-2", "v2").await.unwrap();
    let told = told(&report);
    assert!(cause(&report).contains("'unless' of task 'migrate' did not end within 1 s"), "{told}");
    assert!(!told.contains("schema"), "it never ran: {told}");
    let calls = world.engine.calls();
    let gone = calls.iter().position(|call| {
        removed(call) && call.n > calls.iter().rfind(|c| c.path.ends_with("/stop")).unwrap().n
    });
    assert!(gone.is_some());
    assert_settled(&world, 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_child_that_the_kernel_killed_for_memory_is_told() {
    let world = world().await;
    migrates(&world, Behaviour::ExitsAtOnce(1), Behaviour::NeverListens);
    world.edit("schema = true\n", "schema = true\nmemory = \"64m\"\n");
    let a_child_is_killed = async {
        until("migration", || world.engine.container(MIGRATION).is_some_and(|one| one.running)).await;
        kernel_says(&world, MIGRATION, "cgroups/docker/x/memory.events", "oom 1\noom_kill 1\n").await;
        kernel_says(&world, MIGRATION, "PID/cgroup", "0::/docker/x\n").await;
        // It is read ten times a second; nothing shows that it was.
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.engine.dies(MIGRATION, 1);
    };
    let (report, ()) = tokio::join!(world.deploy("d-2", "v2"), a_child_is_killed);
    let report = report.unwrap();
    let why = cause(&report);
    let words = "task 'migrate' failed (exit code 1): the kernel killed one of its processes, because it reached its memory limit of 64 MiB (OOM)";
    assert!(why.contains(words) && why.contains("raise memory in [task.migrate]"), "{why}");
    assert_settled(&world, 1);
}
