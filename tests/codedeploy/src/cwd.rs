//! The directory a hook starts in. The agent never sets one (contract 1.2), so it is whatever the agent has.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// What a hook's working directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkingDirectory {
    /// `/` under systemd, `/opt/codedeploy-agent` under init.d, or another bundle's archive.
    Path(PathBuf),
    /// A directory that has been deleted: v1's threads share a `cd`, and the archive it went to may be cleaned
    /// away while another group's hook starts (contract 1.2).
    Deleted,
}

/// A directory that a command can be started in, kept for as long as that takes.
pub(crate) struct Resolved {
    pub(crate) path: PathBuf,
    _open: Option<File>,
}

impl WorkingDirectory {
    pub(crate) fn resolve(&self) -> io::Result<Resolved> {
        match self {
            Self::Path(path) => Ok(Resolved { path: path.clone(), _open: None }),
            Self::Deleted => {
                let dir = tempfile::Builder::new().prefix("codedeploy-cwd").tempdir()?;
                let open = File::open(dir.path())?;
                dir.close()?;
                // The kernel's link leads to the directory itself, not to its lost name.
                let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
                Ok(Resolved { path, _open: Some(open) })
            }
        }
    }
}
