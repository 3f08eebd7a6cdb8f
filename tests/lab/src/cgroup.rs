//! Control groups. Those of containers are made by the instance's Docker Engine and outlive a power cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::wait::wait_until;

/// How long the kernel may take to let go of the groups of processes that have just ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the names of all groups of the lab in this folder start with.
pub(crate) fn prefix(lab: &Path) -> String {
    let digest = Sha256::digest(lab.as_os_str().as_encoded_bytes());
    format!("lab-{:02x}{:02x}{:02x}{:02x}-", digest[0], digest[1], digest[2], digest[3])
}

/// The groups of the lab in this folder, in all hierarchies.
pub(crate) fn of_lab(lab: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(Path::new("/sys/fs/cgroup"), &prefix(lab), &mut found);
    found
}

/// Removes the groups of the lab in this folder.
pub(crate) fn remove(lab: &Path) -> Result<()> {
    for group in of_lab(lab) {
        wait_until(&format!("{} is removed", group.display()), PATIENCE, || Ok(remove_tree(&group)))?;
    }
    Ok(())
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
    for path in subfolders(folder) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            found.push(path);
        } else {
            collect(&path, prefix, found);
        }
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Depth first, by `rmdir`: the files in a group cannot be removed, and need not be.
fn remove_tree(group: &Path) -> bool {
    for inner in subfolders(group) {
        remove_tree(&inner);
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
