//! What an instance was made with, kept in its folder for its next life.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// Its file in the folder.
    const FILE: &str;

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(fs::write(folder.join(Self::FILE), serde_json::to_vec(self)?)?)
    }
}
