//! When somebody last looked whether the secrets of an app have changed, and what came of it.
//!
//! `/var/lib/handover/APP/looked.json`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StateError;
use crate::fs;
use crate::model::ReleaseNumber;

/// The format of the file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    #[serde(flatten)]
    looked: Looked,
}

/// A look at the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// When.
    pub at: Timestamp,
    /// What came of it.
    #[serde(flatten)]
    pub found: Found,
    /// The versions of the secrets that live could not be made again with, by their names: nobody tries them twice by himself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tried: BTreeMap<String, String>,
}

/// What came of a look at the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Found {
    /// They are those that live was given.
    Same,
    /// They have changed, and live was made again.
    Refreshed {
        /// The release that has them.
        release: ReleaseNumber,
    },
    /// They may have changed, and what served goes on serving.
    Failed {
        /// Why live could not be made again, or why nobody could look.
        why: String,
    },
    /// What another version says.
    #[serde(other)]
    Unknown,
}

/// The last look at the secrets of an app.
#[derive(Debug, Clone)]
pub struct LastLook {
    path: PathBuf,
}

impl LastLook {
    /// That of a state folder.
    pub fn of(state: &Path) -> Self {
        Self { path: state.join("looked.json") }
    }

    /// What is known of it. One that cannot be read is as good as none: it only says when to look again.
    pub fn read(&self) -> Option<Looked> {
        let text = fs::read_if_there(&self.path).ok().flatten()?;
        serde_json::from_str::<Written>(&text).ok().map(|written| written.looked)
    }

    /// Writes it down.
    pub fn write(&self, found: Found, tried: BTreeMap<String, String>) -> Result<(), StateError> {
        let written = Written { format: FORMAT, looked: Looked { at: Timestamp::now(), found, tried } };
        let text = serde_json::to_vec_pretty(&written).expect("plain data");
        Ok(fs::write_atomically(&self.path, &text, 0o600)?)
    }
}

impl Looked {
    /// For people: `as live has them`.
    pub fn words(&self) -> String {
        match &self.found {
            Found::Same => "those that live has".to_owned(),
            Found::Refreshed { release } => format!("changed, and handed over to {release}"),
            Found::Failed { why } => format!("FAILED: {why}"),
            Found::Unknown => "another version says what came of it".to_owned(),
        }
    }
}
