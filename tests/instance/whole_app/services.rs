//! The same application in a test environment: PostgreSQL and Redis are services, and no server of AWS is asked.

use anyhow::{Context as _, Result, ensure};
use lab::{ImageSpec, names, wait_until};
use serde_json::Value;

use world::{PATIENCE, text};

use super::{CONFIGURATION, Release, Whole};

const SERVICES: [&str; 2] = ["status-page-service-cache", "status-page-service-database"];

const TABLES: &str = r#"[image.postgres]
repository = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page"
tag        = "postgres"

[image.redis]
repository = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page"
tag        = "redis"

[service.database]
image       = "postgres"
volumes     = ["status-page-database:/var/lib/postgresql/data"]
environment = { POSTGRES_USER = { secret = "database.username" }, POSTGRES_PASSWORD = { secret = "database.password" }, POSTGRES_DB = { secret = "database.dbname" } }
health      = { tcp = true, port = 5432, interval = "50ms", min-healthy = "100ms" }

[service.cache]
image       = "redis"
volumes     = ["status-page-cache:/data"]
environment = { REDIS_PASSWORD = { secret = "redis.value" } }
health      = { tcp = true, port = 6379, interval = "50ms", min-healthy = "100ms" }

[secret.database]
literal = { host = "database", port = 5432, dbname = "statuspage", username = "sp", password = "a test's password" }

[secret.redis]
literal = { value = "another password" }

"#;

/// The table of a configuration that begins so.
fn table(begins: &str) -> &'static str {
    CONFIGURATION
        .split_inclusive("\n\n")
        .find(|table| table.starts_with(begins))
        .expect("a table that is there")
}

/// A release for a disposable group.
fn disposable(tag: &'static str) -> Release {
    Release::of(tag)
        .edit("app = \"status-page\"\n", "app = \"status-page\"\ndisposable = true\n")
        .edit(table("[secret.database]"), TABLES)
        .edit(table("[secret.redis]"), "")
        .edit("CONFIGURATION     =", "DATABASE_SSLMODE = \"disable\"\nCONFIGURATION     =")
        .edit("rediss://:{{ redis.value | urlencode }}@cache.internal", "redis://:{{ redis.value | urlencode }}@cache")
        .edit(
            "postgres = { secret = \"database\", ca = \"/etc/ssl/rds.pem\" }",
            "from = \"container\"\npostgres = { secret = \"database\", tls = \"disable\" }",
        )
        .edit(
            "redis = { secret = \"redis\", host = \"cache.internal\", tls = true, ca = \"/etc/ssl/rds.pem\" }",
            "from = \"container\"\nredis = { secret = \"redis\", host = \"cache\" }",
        )
        .edit("exclusive    = \"check.database\"\n", "")
}

impl Whole {
    fn with_services() -> Result<Self> {
        let whole = Self::up()?;
        for (tag, image) in [("postgres", ImageSpec::postgres()?), ("redis", ImageSpec::redis()?)] {
            whole.world.lab.registry().push_image(names::REPOSITORY, tag, &image)?;
        }
        let report = whole.deploy("d-000000001", disposable("v1"))?;
        ensure!(report.succeeded(), "{report:?}");
        Ok(whole)
    }

    /// Id and time of the start of both.
    fn services(&self) -> Result<Vec<(Value, Value)>> {
        let docker = self.world.web.docker()?;
        let of = |name: &&str| {
            let one = docker.inspect(name)?.with_context(|| format!("no {name}"))?;
            ensure!(one["State"]["Running"] == true, "{name}: {}", one["State"]);
            Ok((one["Id"].clone(), one["State"]["StartedAt"].clone()))
        };
        SERVICES.iter().map(of).collect()
    }

    /// The release of `tag` serves, with the one migration that was made in the beginning: by the database that has it.
    fn assert_kept(&self, tag: &str) -> Result<()> {
        wait_until("the application answers", PATIENCE, || Ok(self.seen().is_ok_and(|seen| seen[1] == tag)))?;
        let counts = self.world.handover(&["run", "--process", "web", "--", "counts"])?;
        ensure!(counts.status.success(), "{}", text(&counts.stderr));
        let counts: Value = serde_json::from_slice(&counts.stdout)?;
        ensure!(counts["migrations"].as_array().is_some_and(|all| all.len() == 1), "{counts}");
        Ok(())
    }

    /// How often Redis was asked to count.
    fn cached(&self) -> Result<u64> {
        let page = self.world.lab.http_get(&format!("http://{}:8000/", self.world.web.ip()))?;
        page.json()?["cache"].as_u64().context("no counter")
    }
}

#[test]
fn services_are_made_once_and_keep_what_they_have() -> Result<()> {
    let whole = Whole::with_services()?;
    whole.assert_kept("v1")?;
    let (made, cached) = (whole.services()?, whole.cached()?);
    let status = text(&whole.world.handover(&["status"])?.stdout);
    ensure!(status.contains("service database: status-page-service-database, running since"), "{status}");

    let updated = whole.deploy("d-000000002", disposable("v2"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    whole.assert_kept("v2")?;
    let refused = whole.deploy("d-000000003", disposable("v3").with("VARIANT", "worker:crash"))?;
    ensure!(refused.failure().is_some(), "{refused:?}");
    whole.assert_kept("v2")?;
    ensure!(whole.services()? == made, "they were touched: {refused:?}");
    ensure!(whole.cached()? > cached, "Redis has forgotten");
    // The network of the refused release is gone, though they were on it.
    let shared = whole.shared()?;
    ensure!(
        shared == ["status-page-static.r1", "status-page-static.r2", "status-page.r1", "status-page.r2"],
        "{shared:?}"
    );

    whole.world.web.cut()?;
    whole.world.web.boot()?;
    whole.assert_kept("v2")?;
    ensure!(whole.cached()? > cached, "Redis has forgotten");
    let updated = whole.deploy("d-000000004", disposable("v3"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    whole.assert_kept("v3")
}

#[test]
fn a_service_that_was_stopped_and_lost_its_networks_is_brought_back() -> Result<()> {
    let whole = Whole::with_services()?;
    // Everything is stopped, and a clean-up takes the networks that nobody is on.
    let script = "docker stop -t 1 $(docker ps -q) >/dev/null && docker network prune -f";
    let pruned = whole.world.web.command("sh").args(["-c", script]).output()?;
    ensure!(
        text(&pruned.stdout).contains("status-page.r1"),
        "{}{}",
        text(&pruned.stdout),
        text(&pruned.stderr)
    );
    let updated = whole.deploy("d-000000002", disposable("v2"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    whole.assert_kept("v2")
}
