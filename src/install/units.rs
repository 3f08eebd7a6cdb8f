//! The units of systemd.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::fs::{FsError, read_if_there, write_atomically};
use crate::host::Paths;
use crate::text::{chain, clean, duration};

const UNITS: [(&str, &str); 3] = [
    ("handover-recover.service", include_str!("handover-recover.service")),
    ("handover-prune.service", include_str!("handover-prune.service")),
    ("handover-prune.timer", include_str!("handover-prune.timer")),
];

/// The beginning of every unit of ours, in every version.
const OURS: &str = "# Written by handover install.";

/// How long one call of systemctl may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The result for the units.
#[derive(Debug, PartialEq, Eq)]
pub enum Units {
    /// systemd is not the init system here.
    NoSystemd,
    /// They are there.
    There {
        /// Those with our names that are not ours.
        foreign: Vec<&'static str>,
    },
}

/// Writes the units that differ, and enables them: once, or when an operator asks for it. What an operator has disabled
/// since stays disabled.
pub async fn install(paths: &Paths, again: bool) -> Result<Units, String> {
    if !paths.systemd.is_dir() {
        return Ok(Units::NoSystemd);
    }
    let mut foreign = Vec::new();
    let mut changed = false;
    for (name, text) in UNITS {
        match write(&paths.units.join(name), text).map_err(|e| chain(&e))? {
            Written::Now => changed = true,
            Written::Before => {}
            Written::Foreign => foreign.push(name),
        }
    }
    let enabled = paths.copies.join(".units-enabled");
    let to_enable = again || !enabled.exists();
    if changed || to_enable {
        systemctl(&["daemon-reload"]).await?;
    }
    if to_enable {
        let ours = |unit: &&str| !foreign.contains(unit);
        for unit in ["handover-recover.service"].iter().filter(|u| ours(u)) {
            systemctl(&["enable", unit]).await?;
        }
        for unit in ["handover-prune.timer"].iter().filter(|u| ours(u)) {
            systemctl(&["enable", "--now", unit]).await?;
        }
        write_atomically(&enabled, b"", 0o644).map_err(|e| chain(&e))?;
    }
    Ok(Units::There { foreign })
}

enum Written {
    Now,
    Before,
    Foreign,
}

fn write(path: &Path, text: &str) -> Result<Written, FsError> {
    // A masked unit is a link to /dev/null: it is not wanted.
    if path.is_symlink() {
        return Ok(Written::Foreign);
    }
    match read_if_there(path)? {
        Some(there) if there == text => Ok(Written::Before),
        Some(there) if !there.starts_with(OURS) => Ok(Written::Foreign),
        _ => {
            write_atomically(path, text.as_bytes(), 0o644)?;
            Ok(Written::Now)
        }
    }
}

/// Runs systemctl. It gets none of our streams: a hook is over when its streams are closed, not when it exits.
async fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let call = format!("systemctl {}", arguments.join(" "));
    let mut child = Command::new("systemctl")
        .args(["--no-ask-password", "--quiet"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("failed to run '{call}': {error}"))?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
            Ok(None) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(format!("'{call}' did not end within {}", duration(LIMIT)));
            }
            Err(error) => return Err(format!("failed to wait for '{call}': {error}")),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = io::Read::read_to_end(&mut stderr, &mut said);
    }
    Err(format!("'{call}' failed ({status}): {}", clean(&String::from_utf8_lossy(&said))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By systemd's own checker.
    #[test]
    fn systemd_finds_nothing_wrong_with_the_units() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = UNITS.iter().map(|(name, _)| dir.path().join(name)).collect();
        for (path, (_, text)) in files.iter().zip(UNITS) {
            assert!(text.starts_with(OURS), "{}", path.display());
            // It looks for what is executed, and that is not installed here.
            let text = text.replace("/usr/local/bin/handover", "/bin/true");
            write_atomically(path, text.as_bytes(), 0o644).unwrap();
        }
        let verified = Command::new("systemd-analyze").arg("verify").args(&files).output();
        let verified = verified.expect("systemd-analyze is there: it is in Debian's package systemd");
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("handover-")).collect();
        assert!(about_ours.is_empty(), "{said}");
    }
}
