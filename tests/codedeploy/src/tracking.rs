//! The tracking file of a running event, and what the next start of the agent makes of one that is left
//! (contract 1.11).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::agent::Version;
use crate::deployment::random;
use crate::layout::Layout;
use crate::report::{ErrorCode, EventReport};

/// `ongoing-deployment/<deployment-id>`, there while an event runs.
///
/// The real agent is one process, so at its start every file is a leftover. Here several simulators may share a
/// root; the file is locked by its owner, and the kernel drops the lock with the process.
pub(crate) struct Tracking {
    path: PathBuf,
    _lock: File,
}

impl Tracking {
    pub(crate) fn start(layout: &Layout, deployment_id: &str, event: &str) -> io::Result<Self> {
        let dir = layout.ongoing_dir();
        fs::create_dir_all(&dir)?;
        // Locked before it can be seen under its name.
        let draft = dir.join(format!(".{deployment_id}-{:x}", random()));
        let mut lock = File::create(&draft)?;
        lock.lock()?;
        // The content is the id of the host command: opaque to the agent, ours names the event.
        write!(lock, "{event}-{:016x}", random())?;
        let path = dir.join(deployment_id);
        fs::rename(&draft, &path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

/// The start of the agent: leftovers become failures with code 7. v1 reports the newest and removes all, v2 reports
/// every one (contract 0).
pub(crate) fn recover(version: Version, layout: &Layout) -> io::Result<Vec<EventReport>> {
    let mut left = Vec::new();
    let entries = match fs::read_dir(layout.ongoing_dir()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if let Some(report) = leftover(&entry.path()) {
            left.push((entry.metadata().and_then(|meta| meta.modified())?, entry.path(), report));
        }
    }
    left.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
    for (_, path, _) in &left {
        fs::remove_file(path)?;
    }
    let reported = if version == Version::V1 { 1 } else { left.len() };
    Ok(left.into_iter().take(reported).map(|(.., report)| report).collect())
}

/// The report for a tracking file whose owner is gone.
fn leftover(path: &Path) -> Option<EventReport> {
    let deployment_id = path.file_name()?.to_str()?;
    if deployment_id.starts_with('.') {
        return None;
    }
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    let command = fs::read_to_string(path).ok()?;
    let event = command.rsplit_once('-').map_or("", |(event, _)| event);
    let mut report = EventReport::new(event, deployment_id);
    report.fail(
        ErrorCode::FailedAfterRestart,
        "Failed: Failing in-progress lifecycle event after an agent restart.",
    );
    Some(report)
}
