//! `app collect DIR`: the static files of this release, for the front server. `app smoke`: whether the image starts.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{backends, identity, redis, schema, variant};

/// Writes the files; a reader finds each one old or new, never half.
pub(crate) fn run(folder: &str) -> Result<()> {
    variant::begin("collect")?;
    let folder = Path::new(folder);
    let release = identity::release();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in [
        ("release.txt", format!("{release}\n")),
        ("app.css", format!("/* release {release} */\nbody {{ margin: 0 }}\n")),
    ] {
        let (staged, file) = (folder.join(format!(".{name}")), folder.join(name));
        fs::write(&staged, text).with_context(|| format!("cannot write {}", staged.display()))?;
        fs::rename(&staged, &file)?;
    }
    println!("collected 2 files of release {release}");
    Ok(())
}

/// The environment is complete, as far as can be told without asking anybody: the database, Redis, and what
/// `SMOKE_NEEDS` names; with `CONFIGURATION`, that file has something in it.
pub(crate) fn smoke() -> Result<()> {
    variant::begin("smoke")?;
    backends::place()?.context("DATABASE_HOST is not set")?;
    redis::check(&backends::url()?)?;
    schema::wanted()?;
    let needed = env::var("SMOKE_NEEDS").unwrap_or_default();
    for name in needed.split(',').filter(|name| !name.is_empty()) {
        if env::var(name).unwrap_or_default().is_empty() {
            bail!("{name} is not set");
        }
    }
    if let Ok(file) = env::var("CONFIGURATION") {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        if text.trim().is_empty() {
            bail!("{file} is empty");
        }
    }
    println!("no issues");
    Ok(())
}
