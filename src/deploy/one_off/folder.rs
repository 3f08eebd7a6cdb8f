//! The files of one command, in a folder with the name of its container.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::fs::{Context as _, FsError};
use crate::host::Host;
use crate::host::docker::Docker;
use crate::host::docker::labels::Kind;
use crate::model::{AppName, Failure};
use crate::text::chain;

/// Where the folders of an app are.
pub(in crate::deploy) fn runs(host: &Host, app: &AppName) -> PathBuf {
    host.paths.app(app).join("runs")
}

/// The files of one run, with the name of its container. Locked while its process lives, and removed with it.
pub(in crate::deploy) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(in crate::deploy) fn make(runs: &Path, name: &str) -> Result<Self, FsError> {
        let path = runs.join(name);
        crate::fs::private_dir(&path)?;
        let lock = File::open(&path).on("open", &path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(std::io::Error::from)
            .on("lock", &path)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = crate::fs::remove_dir(&self.path) {
            tracing::warn!("{}", chain(&error));
        }
    }
}

/// Removes what killed processes left: containers that do not run any more, and their files.
pub(in crate::deploy) async fn sweep(host: &Host, app: &AppName) {
    let Ok(folders) = std::fs::read_dir(runs(host, app)) else { return };
    for folder in folders.filter_map(Result::ok) {
        let path = folder.path();
        let Ok(lock) = File::open(&path) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        if let Err(error) = sweep_one(&host.docker, &folder.file_name().to_string_lossy(), &path).await {
            tracing::warn!("{}", error.what);
        }
    }
}

async fn sweep_one(docker: &Docker, name: &str, folder: &Path) -> Result<(), Failure> {
    let container = docker.inspect(name).await?;
    match container {
        Some(container) if container.running => return Ok(()),
        Some(container) if container.labels.as_ref().is_some_and(|labels| labels.kind == Kind::Run) => {
            docker.remove(&container.id).await?;
        }
        _ => {}
    }
    Ok(crate::fs::remove_dir(folder)?)
}
