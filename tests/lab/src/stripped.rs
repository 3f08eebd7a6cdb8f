//! Programs without what debuggers read in them: half the size, and each instance gets copies of its own, which are
//! hashed and synced.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::tools;

/// The path of such a copy of a program; made once for each build of it.
pub fn stripped(program: &Path) -> Result<PathBuf> {
    let found = fs::metadata(program).with_context(|| format!("there is no {}", program.display()))?;
    let name = program.file_name().context("a program without a name")?.to_string_lossy();
    let folder = tools::cache_folder()?.join("stripped").join(&*name);
    let copy = folder.join(format!("{}-{}.{}", found.size(), found.mtime(), found.mtime_nsec()));
    if copy.exists() {
        return Ok(copy);
    }
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if copy.exists() {
        return Ok(copy);
    }
    let staged = folder.join("new");
    let done = Command::new("strip").arg("-o").arg(&staged).arg(program).output();
    let done = done.context("cannot start strip: install the package binutils, or run scripts/lab-setup")?;
    if !done.status.success() {
        bail!("cannot strip {}: {}", program.display(), String::from_utf8_lossy(&done.stderr).trim());
    }
    // Of builds before this one.
    for old in fs::read_dir(&folder)?
        .flatten()
        .filter(|entry| !["lock", "new"].iter().any(|&kept| entry.file_name() == kept))
    {
        fs::remove_file(old.path())?;
    }
    fs::rename(&staged, &copy)?;
    Ok(copy)
}
