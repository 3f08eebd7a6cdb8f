//! The test application (the crate `app`): its static binary, built when it is missing or older than its source, and what
//! it says of itself in the VPC.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::lab::{Lab, output};
use crate::names::{
    CACHE_HOST, CACHE_PASSWORD_IN_URLS, DATABASE_HOST, DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER,
};
use crate::tools;

/// The environment with which the application uses the lab's database and Redis.
pub fn backends() -> Vec<(String, String)> {
    let redis = format!("rediss://:{CACHE_PASSWORD_IN_URLS}@{CACHE_HOST}:6379/0");
    [
        ("DATABASE_HOST", DATABASE_HOST),
        ("DATABASE_NAME", DATABASE_NAME),
        ("DATABASE_USER", DATABASE_USER),
        ("DATABASE_PASSWORD", DATABASE_PASSWORD),
        ("REDIS_URL", &redis),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

impl Lab {
    /// The application as a process of the VPC, with the lab's database and Redis: `["worker"]`, `["migrate", "2"]`.
    pub fn app(&self, words: &[&str]) -> Result<Command> {
        let mut command = self.command(binary()?)?;
        command.args(words).envs(backends());
        Ok(command)
    }

    /// What became of all jobs, schedulers and migrations: `app counts`.
    pub fn counts(&self) -> Result<Value> {
        Ok(serde_json::from_str(&output(&mut self.app(&["counts"])?)?)?)
    }
}

/// The path of the binary: `APP_BIN`, or one that is built here.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("APP_BIN") {
        return Ok(path.into());
    }
    // Built with flags of its own, so in a folder of its own: in the common one each build would undo the other.
    let cache = tools::cache_folder()?;
    let folder = cache.join("app");
    let target = target();
    let binary = folder.join(&target).join("release/app");
    let source = tools::repository().join("tests/app");
    if is_fresh(&binary, &source)? {
        return Ok(binary);
    }
    let lock = File::create(cache.join("app.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if is_fresh(&binary, &source)? {
        return Ok(binary);
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "app", "--target", &target, "--target-dir"])
        .arg(&folder)
        .current_dir(tools::repository())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_PANIC", "unwind")
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo to build the test application; set APP_BIN to a static binary of it")?;
    if !built.status.success() {
        bail!("cannot build the test application: {}", String::from_utf8_lossy(&built.stderr));
    }
    // Cargo leaves a binary that would come out the same as it is: its age then says nothing of the source.
    File::options().append(true).open(&binary)?.set_modified(SystemTime::now())?;
    Ok(binary)
}

/// The platform to build for: musl where its standard library is installed.
fn target() -> String {
    let architecture = env::consts::ARCH;
    let musl = format!("{architecture}-unknown-linux-musl");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", &musl])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|found| Path::new(String::from_utf8_lossy(&found.stdout).trim()).is_dir());
    if installed { musl } else { format!("{architecture}-unknown-linux-gnu") }
}

fn is_fresh(binary: &Path, source: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(binary).and_then(|found| found.modified()) else { return Ok(false) };
    Ok(newest(source)? <= built)
}

/// The time of the last change below a folder.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("no source at {}", folder.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        let changed = if found.is_dir() { self::newest(&entry.path())? } else { found.modified()? };
        newest = newest.max(changed);
    }
    Ok(newest)
}
