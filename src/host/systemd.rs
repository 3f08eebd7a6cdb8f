//! systemd, where it runs: asked and told by `systemctl`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::{Paths, child};

/// How long one call may take that has nothing to wait for.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the Engine may take to end and to come up again, with all its containers.
const RESTART: Duration = Duration::from_mins(5);
/// The Engine's unit: Debian's, Docker's and Amazon's packages call it so.
const ENGINE: &str = "docker.service";

/// The init system of this instance.
#[derive(Debug, Clone)]
pub struct Systemd {
    systemctl: PathBuf,
}

/// When a service was started, and when it said that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its first process.
    pub began: Timestamp,
    /// From now on it took requests.
    pub ready: Timestamp,
}

impl Life {
    /// Whether something happened while the service came up, when nobody could ask for it.
    pub fn came_up_at(&self, moment: Timestamp) -> bool {
        self.began <= moment && moment <= self.ready
    }
}

impl Systemd {
    /// systemd, if it is the init system here.
    pub fn of(paths: &Paths) -> Option<Self> {
        paths.systemd.is_dir().then(|| Self { systemctl: paths.systemctl.clone() })
    }

    /// Runs systemctl with these arguments.
    pub async fn call(&self, arguments: &[&str]) -> Result<(), String> {
        systemctl(&self.systemctl, arguments, LIMIT).await.map(drop)
    }

    /// Ends the Engine and starts it again; done when it is up.
    pub async fn restart_engine(&self) -> Result<(), String> {
        systemctl(&self.systemctl, &["restart", ENGINE], RESTART).await.map(drop)
    }

    /// Whether the Engine ended, and systemd is about to start it again: it waits with that for what it has started after the
    /// Engine, as it does for us.
    pub async fn will_start_engine(&self) -> Result<bool, String> {
        let said = systemctl(&self.systemctl, &["show", "--property=SubState", ENGINE], LIMIT).await?;
        Ok(said.trim_end() == "SubState=auto-restart")
    }

    /// The present life of the Engine; nothing when it is not up, or is no unit of this name.
    pub async fn life_of_engine(&self) -> Result<Option<Life>, String> {
        const PROPERTIES: &str =
            "--property=ActiveState,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic";
        let said = systemctl(&self.systemctl, &["show", PROPERTIES, ENGINE], LIMIT).await?;
        let now = (clock_gettime(ClockId::Monotonic), Timestamp::now());
        Ok(life(
            &said,
            SignedDuration::new(now.0.tv_sec, i32::try_from(now.0.tv_nsec).unwrap_or_default()),
            now.1,
        ))
    }
}

/// From what `systemctl show` prints: microseconds of the clock that nobody sets, and zero for never.
fn life(said: &str, since_boot: SignedDuration, now: Timestamp) -> Option<Life> {
    let property = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let moment = |name: &str| {
        let microseconds = property(name)?.parse().ok().filter(|n: &i64| *n > 0)?;
        now.checked_sub(since_boot.checked_sub(SignedDuration::from_micros(microseconds))?).ok()
    };
    property("ActiveState").filter(|state| *state == "active")?;
    let (began, ready) =
        (moment("ExecMainStartTimestampMonotonic")?, moment("ActiveEnterTimestampMonotonic")?);
    Some(Life { began, ready })
}

/// Runs systemctl, and returns what it printed.
async fn systemctl(program: &Path, arguments: &[&str], limit: Duration) -> Result<String, String> {
    let call = format!("systemctl {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(["--no-ask-password", "--quiet"]).args(arguments);
    child::run(command, &call, "", limit).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_while_the_engine_came_up_nobody_asked_for() {
        let now: Timestamp = "2026-11-26T20:10:00Z".parse().unwrap();
        let said = "ActiveState=active\nExecMainStartTimestampMonotonic=100000000\nActiveEnterTimestampMonotonic=103000000\n";
        let life = life(said, SignedDuration::from_secs(160), now).unwrap();
        for (moment, came_up) in [
            ("2026-11-26T20:08:59.9Z", false),
            ("2026-11-26T20:09:00Z", true),
            ("2026-11-26T20:09:02.9Z", true),
            ("2026-11-26T20:09:03.1Z", false),
        ] {
            assert_eq!(life.came_up_at(moment.parse().unwrap()), came_up, "{moment}");
        }
    }

    #[test]
    fn an_engine_that_is_not_up_has_no_life() {
        let now = Timestamp::now();
        for said in [
            "",
            "ActiveState=activating\nExecMainStartTimestampMonotonic=5\nActiveEnterTimestampMonotonic=3\n",
            "ActiveState=active\nExecMainStartTimestampMonotonic=0\nActiveEnterTimestampMonotonic=0\n",
        ] {
            assert_eq!(life(said, SignedDuration::from_secs(160), now), None, "{said}");
        }
    }
}
