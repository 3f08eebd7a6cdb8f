//! The digests that no deployment may bring any more on this instance, until they are released.
//!
//! `/var/lib/handover/APP/blocked.json`, by digest: the release that had it, and when it was blocked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StateError;
use crate::fs;
use crate::model::{ImageDigest, ReleaseNumber};

/// The format of the file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    digests: BTreeMap<ImageDigest, Why>,
}

/// Why a digest is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The release that had it.
    pub release: ReleaseNumber,
    /// Since when.
    pub at: Timestamp,
}

/// The blocked digests of an app.
#[derive(Debug, Clone)]
pub struct Blocked {
    path: PathBuf,
}

impl Blocked {
    /// Those of a state folder.
    pub fn of(state: &Path) -> Self {
        Self { path: state.join("blocked.json") }
    }

    /// All of them.
    pub fn all(&self) -> Result<BTreeMap<ImageDigest, Why>, StateError> {
        let Some(text) = fs::read_if_there(&self.path)? else { return Ok(BTreeMap::new()) };
        let written: Result<Written, _> = serde_json::from_str(&text);
        written
            .map(|written| written.digests)
            .map_err(|source| StateError::Damaged { path: self.path.clone(), source })
    }

    /// Blocks digests that a release had. One that is blocked already keeps its reason.
    pub fn block(&self, digests: &[ImageDigest], release: ReleaseNumber) -> Result<(), StateError> {
        let mut all = self.all()?;
        for digest in digests {
            all.entry(digest.clone()).or_insert(Why { release, at: Timestamp::now() });
        }
        self.write(all)
    }

    /// Releases a digest, by its beginning with or without `sha256:`, as people quote it. Those that were meant.
    pub fn release(&self, beginning: &str) -> Result<Vec<ImageDigest>, StateError> {
        let mut all = self.all()?;
        let quoted = beginning.strip_prefix("sha256:").unwrap_or(beginning);
        let is_meant = |digest: &ImageDigest| digest.as_str()["sha256:".len()..].starts_with(quoted);
        let meant: Vec<ImageDigest> = all.keys().filter(|digest| is_meant(digest)).cloned().collect();
        // A beginning that several have means none of them.
        if let [only] = meant.as_slice() {
            all.remove(only);
            self.write(all)?;
        }
        Ok(meant)
    }

    fn write(&self, digests: BTreeMap<ImageDigest, Why>) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(&Written { format: FORMAT, digests }).expect("plain data");
        Ok(fs::write_atomically(&self.path, &text, 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_stays_blocked_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = Blocked::of(dir.path());
        assert_eq!(blocked.all().unwrap().len(), 0);
        let digest = |digits: &str| format!("sha256:{}", digits.repeat(32)).parse::<ImageDigest>().unwrap();
        blocked.block(&[digest("0a"), digest("0b")], ReleaseNumber(4)).unwrap();
        blocked.block(&[digest("0a")], ReleaseNumber(9)).unwrap();
        assert_eq!(blocked.all().unwrap()[&digest("0a")].release, ReleaseNumber(4));
        assert_eq!(blocked.release("0").unwrap().len(), 2, "nobody knows which");
        assert_eq!(blocked.all().unwrap().len(), 2);
        assert_eq!(blocked.release("sha256:0a0a").unwrap(), [digest("0a")]);
        assert_eq!(blocked.release("0c").unwrap(), []);
        assert_eq!(blocked.all().unwrap().into_keys().collect::<Vec<_>>(), [digest("0b")]);
    }
}
