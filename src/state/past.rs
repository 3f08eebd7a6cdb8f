//! What stays of a release that is not kept any more: its record and its journal, so that the history is longer than what can
//! be gone back to. Both are small, and their number is bounded.

use std::path::{Path, PathBuf};

use super::{Record, StateError};
use crate::fs;
use crate::model::ReleaseNumber;

/// How many releases that are not kept are remembered.
pub const REMEMBERED: usize = 20;

/// What stays.
const FILES: [&str; 2] = ["record.json", "journal.jsonl"];

/// The releases of an app that are not kept any more.
#[derive(Debug, Clone)]
pub struct Past {
    dir: PathBuf,
}

impl Past {
    /// Those of a state folder.
    pub fn of(state: &Path) -> Self {
        Self { dir: state.join("history") }
    }

    /// Those beside a folder of releases.
    pub(super) fn of_releases(releases: &Path) -> Self {
        Self::of(releases.parent().unwrap_or(releases))
    }

    /// The folder that holds them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes over what stays of a release. It may have been done before, in whole or in part.
    pub(super) fn take(&self, release: ReleaseNumber, folder: &Path) -> Result<(), StateError> {
        let place = self.dir.join(release.0.to_string());
        fs::durable_private_dir(self.dir.parent().unwrap_or(&self.dir), &place)?;
        for file in FILES {
            if let Some(bytes) = fs::bytes_if_there(&folder.join(file))? {
                fs::write_atomically(&place.join(file), &bytes, 0o600)?;
            }
        }
        self.forget()
    }

    /// Forgets the oldest that are too many. One that has moved a schema stays as long as something older can be gone back to.
    fn forget(&self) -> Result<(), StateError> {
        let numbers = fs::numbered_folders(&self.dir)?;
        let too_many = numbers.len().saturating_sub(REMEMBERED);
        let oldest_kept = self.dir.parent().map(|state| fs::numbered_folders(&state.join("releases")));
        let oldest_kept = oldest_kept.transpose()?.and_then(|kept| kept.first().copied());
        for number in &numbers[..too_many] {
            let is_after = oldest_kept.is_some_and(|oldest| oldest < *number);
            let moved =
                self.record(ReleaseNumber(*number)).is_some_and(|r| r.moved_schema().next().is_some());
            if !(is_after && moved) {
                fs::remove_dir(&self.dir.join(number.to_string()))?;
            }
        }
        Ok(())
    }

    /// The record of one of them, if it can be read.
    pub fn record(&self, release: ReleaseNumber) -> Option<Record> {
        let text = fs::read_if_there(&self.dir.join(release.0.to_string()).join(FILES[0])).ok().flatten()?;
        serde_json::from_str(&text).ok()
    }

    /// Every record of them that can be read, ascending.
    pub fn records(&self) -> Vec<Record> {
        let numbers = fs::numbered_folders(&self.dir).unwrap_or_default();
        numbers.into_iter().filter_map(|number| self.record(ReleaseNumber(number))).collect()
    }
}
