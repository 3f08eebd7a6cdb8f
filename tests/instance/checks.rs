//! Checks against the lab's real PostgreSQL and Redis: libpq's modes, every layer at which they may fail, and the lock.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use handover::host::check::Trouble;
use handover::host::check::postgres::{AdvisoryLock, Database, Session, connect, holder, key_of};
use handover::model::{Place, TlsMode};
use lab::names::{CACHE_PASSWORD, DATA, DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER};
use lab::wait_until;
use world::{Bundle, PATIENCE, World, text};

const CA: &str = "/etc/ssl/rds.pem";

/// What `handover plan` says on an instance where nothing is deployed: then whatever fails is a note.
struct Plan {
    said: String,
}

impl Plan {
    fn of(world: &World, checks: &str) -> Result<Self> {
        std::fs::copy(world.lab.dir().join("vpc/ca.pem"), world.web.path(CA))?;
        // A group that may have literals.
        let bundle = Bundle::of("v1")
            .edit("[process.web]\n", &format!("{checks}\n[process.web]\n"))
            .edit("[group.test]", "[group.test]\ndisposable = true\nsecret.wrong = { literal = { password = 'no', value = 'no', username = 'sp' } }\nsecret.acl = { literal = { username = 'app', password = 'acl-p4ss' } }\n# ");
        let path = world.bundle(&bundle)?;
        let output = world.handover(&["plan", &path, "--group", "test"])?;
        let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(output.status.success(), "{said}");
        ensure!(!said.contains(DATABASE_PASSWORD) && !said.contains(CACHE_PASSWORD), "{said}");
        Ok(Self { said })
    }

    /// What it says of a check; nothing where that is fine.
    fn note(&self, check: &str) -> Option<&str> {
        let (_, rest) = self.said.split_once(&format!("check.{check}: "))?;
        Some(rest.split(" note: ").next().unwrap_or(rest))
    }

    fn is_fine(&self, check: &str) -> Result<()> {
        self.note(check).map_or(Ok(()), |note| bail!("{check}: {note}"))
    }

    fn fails(&self, check: &str, words: &[&str]) -> Result<()> {
        let note = self.note(check).with_context(|| format!("{check} is fine: {}", self.said))?;
        ensure!(words.iter().all(|word| note.contains(word)), "{check}: {note} lacks one of {words:?}");
        Ok(())
    }
}

/// A program of the instance that ends with this.
struct Program<'w>(&'w World, Child);

impl<'w> Program<'w> {
    fn start(world: &'w World, port: u16, program: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = world.web.command(program);
        command.args(arguments).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let program = Self(world, command.spawn()?);
        let listens = format!("ss -Hltn sport = :{port} | grep -q .");
        wait_until("it listens", PATIENCE, || {
            Ok(world.web.command("sh").args(["-c", &listens]).status()?.success())
        })?;
        Ok(program)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        let _ = self.0.web.signal(&self.1, 9);
        let _ = self.1.wait();
    }
}

#[test]
fn postgresql_in_each_mode_of_libpq_and_at_each_layer() -> Result<()> {
    let world = World::up()?;
    let checks = format!(
        r#"
[check.system-cas]
postgres = {{ secret = "database" }}
[check.full]
postgres = {{ secret = "database", tls = "verify-full", ca = "{CA}" }}
[check.ca]
postgres = {{ secret = "database", tls = "verify-ca", ca = "{CA}" }}
[check.any]
postgres = {{ secret = "database", tls = "require" }}
[check.prefer]
postgres = {{ secret = "database", tls = "prefer" }}
[check.allow]
postgres = {{ secret = "database", tls = "allow" }}
[check.plain]
postgres = {{ secret = "database", tls = "disable" }}
[check.other-ca]
postgres = {{ secret = "database", ca = "/etc/ssl/other.pem" }}
[check.other-name]
postgres = {{ secret = "wrong", host = "10.66.0.4", ca = "{CA}" }}
[check.other-name-by-ca]
postgres = {{ secret = "wrong", host = "10.66.0.4", tls = "verify-ca", ca = "{CA}" }}
[check.no-such-database]
postgres = {{ secret = "rds", host = "db.internal", dbname = "nowhere" }}
[check.no-such-name]
postgres = {{ secret = "wrong", host = "nowhere.internal" }}
[check.no-such-port]
postgres = {{ secret = "wrong", host = "db.internal", port = 5433 }}
[check.not-postgresql]
postgres = {{ secret = "wrong", host = "cache.internal", port = 6379 }}
[check.internet]
https = "https://api.ecr.eu-west-1.amazonaws.com/"
status = ["100-599"]
[check.odd-answer]
https = "https://api.ecr.eu-west-1.amazonaws.com/"
status = ["218"]
[check.no-tls]
http = "http://nowhere.internal/"
[check.port]
tcp = "db.internal:5432"
[check.name]
dns = "db.internal"
[check.no-name]
dns = "nowhere.internal"
[secret.rds]
id = "rds!db-0123"
"#
    );
    // The machine's own CAs, of which the lab's is none: so many load, as RDS's do.
    std::fs::copy("/etc/ssl/certs/ca-certificates.crt", world.web.path("/etc/ssl/other.pem"))?;
    let plan = Plan::of(&world, &checks)?;
    for fine in ["system-cas", "full", "ca", "any", "prefer", "allow", "internet", "port", "name"] {
        plan.is_fine(fine)?;
    }
    plan.fails("plain", &["authentication: db.internal:5432 refuses", "no encryption", "rds.force_ssl"])?;
    plan.fails("other-ca", &["TLS: ", "UnknownIssuer", "global-bundle.pem"])?;
    plan.fails("other-name", &["TLS: ", "not valid for name", "verify-ca"])?;
    plan.fails("other-name-by-ca", &["authentication: ", "28P01", "secret 'wrong'", "rotated"])?;
    plan.fails("no-such-database", &["authentication: ", "3D000", "dbname"])?;
    plan.fails("no-such-name", &["DNS: there is no 'nowhere.internal'", "private zone"])?;
    plan.fails("no-such-port", &["connect: db.internal:5433 (10.66.0.4): Connection refused"])?;
    plan.fails("not-postgresql", &["TLS: "])?;
    plan.fails("odd-answer", &["query: ", "answers with status"])?;
    plan.fails("no-tls", &["DNS: ", "nowhere.internal"])?;
    plan.fails("no-name", &["DNS: there is no 'nowhere.internal'"])
}

