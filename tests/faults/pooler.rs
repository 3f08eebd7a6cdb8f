//! PgBouncer in front of the database. What it lends for one transaction only holds no lock.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use lab::names::{DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER};
use lab::wait_until;
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "task";

/// PgBouncer on an instance, with the database once by the transaction and once by the session.
struct Pooler<'w>(&'w World, Child);

impl<'w> Pooler<'w> {
    fn start(world: &'w World) -> Result<Self> {
        let database = |mode: &str| {
            format!("by_{mode} = host=db.internal port=5432 dbname={DATABASE_NAME} pool_mode={mode}\n")
        };
        let settings = format!(
            "[databases]\n{}{}[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = /etc/pgbouncer.users\nserver_tls_sslmode = require\nuser = nobody\n",
            database("transaction"),
            database("session")
        );
        for (path, text) in [
            ("/etc/pgbouncer.lab.ini", settings),
            ("/etc/pgbouncer.users", format!("\"{DATABASE_USER}\" \"{DATABASE_PASSWORD}\"\n")),
        ] {
            let path = world.web.path(path);
            std::fs::write(&path, text)?;
            // It gives up root before it reads its users.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        }
        let mut command = world.web.command("pgbouncer");
        command
            .arg("/etc/pgbouncer.lab.ini")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let pooler = Self(world, command.spawn()?);
        wait_until("PgBouncer listens", PATIENCE, || {
            let listens = ["-c", "ss -Hltn sport = :6432 | grep -q ."];
            Ok(world.web.command("sh").args(listens).status()?.success())
        })?;
        Ok(pooler)
    }
}

impl Drop for Pooler<'_> {
    fn drop(&mut self) {
        let _ = self.0.web.signal(&self.1, 9);
        let _ = self.1.wait();
    }
}

/// A release whose migration is exclusive through this database of the pooler.
fn migrating(dbname: &str) -> Bundle {
    let tables = format!(
        "[secret.rds]\nid = \"rds!db-0123\"\n\
         [check.pool]\npostgres = {{ secret = \"rds\", host = \"127.0.0.1\", port = 6432, dbname = \"{dbname}\", tls = \"disable\" }}\n\
         [task.migrate]\ncommand = [\"migrate\"]\nunless = [\"migrate\", \"--check\"]\nschema = true\nexclusive = \"check.pool\"\n\
         [process.web]\n"
    );
    Bundle::of("v2")
        .edit("[environment]\n", "[environment]\nSCHEMA = \"1\"\n")
        .edit("[process.web]\n", &tables)
}

#[test]
fn one_that_lends_by_the_transaction_holds_no_lock() -> Result<()> {
    let case = Case::of(KIND, "the lock of a task goes through PgBouncer in transaction mode")?;
    let pooler = Pooler::start(&case.world)?;
    let told = case.refused(&migrating("by_transaction"))?;
    assert_snapshot!(told, @r"
    AfterInstall ends with 1
    why:   task 'migrate' gets no lock through check 'pool': 127.0.0.1:6432 is a pool that lends a connection for one
           transaction only (PgBouncer: pool_mode = transaction), and no lock can be held there
    fix:   name the database itself in this check, or a pool with pool_mode = session
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    // Nor did it leave one with a connection of the pool, where nobody could ever give it back.
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1";
    ensure!(case.world.lab.sql(locks)?.trim() == "0", "a lock is left");
    case.mended_by(&migrating("by_session"))?;
    drop(pooler);
    Ok(())
}
