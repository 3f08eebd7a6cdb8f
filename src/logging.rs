//! The whole story, in `/var/log/handover/handover.log`: 0600, and rotated by ourselves, because nobody sets up logrotate
//! for a hook.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::fs::{Context as _, FsError};

/// When the log is this long, in bytes, it is moved aside, to one `.1`.
const ROTATE_AT: u64 = 8 << 20;

/// Writes what is traced to the log in a folder. A log that cannot be written stops nothing.
pub fn start(dir: &Path) {
    if let Ok(file) = open(dir) {
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Mutex::new(file))
            .with_ansi(false)
            .with_max_level(LevelFilter::DEBUG)
            .with_span_events(FmtSpan::NONE)
            .finish();
        // Other crates tell too much, and not for these readers; the SDKs also log whole answers.
        let ours = tracing_subscriber::filter::filter_fn(|event| event.target().starts_with("handover"));
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::layer::SubscriberExt::with(
            subscriber, ours,
        ));
    }
}

fn open(dir: &Path) -> Result<File, FsError> {
    crate::fs::private_dir(dir)?;
    let path = dir.join("handover.log");
    rotate(&path, ROTATE_AT)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(&path).on("open", &path)
}

/// Moves a file that has grown to `longest` bytes aside, over the one that was moved before.
pub fn rotate(path: &Path, longest: u64) -> Result<(), FsError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() >= longest => {
            std::fs::rename(path, path.with_added_extension("1")).on("rotate", path)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_grown_is_moved_aside_over_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.log");
        rotate(&path, 4).unwrap();
        for text in ["old!", "new!"] {
            crate::fs::write_atomically(&path, text.as_bytes(), 0o600).unwrap();
            rotate(&path, 5).unwrap();
            assert!(path.exists(), "it is not long enough");
            rotate(&path, 4).unwrap();
            assert!(!path.exists());
        }
        assert_eq!(std::fs::read(dir.path().join("handover.log.1")).unwrap(), b"new!");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