#[test]
fn redis_with_tls_and_a_password_an_acl_and_as_a_cluster() -> Result<()> {
    let world = World::up()?;
    let options = ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--dir", "/tmp"];
    let acl = ["--port", "7001", "--user", "app", "on", ">acl-p4ss", "+ping", "--user", "default", "off"];
    let _acl = Program::start(&world, 7001, "redis-server", &[&options[..], &acl].concat())?;
    let alone = ["--port", "7002", "--cluster-enabled", "yes", "--cluster-config-file", "nodes-7002.conf"];
    let _cluster = Program::start(&world, 7002, "redis-server", &[&options[..], &alone].concat())?;
    let broken = ["--port", "7003", "--cluster-enabled", "yes", "--cluster-config-file", "nodes-7003.conf"];
    let _broken = Program::start(&world, 7003, "redis-server", &[&options[..], &broken].concat())?;
    let slots = ["-p", "7002", "cluster", "addslotsrange", "0", "16383"];
    let given = world.web.command("redis-cli").args(slots).output()?;
    ensure!(text(&given.stdout).starts_with("OK"), "{given:?}");
    wait_until("the cluster is whole", PATIENCE, || {
        let info = world.web.command("redis-cli").args(["-p", "7002", "cluster", "info"]).output()?;
        Ok(text(&info.stdout).contains("cluster_state:ok"))
    })?;
    let mute =
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 7004)); s.listen(); time.sleep(600)";
    let _mute = Program::start(&world, 7004, "python3", &["-c", mute])?;
    let checks = r#"
[check.cache]
redis = { secret = "redis", host = "cache.internal", tls = true }
[check.wrong-password]
redis = { secret = "wrong", host = "cache.internal", tls = true }
[check.no-password]
redis = { host = "cache.internal", tls = true }
[check.no-tls]
redis = { secret = "redis", host = "cache.internal" }
[check.acl]
redis = { secret = "acl", host = "127.0.0.1", port = 7001 }
[check.acl-cluster]
redis = { secret = "acl", host = "127.0.0.1", port = 7001, cluster = true }
[check.cluster]
redis = { host = "127.0.0.1", port = 7002, cluster = true }
[check.broken-cluster]
redis = { host = "127.0.0.1", port = 7003, cluster = true }
[check.no-cluster]
redis = { secret = "redis", host = "cache.internal", tls = true, cluster = true }
[check.mute]
redis = { secret = "redis", host = "127.0.0.1", port = 7004 }
timeout = "1s"
[check.mute-open]
redis = { host = "127.0.0.1", port = 7004 }
timeout = "1s"
[check.mute-tls]
redis = { host = "127.0.0.1", port = 7004, tls = true }
timeout = "1s"
[check.mute-database]
postgres = { secret = "wrong", host = "127.0.0.1", port = 7004, tls = "disable" }
timeout = "1s"
"#;
    let plan = Plan::of(&world, checks)?;
    for fine in ["cache", "acl", "cluster"] {
        plan.is_fine(fine)?;
    }
    plan.fails("wrong-password", &["authentication: cache.internal:6379 refuses", "'wrong'", "rotated"])?;
    plan.fails("no-password", &["authentication: ", "NOAUTH", "wants a password"])?;
    plan.fails("no-tls", &["closed the connection", "tls = true"])?;
    plan.fails("acl-cluster", &["authentication: ", "NoPerm", "+cluster"])?;
    plan.fails("broken-cluster", &["query: ", "state of the cluster", "'fail'"])?;
    plan.fails("no-cluster", &["query: ", "remove cluster = true"])?;
    plan.fails(
        "mute",
        &["authentication: 127.0.0.1:7004 accepted the connection, and did not answer within 1 s"],
    )?;
    plan.fails("mute-open", &["query: 127.0.0.1:7004 accepted the connection"])?;
    plan.fails("mute-tls", &["TLS: 127.0.0.1:7004 accepted the connection"])?;
    plan.fails("mute-database", &["authentication: 127.0.0.1:7004 accepted the connection"])
}

