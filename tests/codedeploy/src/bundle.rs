//! Unpacking a bundle: here a directory, copied the way the agent's tar leaves it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::{Path, PathBuf};

/// Copy `bundle` to `archive`, which is replaced. One top-level directory that holds an appspec is stripped
/// (contract 1.8).
pub(crate) fn unpack(bundle: &Path, archive: &Path) -> io::Result<()> {
    if archive.exists() {
        fs::remove_dir_all(archive)?;
    }
    copy_tree(&nested(bundle)?.unwrap_or_else(|| bundle.to_owned()), archive)
}

fn nested(bundle: &Path) -> io::Result<Option<PathBuf>> {
    let entries = fs::read_dir(bundle)?.collect::<io::Result<Vec<_>>>()?;
    let [only] = entries.as_slice() else { return Ok(None) };
    let dir = only.path();
    let holds_appspec = dir.is_dir()
        && fs::read_dir(&dir)?
            .flatten()
            .any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"appspec"));
    Ok(holds_appspec.then_some(dir))
}

/// Modes are kept, symbolic links stay links, and as root so do owners (`tar -xpsf`, contract 1.2, 1.8).
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if meta.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    if rustix::process::geteuid().is_root() {
        lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    }
    if !meta.is_symlink() {
        // After the change of owner, which drops the set-id bits.
        fs::set_permissions(to, meta.permissions())?;
    }
    Ok(())
}
