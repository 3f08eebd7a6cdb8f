//! How long a process has been running, by `proc_pid_stat`(5) and `proc_uptime`(5): both count from the boot, and no step of the
//! clock changes that.

use std::path::Path;
use std::time::Duration;

/// The kernel's unit for programs, on x86-64 and arm64 alike.
const TICKS_PER_SECOND: u64 = 100;

/// See [`super::Machine::age`].
pub(super) fn age(proc: &Path, pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    // Behind the name, which may itself contain spaces and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    let started = Duration::from_millis(ticks.checked_mul(1000)? / TICKS_PER_SECOND);
    let uptime = std::fs::read_to_string(proc.join("uptime")).ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_counted_from_the_boot() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            crate::fs::write_atomically(&dir.path().join(name), text.as_bytes(), 0o600).unwrap();
        };
        assert_eq!(age(dir.path(), 7), None, "there is no such process");
        std::fs::create_dir(dir.path().join("7")).unwrap();
        let ticks = 90 * TICKS_PER_SECOND;
        let stat = format!("7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1 2 3\n");
        write("7/stat", &stat);
        assert_eq!(age(dir.path(), 7), None, "nobody says how late it is");
        write("uptime", "100.50 200.00\n");
        assert_eq!(age(dir.path(), 7), Some(Duration::from_millis(10_500)));
        // It is this very process.
        assert!(age(Path::new("/proc"), std::process::id()).unwrap() < Duration::from_hours(1));
    }
}
