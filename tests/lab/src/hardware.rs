//! What an instance is made of, where that is not what every instance has.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "hardware.json";

/// An instance's hardware.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hardware {
    /// The size of a disk of its own for Docker's data, in megabytes; without it the data has the disk of the machine.
    /// Such a disk is in memory, and empty after a power cut.
    pub docker_disk: Option<u32>,
}

impl Hardware {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        Ok(fs::write(folder.join(FILE), serde_json::to_vec(self)?)?)
    }
}
