//! Tasks that come to a bad end, and what a whole application needs of Docker.

use anyhow::{Context as _, Result, ensure};
use insta::assert_snapshot;
use lab::names::REPOSITORY;
use lab::{ImageSpec, wait_until};
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "task";

const UNLESS: &str = "unless = [\"migrate\", \"--check\"]";

/// A release with a migration; `more` are further keys of the task.
fn migrating(tag: &'static str, more: &str) -> Bundle {
    let task = format!("[task.migrate]\ncommand = [\"migrate\"]\nschema = true\n{more}\n[process.web]\n");
    Bundle::of(tag).edit("[environment]\n", "[environment]\nSCHEMA = \"1\"\n").edit("[process.web]\n", &task)
}

/// A case in which the migration of release v2 does this.
fn with(variant: &str, fault: &'static str) -> Result<Case> {
    let world = World::with_v1()?;
    let image = |variant: &str| ImageSpec::new("v2").variant(variant).environment("MIGRATE_MS", "100");
    world.lab.registry().push_image(REPOSITORY, "bad", &image(variant))?;
    Case::on(world, KIND, fault)
}

fn bad(more: &str) -> Bundle {
    migrating("bad", more)
}

fn wait_for_the_migration(world: &World) -> Result<()> {
    wait_until("the migration runs", PATIENCE, || {
        let all = world.containers()?;
        Ok(all.iter().any(|(name, (running, _))| name == "status-page-migrate.r2.task" && *running))
    })
}

#[test]
fn one_that_fails() -> Result<()> {
    let case = with("migrate:fail", "a task fails")?;
    let told = case.refused(&bad(""))?;
    assert_snapshot!(told, @r#"
    AfterInstall ends with 1
    why:   task 'migrate' failed (exit code 1)
    the container's last lines:
      | app migrates to 1
      | app v2 starts as migrate, fail
      | app: column "notes" of relation "incidents" already exists
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/migrate.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    case.mended_by(&migrating("v2", UNLESS))
}

#[test]
fn one_that_does_not_end() -> Result<()> {
    let case = with("migrate:hang", "a task does not end")?;
    let told = case.refused(&bad("timeout = \"2s\"\nstop-timeout = \"1s\""))?;
    assert_snapshot!(told, @r"
    AfterInstall ends with 1
    why:   task 'migrate' did not end within 2 s
    fix:   raise timeout in [task.migrate], or look what it waits for
    the container's last lines:
      | app v2 starts as migrate, hang
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/migrate.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&migrating("v2", UNLESS))
}

#[test]
fn one_that_needs_too_much_memory() -> Result<()> {
    let case = with("migrate:eat-memory", "a task needs more memory than it may have")?;
    let told = case.refused(&bad("memory = \"32m\""))?;
    assert_snapshot!(told, @r"
    AfterInstall ends with 1
    why:   task 'migrate' was killed: the kernel killed one of its processes, because it reached its memory limit of 32
           MiB (OOM)
    fix:   raise memory in [task.migrate]
    the container's last lines:
      | app v2 starts as migrate, eat-memory
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/migrate.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&migrating("v2", UNLESS))
}

#[test]
fn one_that_somebody_kills() -> Result<()> {
    let case = with("migrate:hang", "a task is killed")?;
    let deployment = case.begin("v1", &bad(""))?;
    wait_for_the_migration(&case.world)?;
    let killed = case.world.web.command("docker").args(["kill", "status-page-migrate.r2.task"]).output()?;
    ensure!(killed.status.success(), "{killed:?}");
    assert_snapshot!(case.refused_in(deployment)?, @r"
    AfterInstall ends with 1
    why:   task 'migrate' was killed (exit code 137)
    the container's last lines:
      | app v2 starts as migrate, hang
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/migrate.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&migrating("v2", UNLESS))
}

#[test]
fn one_that_says_that_it_is_done_and_is_not() -> Result<()> {
    let case = with("migrate:nothing", "a task ends well and has done nothing")?;
    let told = case.put_back(&bad("").edit("deadline    = \"2m\"", "deadline = \"2s\""))?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed was answered with status 500 after N ms: '{"error":"the schema has version 0, and
           release v2 needs 1","ready":false}'
    fix:   look at what it needs: the database (is it reachable, are all migrations made?), its secrets and its settings
    the container's last lines:
      | app listens on 8000
      | app v2 starts as good
    gap:   nothing answered for N s
    schema: moved by migrate of r2, and stays so
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    case.mended_by(&migrating("v2", UNLESS))
}

#[test]
fn one_whose_lock_is_lost() -> Result<()> {
    let case = with("migrate:hang", "the lock of a task is lost")?;
    let ca = case.world.lab.dir().join("vpc/ca.pem");
    std::fs::copy(ca, case.world.web.path("/etc/ssl/rds.pem"))?;
    let check =
        "[check.database]\npostgres = { secret = \"database\", ca = \"/etc/ssl/rds.pem\" }\n[environment]\n";
    let locked = |bundle: Bundle| bundle.edit("[environment]\n", check);
    let exclusive = "exclusive = \"check.database\"";
    let deployment = case.begin("v1", &locked(bad(exclusive)))?;
    wait_for_the_migration(&case.world)?;
    case.world.lab.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'handover status-page%'",
    )?;
    assert_snapshot!(case.refused_in(deployment)?, @r"
    AfterInstall ends with 1
    why:   task 'migrate' was killed, because its lock was lost: db.internal:5432 closed the connection: db error: FATAL:
           terminating connection due to administrator command
    fix:   look how far it came, then deploy again
    the container's last lines:
      | app v2 starts as migrate, hang
    schema: migrate of r2 did not come to its end: what it may have changed of the schema stays
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/migrate.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&locked(migrating("v2", &format!("{UNLESS}\n{exclusive}"))))
}

