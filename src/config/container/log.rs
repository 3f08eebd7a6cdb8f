//! `log`: where a container's output goes, with limits so that it does not fill the disk.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Spanned;

use super::written::one;
use crate::config::diagnostic::Mistake;
use crate::config::file::WrittenLog;
use crate::config::units::Bytes;

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
    /// This one.
    Named(String),
}

/// Docker's own default, which knows no limit unless it is told one.
const JSON_FILE: &str = "json-file";
/// The drivers that keep files on the instance, and so can be limited.
const WITH_FILES: &[&str] = &[JSON_FILE, "local"];
const MAX_SIZE: &str = "10m";
const MAX_FILE: u16 = 3;

impl Log {
    /// What is used when nothing is said: limits for the driver that has none. Another default of the Engine's is what
    /// somebody chose for this instance, so it stays.
    pub fn default_with(engine: &str) -> Self {
        if engine == JSON_FILE {
            let options = limits(MAX_SIZE, MAX_FILE);
            return Self { driver: LogDriver::Named(JSON_FILE.to_owned()), options };
        }
        Self { driver: LogDriver::Engine, options: BTreeMap::new() }
    }
}

fn limits(size: &str, files: u16) -> BTreeMap<String, String> {
    [("max-size".to_owned(), size.to_owned()), ("max-file".to_owned(), files.to_string())].into()
}

pub(super) fn meant_log(written: &WrittenLog) -> Result<Log, Mistake> {
    let driver = written.driver.as_ref().map_or(JSON_FILE, |driver| driver.get_ref().as_str());
    let has_files = WITH_FILES.contains(&driver);
    let limited = written.max_size.as_ref().map(Spanned::span);
    let limited = limited.or_else(|| written.max_file.as_ref().map(Spanned::span));
    if let (Some(span), false) = (limited, has_files) {
        return Err(Mistake::at(span, format!("'max-size' and 'max-file' do not go with driver '{driver}'"))
            .help("remove it; the driver's own options go into options = { ... }"));
    }
    if let Some(files) = written.max_file.as_ref().filter(|files| *files.get_ref() == 0) {
        return Err(Mistake::at(files.span(), "at least one file is kept").help("write 1 or more"));
    }
    if let Some(size) = &written.max_size
        && one::<Bytes>(size)?.0 == 0
    {
        return Err(Mistake::at(size.span(), "a log file cannot be empty").help("write \"10m\""));
    }
    let mut options = BTreeMap::new();
    if has_files {
        let size = written.max_size.as_ref().map_or(MAX_SIZE, |size| size.get_ref().as_str());
        options = limits(size, written.max_file.as_ref().map_or(MAX_FILE, |files| *files.get_ref()));
    }
    for (name, value) in &written.options {
        if options.insert(name.get_ref().clone(), value.clone()).is_some() {
            let what = format!("'{}' has a key of its own", name.get_ref());
            return Err(Mistake::at(name.span(), what).help("write it beside 'driver'"));
        }
    }
    let driver = match (driver, &written.driver) {
        ("engine", Some(driver)) if !options.is_empty() => {
            return Err(Mistake::at(
                driver.span(),
                "driver = \"engine\" leaves the log to the Engine, options too",
            )
            .help("remove 'options', or name the driver"));
        }
        ("engine", _) => LogDriver::Engine,
        ("", Some(driver)) => return Err(Mistake::at(driver.span(), "the driver's name is empty")),
        (name, _) => LogDriver::Named(name.to_owned()),
    };
    Ok(Log { driver, options })
}
