//! Where a container's output goes, with limits so that it does not fill the disk.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Docker's driver.
    pub driver: LogDriver,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// A log driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogDriver {
    /// Whatever the Engine is configured to use, with its own options.
    Engine,
    /// The same, but limited where that driver has no limit of its own.
    Default,
    /// This one.
    Named(String),
}

const MAX_SIZE: &str = "10m";
const MAX_FILES: u16 = 3;

impl Log {
    /// Docker's own default driver, which has no limit unless it is given one.
    pub const JSON_FILE: &str = "json-file";

    /// Whether a driver keeps files on the instance, so that it can be limited.
    pub fn has_files(driver: &str) -> bool {
        [Self::JSON_FILE, "local"].contains(&driver)
    }

    /// The options that limit a driver with files; where nothing is given, to 3 files of 10 MB.
    pub fn limits(max_size: Option<&str>, max_files: Option<u16>) -> BTreeMap<String, String> {
        let (size, files) = (max_size.unwrap_or(MAX_SIZE), max_files.unwrap_or(MAX_FILES));
        [("max-size".to_owned(), size.to_owned()), ("max-file".to_owned(), files.to_string())].into()
    }

    /// That of a container whose configuration names no driver, with options for whichever it is.
    pub fn of_default_driver(options: BTreeMap<String, String>) -> Self {
        Self { driver: LogDriver::Default, options }
    }

    /// With the default replaced by what it means on an Engine with this driver: limits for the one that has none. Another
    /// driver was chosen for this instance on purpose, so it stays as it is.
    #[must_use]
    pub fn on_engine(self, engines: &str) -> Self {
        match self.driver {
            LogDriver::Default if engines == Self::JSON_FILE => {
                let mut options = Self::limits(None, None);
                options.extend(self.options);
                Self { driver: LogDriver::Named(Self::JSON_FILE.to_owned()), options }
            }
            LogDriver::Default => Self { driver: LogDriver::Engine, ..self },
            LogDriver::Engine | LogDriver::Named(_) => self,
        }
    }
}