#[test]
fn no_addresses_for_one_more_network() -> Result<()> {
    let case = Case::of(KIND, "Docker has no addresses left for a network")?;
    let docker = |arguments: &[&str]| case.world.web.command("docker").args(arguments).output();
    let names: Vec<String> = (0..64).map(|n| format!("somebodys-{n}")).collect();
    let mut made = vec![];
    for name in &names {
        if !docker(&["network", "create", name])?.status.success() {
            break;
        }
        made.push(name.as_str());
    }
    made.first().context("no network could be made")?;
    let two = |tag| {
        Bundle::of(tag).edit("[process.web]\n", "[process.worker]\ncommand = [\"worker\"]\n[process.web]\n")
    };
    assert_snapshot!(case.refused(&two("v2"))?, @r"
    BeforeInstall ends with 1
    why:   Docker has no addresses left for network 'status-page.r2'
    fix:   remove networks that nobody uses (docker network ls; docker network prune), or give Docker more addresses:
           default-address-pools in /etc/docker/daemon.json
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    docker(&[&["network", "rm"], made.as_slice()].concat())?;
    case.mended()
}

#[test]
fn one_of_two_images_that_is_missing() -> Result<()> {
    let case = Case::of(KIND, "one of two images is missing")?;
    let image = "[image.front]\nrepository = \"status-page\"\ntag = \"nope\"\n[process.front]\nimage = \"front\"\n[process.web]\n";
    assert_snapshot!(case.refused(&Bundle::of("v2").edit("[process.web]\n", image))?, @r"
    BeforeInstall ends with 1
    why:   Docker refuses to find '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:nope' in its registry:
           manifest unknown: manifest unknown
    fix:   tag 'nope' is not in 123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page: was it pushed to account
           123456789012 in eu-west-1?
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended()
}

#[test]
fn a_service_that_does_not_become_healthy() -> Result<()> {
    let case = Case::of(KIND, "a service does not become healthy")?;
    let service = "[image.side]\nrepository = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page\"\ntag = \"silent\"\n\
                   [service.database]\nimage = \"side\"\nhealth = { tcp = true, port = 8000, interval = \"50ms\", min-healthy = \"0s\", deadline = \"2s\" }\n\
                   [process.web]\n";
    let bundle = Bundle::of("v2")
        .edit("[process.web]\n", service)
        .edit("[group.test] ", "[group.test]\ndisposable = true\n#");
    let told = case.refused(&bundle)?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   container 'status-page-service-database' is not healthy: it was not healthy within 2 s: of N probes 0
           succeeded, and the last one that failed could not connect to ADDRESS:8000: Connection refused (os error
           111); nothing in the container listens on any port
    fix:   mend what it says; if that is its configuration, have it made anew: docker rm -f status-page-service-database,
           then deploy again
    the container's last lines:
      | app silent starts as never-listens
    note:  service 'database' was made, and stays whatever becomes of this deployment: status-page-service-database
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/database.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    // What it says to type.
    let removed =
        case.world.web.command("docker").args(["rm", "-f", "status-page-service-database"]).output()?;
    ensure!(removed.status.success(), "{removed:?}");
    case.mended()
}
