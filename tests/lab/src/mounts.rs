//! The mounts inside a set of namespaces. None of them is seen by the machine, and none writes to it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use crate::spec::{Bind, INSIDE, Spec};

/// Where the sources of all binds are put first: a later mount may hide the places they come from.
const SOURCES: &str = "/run/.lab/sources";
/// Where the writable layers are.
const LAYERS: &str = "/run/.lab/layers";

/// Makes all mounts of the plan. `/run` comes up empty, as at every boot: a Docker Engine trusts the pid file of
/// its last life.
pub(crate) fn make(folder: &Path, spec: &Spec) -> Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("cannot make the mounts private")?;
    // The sources are opened by their paths now, while `/run` is still the machine's.
    let staged = tempfile_on_machine(folder);
    mount("tmpfs", &staged, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))?;
    fs::create_dir_all(staged.join(".lab/sources"))?;
    fs::create_dir_all(staged.join(".lab/layers"))?;
    fs::create_dir_all(staged.join("lock"))?;
    let inside = Bind::new(folder, INSIDE);
    let wanted: Vec<_> = std::iter::once(&inside).chain(&spec.binds).chain(&spec.overlays).collect();
    for (number, bind) in wanted.iter().enumerate() {
        let source = staged.join(".lab/sources").join(number.to_string());
        put(&bind.from, &source)?;
    }
    rustix::mount::mount_move(&staged, "/run").context("/run")?;
    let overlays = 1 + spec.binds.len();
    for (number, bind) in wanted.iter().enumerate().skip(overlays) {
        overlay(&Path::new(SOURCES).join(number.to_string()), number, &bind.to)?;
    }
    for (number, bind) in wanted.iter().enumerate().take(overlays) {
        put(&Path::new(SOURCES).join(number.to_string()), &bind.to)?;
    }
    for (place, megabytes) in &spec.disks {
        let size = std::ffi::CString::new(format!("size={megabytes}m,mode=0711"))?;
        mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(size.as_c_str()))
            .with_context(|| format!("cannot make the disk at {}", place.display()))?;
    }
    // Shared memory has names, and what is killed leaves them behind: not on the machine.
    mount("tmpfs", "/dev/shm", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=1777"))?;
    for (path, content) in &spec.files {
        // A link would lead out of the writable layer.
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(path)?;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The folder that the new `/run` is put together in: a mount point only, in the part's own folder.
fn tempfile_on_machine(folder: &Path) -> PathBuf {
    folder.join("run")
}

/// Shows `from` at `to`, which is made if it is not there.
fn put(from: &Path, to: &Path) -> Result<()> {
    let place = || format!("cannot show {} at {}", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(place)?;
    } else if !to.exists() {
        fs::write(to, "").with_context(place)?;
    }
    mount_bind(from, to).with_context(place)
}

/// Puts a writable layer in memory over a tree.
fn overlay(lower: &Path, number: usize, to: &Path) -> Result<()> {
    let layer = Path::new(LAYERS).join(number.to_string());
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    fs::create_dir_all(to)?;
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = std::ffi::CString::new(options)?;
    // The top of the upper layer is the top of the whole: it keeps the owner and mode that the lower one has.
    copy_owner(lower, &upper)?;
    mount("overlay", to, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .with_context(|| format!("cannot put a layer over {}", to.display()))
}

fn copy_owner(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let found = fs::metadata(from)?;
    chown(to, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(to, found.permissions())?;
    Ok(())
}
