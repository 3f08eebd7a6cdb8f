//! The units of systemd.

use std::path::Path;

use crate::fs::{FsError, read_if_there, write_atomically};
use crate::host::Paths;
use crate::host::systemd::Systemd;
use crate::text::chain;

const UNITS: [(&str, &str); 3] = [
    ("handover-recover.service", include_str!("handover-recover.service")),
    ("handover-tend.service", include_str!("handover-tend.service")),
    ("handover-tend.timer", include_str!("handover-tend.timer")),
];

/// The beginning of every unit of ours, in every version.
const OURS: &str = "# Written by handover install.";

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
    let Some(systemd) = Systemd::of(paths) else { return Ok(Units::NoSystemd) };
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
        systemd.call(&["daemon-reload"]).await?;
    }
    if to_enable {
        let ours = |unit: &&str| !foreign.contains(unit);
        for unit in ["handover-recover.service"].iter().filter(|u| ours(u)) {
            systemd.call(&["enable", unit]).await?;
        }
        for unit in ["handover-tend.timer"].iter().filter(|u| ours(u)) {
            systemd.call(&["enable", "--now", unit]).await?;
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

#[cfg(test)]
mod tests {
    use std::process::Command;

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
