//! Files that survive a power cut: written beside their place, synced, renamed over it, and the folder synced too.

pub mod tree;

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file operation that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("failed to {act} '{}'", path.display())]
pub struct FsError {
    act: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FsError {
    /// Whether the file or folder is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl crate::model::Explain for FsError {
    fn fix(&self) -> Option<String> {
        let path = self.path.display();
        match self.source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Some(format!(
                "its disk is mounted read-only: see 'findmnt -T {path}' and 'dmesg', then mount it writable"
            )),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some(format!("make room on its disk: df -h {path}; df -i {path}"))
            }
            io::ErrorKind::PermissionDenied => Some("run it as root".to_owned()),
            _ => None,
        }
    }
}

/// Adds the act and the path to an I/O error.
pub trait Context<T> {
    /// `act` is a verb such as `read`.
    fn on(self, act: &'static str, path: &Path) -> Result<T, FsError>;
}

impl<T> Context<T> for io::Result<T> {
    fn on(self, act: &'static str, path: &Path) -> Result<T, FsError> {
        self.map_err(|source| FsError { act, path: path.to_owned(), source })
    }
}

/// Makes a folder that only root can enter, and those above it. One that is there is left as it is.
pub fn private_dir(path: &Path) -> Result<(), FsError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).on("create", path)
}

/// Makes a folder below `root` that only root can enter, and those between, so that they outlive a power cut.
pub fn durable_private_dir(root: &Path, path: &Path) -> Result<(), FsError> {
    private_dir(path)?;
    path.ancestors().take_while(|dir| dir.starts_with(root)).try_for_each(sync_dir)
}

/// Gives a file or folder another place on the same disk, so that a power cut does not take that back.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    std::fs::rename(from, to).on("move", from)?;
    for folder in [from.parent(), to.parent()].into_iter().flatten() {
        sync_dir(folder)?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, so that a power cut does not bring it back. One that is not there is fine.
pub fn remove_dir(path: &Path) -> Result<(), FsError> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => {
            answer.on("remove", path)?;
            path.parent().map_or(Ok(()), sync_dir)
        }
    }
}

/// Replaces `path` by a file with these bytes and permissions: after a power cut it is the old or the new one, whole.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    write_for(None, path, bytes, mode)
}

/// The same, for a user and a group.
pub fn write_for(owner: Option<(u32, u32)>, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(dir).on("create a file in", dir)?;
    file.write_all(bytes).on("write", path)?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::fchown(file.as_file(), Some(user), Some(group)).on("change the owner of", path)?;
    }
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).on("set permissions of", path)?;
    file.as_file().sync_all().on("sync", path)?;
    file.persist(path).map_err(|e| e.error).on("replace", path)?;
    sync_dir(dir)
}

/// Makes what was created, renamed or removed in a folder durable.
pub fn sync_dir(dir: &Path) -> Result<(), FsError> {
    File::open(dir).and_then(|d| d.sync_all()).on("sync", dir)
}

/// The text of a file, or nothing where there is none. What is no text reads as U+FFFD: it is for the reader to refuse.
pub fn read_if_there(path: &Path) -> Result<Option<String>, FsError> {
    Ok(bytes_if_there(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The bytes of a file, or nothing where there is none.
pub fn bytes_if_there(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).on("read", path),
    }
}

/// The folders of a folder that are named by a number, ascending. One that is not there has none.
pub fn numbered_folders(dir: &Path) -> Result<Vec<u64>, FsError> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.on("read", dir)?,
    };
    let mut numbers: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_nothing_of_the_old_one_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write_atomically(&path, b"a long first text", 0o600).unwrap();
        write_atomically(&path, b"short", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_act_and_the_path() {
        let error = write_atomically(Path::new("/nowhere/at/all"), b"", 0o600).unwrap_err();
        assert_eq!(error.to_string(), "failed to create a file in '/nowhere/at'");
    }
}
