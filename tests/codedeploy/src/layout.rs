//! The agent's directories and pointer files (contract 1.8), and the cleaning of old revisions (1.7).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The deployment root.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under a deployment root, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `<group-id>/<deployment-id>`
    pub fn deployment_dir(&self, group_id: &str, deployment_id: &str) -> PathBuf {
        self.root.join(group_id).join(deployment_id)
    }

    /// Where the bundle is unpacked.
    pub fn archive_dir(&self, group_id: &str, deployment_id: &str) -> PathBuf {
        archive_in(&self.deployment_dir(group_id, deployment_id))
    }

    /// What the hooks of a deployment printed, those of the old bundle too.
    pub fn scripts_log(&self, group_id: &str, deployment_id: &str) -> PathBuf {
        self.deployment_dir(group_id, deployment_id).join("logs/scripts.log")
    }

    /// The log over all deployments.
    pub fn deployments_log(&self) -> PathBuf {
        self.root.join("deployment-logs/codedeploy-agent-deployments.log")
    }

    /// One file per event that runs.
    pub fn ongoing_dir(&self) -> PathBuf {
        self.root.join("ongoing-deployment")
    }

    /// Pointers and clean-up lists.
    pub fn instructions_dir(&self) -> PathBuf {
        self.root.join("deployment-instructions")
    }

    /// The file that names the deployment whose Install last ended well.
    pub fn last_successful_pointer(&self, group_id: &str) -> PathBuf {
        self.instructions_dir().join(format!("{group_id}_last_successful_install"))
    }

    /// The file that names the deployment that was downloaded last.
    pub fn most_recent_pointer(&self, group_id: &str) -> PathBuf {
        self.instructions_dir().join(format!("{group_id}_most_recent_install"))
    }

    /// Make room for one more: keep `max` with the one to come, remove the oldest by mtime, never the current one
    /// or the last successful one (contract 1.7).
    pub(crate) fn clean(&self, group_id: &str, current: &Path, max: usize) -> io::Result<()> {
        let group = self.root.join(group_id);
        let mut old: Vec<PathBuf> = match fs::read_dir(&group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?,
        };
        old.retain(|dir| dir != current);
        let extra = (old.len() + 1).saturating_sub(max);
        if let Some(last) = read_pointer(&self.last_successful_pointer(group_id)) {
            old.retain(|dir| *dir != last);
        }
        old.sort_by_cached_key(|dir| fs::metadata(dir).and_then(|meta| meta.modified()).ok());
        old.iter().take(extra).try_for_each(fs::remove_dir_all)
    }
}

/// Where a deployment's directory has its bundle.
pub(crate) fn archive_in(deployment_dir: &Path) -> PathBuf {
    deployment_dir.join("deployment-archive")
}

/// A pointer's target; whether that still exists is another question.
pub(crate) fn read_pointer(pointer: &Path) -> Option<PathBuf> {
    fs::read_to_string(pointer).ok().map(|text| PathBuf::from(text.trim_end()))
}

pub(crate) fn write_pointer(pointer: &Path, target: &Path) -> io::Result<()> {
    if let Some(parent) = pointer.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(pointer, target.as_os_str().as_encoded_bytes())
}
