//! A PostgreSQL cluster with the lab's user and database, made once and then shared by all labs: each puts a
//! writable layer in memory over it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::names::{DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER};
use crate::tools;

/// Grows when the way the cluster is made changes.
const FORM: u32 = 2;

/// The folder of the cluster.
pub(crate) fn template() -> Result<PathBuf> {
    let cache = tools::cache_folder()?;
    let programs = tools::postgres_programs()?;
    let version = programs.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let folder = cache.join(format!("postgresql-{version}-{FORM}"));
    if folder.exists() {
        return Ok(folder);
    }
    let lock = File::create(cache.join("postgresql.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if folder.exists() {
        return Ok(folder);
    }
    // PostgreSQL will not run as root, and its user may not be able to see the cache: made in a folder of its own.
    let (user, group) = tools::user("postgres")?;
    let work = tempfile::Builder::new().prefix("lab-postgresql.").tempdir()?;
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o700))?;
    chown(work.path(), Some(user), Some(group))?;
    let data = work.path().join("data");
    let password = work.path().join("password");
    fs::write(&password, DATABASE_PASSWORD)?;
    chown(&password, Some(user), Some(group))?;
    let postgres = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.uid(user).gid(group).current_dir(work.path()).env_clear().env("PATH", tools::PATH);
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let mut made = postgres("initdb");
    made.args(["-A", "scram-sha-256", "-U", DATABASE_USER, "--no-sync", "--wal-segsize=1", "-D"]).arg(&data);
    made.arg("--pwfile").arg(&password);
    if !made.status()?.success() {
        bail!("initdb failed");
    }
    let mut single = postgres("postgres")
        .args(["--single", "-D"])
        .arg(&data)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let create = format!("create database {DATABASE_NAME}\n");
    single.stdin.take().context("postgres takes no commands")?.write_all(create.as_bytes())?;
    if !single.wait()?.success() {
        bail!("postgres --single failed");
    }
    // With TLS or not at all, as on RDS with rds.force_ssl.
    let access = "local all all scram-sha-256\nhostssl all all all scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), access)?;
    let staged = cache.join(format!("postgresql.{}", std::process::id()));
    let copied = Command::new("cp").arg("-a").arg(&data).arg(&staged).status()?;
    if !copied.success() {
        bail!("cannot copy the cluster to {}", staged.display());
    }
    fs::rename(&staged, &folder)?;
    Ok(folder)
}
