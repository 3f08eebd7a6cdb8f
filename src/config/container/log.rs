//! `log`: where a container's output goes, with limits so that it does not fill the disk.

use std::collections::BTreeMap;

use toml::Spanned;

use super::written::parse;
use crate::config::diagnostic::Mistake;
use crate::config::file::WrittenLog;
use crate::model::Bytes;
use crate::model::container::{Log, LogDriver};

pub(super) fn resolve_log(written: &WrittenLog) -> Result<Log, Mistake> {
    let is_limited = written.max_size.is_some() || written.max_file.is_some();
    if written.driver.is_none() && !is_limited && !written.options.is_empty() {
        // As `docker run --log-opt` without a driver: they are for whichever the Engine has.
        let options = written.options.iter().map(|(name, value)| (name.get_ref().clone(), value.clone()));
        return Ok(Log::of_default_driver(options.collect()));
    }
    let driver = written.driver.as_ref().map_or(Log::JSON_FILE, |driver| driver.get_ref().as_str());
    let has_files = Log::has_files(driver);
    let limited = written.max_size.as_ref().map(Spanned::span);
    let limited = limited.or_else(|| written.max_file.as_ref().map(Spanned::span));
    if let (Some(span), false) = (limited, has_files) {
        return Err(Mistake::at(
            span,
            format!("'max-size' and 'max-file' cannot be used with driver '{driver}'"),
        )
        .help("remove it; the driver's own options go into options = { ... }"));
    }
    if let Some(files) = written.max_file.as_ref().filter(|files| *files.get_ref() == 0) {
        return Err(Mistake::at(files.span(), "at least one log file has to be kept").help("write 1 or more"));
    }
    if let Some(size) = &written.max_size
        && parse::<Bytes>(size)?.0 == 0
    {
        return Err(Mistake::at(size.span(), "the size of a log file cannot be 0").help("write \"10m\""));
    }
    let mut options = BTreeMap::new();
    if has_files {
        let size = written.max_size.as_ref().map(|size| size.get_ref().as_str());
        options = Log::limits(size, written.max_file.as_ref().map(|files| *files.get_ref()));
    }
    for (name, value) in &written.options {
        if options.insert(name.get_ref().clone(), value.clone()).is_some() {
            let what = format!("'{}' has its own key, so it cannot be in 'options'", name.get_ref());
            return Err(Mistake::at(name.span(), what).help("write it next to 'driver'"));
        }
    }
    let driver = match (driver, &written.driver) {
        ("engine", _) => LogDriver::Engine,
        ("", Some(driver)) => return Err(Mistake::at(driver.span(), "the driver's name is empty")),
        (name, _) => LogDriver::Named(name.to_owned()),
    };
    Ok(Log { driver, options })
}
