//! Who this is, for whatever is written down.

use std::env;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The release, by `RELEASE`.
pub(crate) fn release() -> String {
    env::var("RELEASE").unwrap_or_default()
}

/// The container: its host name, which is the start of its id.
pub(crate) fn container() -> String {
    fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned()
}

/// This very run: a container that is started again is another one.
pub(crate) fn run() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}-{}", container(), since.as_nanos(), std::process::id())
}
