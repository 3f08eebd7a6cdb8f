//! Whose state this is. An image of an instance that was deployed to (a golden image, a warm pool, a snapshot) brings what is kept
//! here to another one, where none of it is true.
//!
//! `/var/lib/handover/.instance.json`: the id of the instance. `/var/lib/handover/.of/ID/APP/`: what another one has left.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Releases, StateError};
use crate::fs;
use crate::model::{AppName, ReleaseNumber};

/// The format of the file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    id: String,
}

/// The state folder of all apps.
#[derive(Debug, Clone)]
pub struct Home {
    state: PathBuf,
}

impl Home {
    /// That of a state folder.
    pub fn of(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.state.join(".instance.json")
    }

    /// The instance that it belongs to, if anybody has said so.
    pub fn owner(&self) -> Result<Option<String>, StateError> {
        let path = self.file();
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        let written: Result<Written, _> = serde_json::from_str(&text);
        written.map(|written| Some(written.id)).map_err(|source| StateError::Damaged { path, source })
    }

    /// From now on it belongs to this instance.
    pub fn belongs_to(&self, id: &str) -> Result<(), StateError> {
        fs::private_dir(&self.state)?;
        let text =
            serde_json::to_vec_pretty(&Written { format: FORMAT, id: id.to_owned() }).expect("plain data");
        Ok(fs::write_atomically(&self.file(), &text, 0o600)?)
    }

    /// The highest number that a release of an app has among what is put aside: the images of those releases have their tags still.
    pub fn highest_put_aside(&self, app: &AppName) -> Option<ReleaseNumber> {
        let owners = std::fs::read_dir(self.state.join(".of")).into_iter().flatten().flatten();
        let numbers = |owner: std::fs::DirEntry| {
            Releases::of(&owner.path().join(app.as_str())).numbers().unwrap_or_default()
        };
        owners.flat_map(numbers).max()
    }

    /// Puts what is kept of an app aside, as that of another instance, without its rendered files: they hold secrets. Returns where it
    /// is now.
    pub fn put_aside(&self, app: &AppName, owner: &str) -> Result<PathBuf, StateError> {
        let from = self.state.join(app.as_str());
        let releases = Releases::of(&from);
        for release in releases.numbers()? {
            releases.remove_files(release)?;
        }
        let folder = self.state.join(".of").join(owner);
        fs::durable_private_dir(&self.state, &folder)?;
        let to = folder.join(app.as_str());
        if from.is_dir() {
            // What an earlier life of the same image has left.
            fs::remove_dir(&to)?;
        }
        fs::rename(&from, &to)?;
        Ok(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_aside_keeps_its_records_and_loses_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        assert_eq!(home.owner().unwrap(), None);
        home.belongs_to("i-01").unwrap();
        assert_eq!(home.owner().unwrap().as_deref(), Some("i-01"));
        let app: AppName = "web".parse().unwrap();
        let releases = Releases::of(&dir.path().join("web"));
        let secret = releases.folder(ReleaseNumber(3)).join("files/web/secret");
        fs::durable_private_dir(dir.path(), secret.parent().unwrap()).unwrap();
        fs::write_atomically(&secret, b"x", 0o600).unwrap();
        fs::write_atomically(&releases.folder(ReleaseNumber(3)).join("record.json"), b"{}", 0o600).unwrap();
        let to = home.put_aside(&app, "i-01").unwrap();
        assert_eq!(to, dir.path().join(".of/i-01/web"));
        assert!(to.join("releases/3/record.json").exists() && !to.join("releases/3/files").exists());
        assert!(!dir.path().join("web").exists());
        assert_eq!(home.highest_put_aside(&app), Some(ReleaseNumber(3)));
        assert_eq!(home.highest_put_aside(&"other".parse().unwrap()), None);
    }
}