#[test]
fn each_master_of_a_redis_cluster_is_asked() -> Result<()> {
    const CHECK: &str =
        "[check.cluster]\nredis = { host = \"127.0.0.1\", port = 7005, cluster = true }\ntimeout = \"2s\"\n";
    let world = World::up()?;
    let start = |port: u16| {
        let (number, nodes) = (port.to_string(), format!("nodes-{port}.conf"));
        #[rustfmt::skip]
        let options = [
            "--port", &number, "--save", "", "--appendonly", "no", "--protected-mode", "no", "--dir", "/tmp",
            "--cluster-enabled", "yes", "--cluster-config-file", &nodes,
            // The others go on without one of them, and so does the state of the cluster.
            "--cluster-require-full-coverage", "no",
        ];
        Program::start(&world, port, "redis-server", &options)
    };
    let _masters = [start(7005)?, start(7006)?];
    let third = start(7007)?;
    let nodes =
        ["--cluster", "create", "127.0.0.1:7005", "127.0.0.1:7006", "127.0.0.1:7007", "--cluster-yes"];
    let made = world.web.command("redis-cli").args(nodes).output()?;
    ensure!(made.status.success(), "{}{}", text(&made.stdout), text(&made.stderr));
    let is_whole = || -> Result<bool> {
        let info = world.web.command("redis-cli").args(["-p", "7005", "cluster", "info"]).output()?;
        Ok(text(&info.stdout).contains("cluster_state:ok") && text(&info.stdout).contains("cluster_size:3"))
    };
    wait_until("the cluster is whole", PATIENCE, is_whole)?;
    Plan::of(&world, CHECK)?.is_fine("cluster")?;
    drop(third);
    ensure!(is_whole()?, "the first one has noticed already");
    Plan::of(&world, CHECK)?.fails("cluster", &["connect: 127.0.0.1:7007: Connection refused"])
}

/// A database of the lab as it is reached by its address: names are the instance's to resolve.
fn database(world: &World) -> Result<Database> {
    Ok(Database {
        place: Place { host: DATA.to_string(), port: 5432 },
        user: DATABASE_USER.to_owned(),
        password: DATABASE_PASSWORD.into(),
        dbname: Some(DATABASE_NAME.to_owned()),
        tls: TlsMode::VerifyCa,
        ca: Some(std::fs::read_to_string(world.lab.dir().join("vpc/ca.pem"))?),
        secret: "database".to_owned(),
    })
}

fn in_the_vpc<T: Send>(world: &World, work: impl AsyncFnOnce() -> Result<T, Trouble> + Send) -> Result<T> {
    world.lab.in_its_network(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(work())?)
    })
}

#[test]
fn one_at_a_time_holds_the_lock_and_who_is_cut_off_loses_it() -> Result<()> {
    let world = World::up()?;
    let database = database(&world)?;
    let (key, timeout) = (key_of(&"status-page".parse()?), PATIENCE);
    let log_in = async |name: &str| -> Result<Session, Trouble> { connect(&database, name, timeout).await };
    in_the_vpc(&world, async || {
        let first = log_in("handover status-page i-1").await?;
        let Ok(mut first) = AdvisoryLock::try_take(first, &database, key, timeout).await? else {
            panic!("somebody has it already")
        };
        let second = log_in("handover status-page i-2").await?;
        let Err(second) = AdvisoryLock::try_take(second, &database, key, timeout).await? else {
            panic!("two have it")
        };
        let held = holder(&second, &database, key).await?.expect("somebody holds it");
        assert_eq!(held.application, "handover status-page i-1");
        assert!(holder(&second, &database, key + 1).await?.is_none());
        // Cut by the server, as by a failover: who held it hears of it, and the next one gets it.
        let waiting = AdvisoryLock::take(second, &database, key, timeout);
        let cut = log_in("handover").await?;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'",
            held.application
        );
        cut.client.simple_query(&end).await.unwrap();
        let (lost, taken) = tokio::join!(first.lost(), waiting);
        assert!(lost.what.contains("terminat") || lost.what.contains("closed"), "{lost}");
        let taken = taken?;
        assert_eq!(holder(&cut, &database, key).await?.unwrap().application, "handover status-page i-2");
        // Whatever ends the process ends the connection, and frees it.
        drop(taken);
        let freed = async {
            while holder(&cut, &database, key).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, Trouble>(())
        };
        tokio::time::timeout(PATIENCE, freed).await.expect("it is freed")
    })
}
