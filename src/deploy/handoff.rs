//! A run of another version: it is handed to the binary that began it, which knows all of its words. The journal's header
//! names a copy of it. Only if that is gone, this version does what it can: forward where it understands everything, else
//! back by the inverses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::step;
use crate::journal::{FORMAT, Header, History, PlannedItem};
use crate::signal::Termination;

/// Set for a binary that a run was handed to: it does not hand it on.
pub const HANDED: &str = "HANDOVER_HANDED_OVER";

/// Whether this version knows every word of a journal, so that it can go forward with it.
pub(super) fn is_understood(history: &History) -> bool {
    let knows = |header: &Header| {
        header.format == FORMAT
            && header.plan.iter().all(|planned| match &planned.item {
                PlannedItem::Step { step, .. } => step::named(step).is_some(),
                PlannedItem::Commit => true,
                PlannedItem::Unknown => false,
            })
    };
    !history.has_unknown() && history.header().is_some_and(knows)
}

/// The binary that an unfinished run has to be handed to; nothing when this one is as good, or the other one is gone.
pub(super) fn other_binary(history: &History) -> Option<PathBuf> {
    let header = history.header()?;
    let same = header.version == env!("CARGO_PKG_VERSION") && is_understood(history);
    if history.ended().is_some() || same || std::env::var_os(HANDED).is_some() {
        return None;
    }
    header.binary.clone().filter(|binary| binary.is_file())
}

/// Lets another binary bring the run of an app to its end. What it says goes where we say ours; a request to stop is
/// passed on. Returns its exit code.
///
/// # Errors
/// When it cannot be run.
pub(super) async fn hand_over(
    binary: &Path,
    app: &crate::model::AppName,
    abandon: bool,
    termination: &Termination,
) -> std::io::Result<Option<i32>> {
    let mut command = Command::new(binary);
    command.args(["recover", "--app", app.as_str()]);
    if abandon {
        command.arg("--abandon");
    }
    // Its standard output would be taken for data of ours.
    let mut child = command
        .env(HANDED, "1")
        .env_remove(crate::codedeploy::invocation::EVENT_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if termination.is_requested() && !std::mem::replace(&mut asked, true) {
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
