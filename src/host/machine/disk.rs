//! Room on a filesystem, by statvfs(3).

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The free space of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Tells filesystems apart.
    pub device: u64,
    /// In bytes, without the blocks that are kept back for root.
    pub bytes: u64,
    /// How many more files there can be; `None` where the filesystem has no such limit (btrfs).
    pub files: Option<u64>,
}

/// The free space where a path is, or will be: on the filesystem of its nearest folder that exists.
pub fn space(path: &Path) -> io::Result<Space> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let room = rustix::fs::statvfs(there)?;
    Ok(Space {
        device: std::fs::metadata(there)?.dev(),
        bytes: room.f_bavail.saturating_mul(room.f_frsize),
        files: (room.f_files > 0).then_some(room.f_favail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_filesystem_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let (here, later) = (space(dir.path()).unwrap(), space(&dir.path().join("not/yet")).unwrap());
        assert_eq!(here.device, later.device);
        assert_ne!(here.device, space(Path::new("/proc")).unwrap().device);
    }
}
