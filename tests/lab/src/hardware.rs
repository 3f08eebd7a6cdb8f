//! What an instance is made of, where that is not what every instance has.

use serde::{Deserialize, Serialize};

use crate::kept::Kept;

/// An instance's hardware.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hardware {
    /// The size of a disk of its own for Docker's data, in megabytes; without it the data has the disk of the machine.
    /// Such a disk is in memory, and empty after a power cut.
    pub docker_disk: Option<u32>,
}

impl Kept for Hardware {
    const FILE: &str = "hardware.json";
}
