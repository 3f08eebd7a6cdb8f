//! `appspec.yml`, as far as it concerns us: which events run this binary, and how long they may take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::event::{Duty, LifecycleEvent};
use crate::config::Settings;
use crate::config::settings::Process;
use crate::deploy::step::Phase;
use crate::fs::{self, FsError};

/// The agents' own default for a hook without a timeout (contract of both agents: `script_info.rb`, 3600 s).
const DEFAULT_TIMEOUT: Duration = Duration::from_hours(1);

/// The hooks of a bundle.
#[derive(Debug, Clone, Default)]
pub struct AppSpec {
    ours: BTreeMap<LifecycleEvent, Duration>,
}

/// Why there are no hooks to be had.
#[derive(Debug, thiserror::Error)]
pub enum AppSpecError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// There is none.
    #[error("there is no appspec.yml in '{}'", .0.display())]
    Missing(PathBuf),
    /// It is not what it should be.
    #[error("'{}' is wrong: {why}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It wires nothing that deploys.
    #[error(
        "'{}' runs '{location}' in none of BeforeInstall, AfterInstall, ApplicationStart and ValidateService: nothing would be deployed",
        path.display()
    )]
    Idle {
        /// The file.
        path: PathBuf,
        /// What it should run.
        location: String,
    },
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    hooks: BTreeMap<String, Vec<Script>>,
}

#[derive(Deserialize)]
struct Script {
    location: String,
    #[serde(default)]
    timeout: Option<Seconds>,
}

/// The agents take a number as well as its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl AppSpec {
    /// Reads the `appspec.yml` of a bundle; `location` is our path in it.
    pub fn read(bundle: &Path, location: &str) -> Result<Self, AppSpecError> {
        for name in ["appspec.yml", "appspec.yaml"] {
            let path = bundle.join(name);
            if let Some(text) = fs::read_if_there(&path)? {
                let spec = Self::parse(&text, location)
                    .map_err(|why| AppSpecError::Wrong { path: path.clone(), why })?;
                if spec.last().is_none() {
                    return Err(AppSpecError::Idle { path, location: location.to_owned() });
                }
                return Ok(spec);
            }
        }
        Err(AppSpecError::Missing(bundle.to_owned()))
    }

    fn parse(text: &str, location: &str) -> Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        let mut ours = BTreeMap::new();
        for (event, scripts) in file.hooks {
            let event: LifecycleEvent =
                event.parse().map_err(|e: super::event::UnknownEvent| e.to_string())?;
            for script in scripts.iter().filter(|s| is_ours(&s.location, location)) {
                let timeout = match &script.timeout {
                    None => DEFAULT_TIMEOUT,
                    Some(Seconds::Number(seconds)) => Duration::from_secs(*seconds),
                    Some(Seconds::Text(text)) => Duration::from_secs(text.parse().map_err(|_| {
                        format!("the timeout '{text}' of {event} is not a number of seconds")
                    })?),
                };
                if timeout.is_zero() {
                    return Err(format!("the timeout of {event} is 0"));
                }
                ours.insert(event, timeout);
            }
        }
        Ok(Self { ours })
    }

    /// Checks that the hooks have the time that this configuration needs, with the way back.
    pub fn check_room(&self, settings: &Settings) -> Result<(), String> {
        let room = |phase: Phase, needed: &dyn Fn(&Process) -> Duration| {
            let event =
                self.ours.keys().find(|event| self.until(**event).is_some_and(|until| until >= phase));
            let needed: Duration = settings.processes.values().map(needed).sum();
            match event.map(|event| (event, self.timeout(*event))) {
                Some((event, timeout)) if timeout < needed => Err(format!(
                    "the timeout of {event} in appspec.yml is {} s, and the gate and the way back may take {} s: raise it",
                    timeout.as_secs(),
                    needed.as_secs() + 1,
                )),
                _ => Ok(()),
            }
        };
        room(Phase::Switch, &Process::shortest_switch)?;
        room(Phase::Finish, &|process| process.health.shortest() + process.reserve())
    }

    /// Up to where the hook of `event` goes. The last event that is wired does all that is left, so a bundle that wires
    /// only `ApplicationStart` deploys completely.
    pub fn until(&self, event: LifecycleEvent) -> Option<Phase> {
        match event.duty() {
            Duty::UpTo(_) if self.last() == Some(event) => Some(Phase::Finish),
            Duty::UpTo(phase) => Some(phase),
            Duty::Never | Duty::Nothing => None,
        }
    }

    /// How long the hook of `event` may take.
    pub fn timeout(&self, event: LifecycleEvent) -> Duration {
        self.ours.get(&event).copied().unwrap_or(DEFAULT_TIMEOUT)
    }

    fn last(&self) -> Option<LifecycleEvent> {
        self.ours.keys().rev().find(|event| matches!(event.duty(), Duty::UpTo(_))).copied()
    }
}

/// Whether `appspec.yml` names us: by our path, or by that of a script which runs the binary of this architecture,
/// `bin/handover` for `bin/handover-aarch64`.
fn is_ours(location: &str, ours: &str) -> bool {
    let rest = ours.strip_prefix(location.trim_start_matches("./"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(hooks: &str) -> AppSpec {
        AppSpec::parse(&format!("version: 0.0\nos: linux\nhooks:\n{hooks}"), "bin/handover").unwrap()
    }

    #[test]
    fn the_last_wired_event_does_all_that_is_left() {
        let all = spec(
            "  BeforeInstall:\n    - location: bin/handover\n  ApplicationStart:\n    - location: bin/handover\n      timeout: 600\n  ValidateService:\n    - location: ./bin/handover\n      timeout: \"300\"\n",
        );
        assert_eq!(all.until(LifecycleEvent::BeforeInstall), Some(Phase::Prepare));
        assert_eq!(all.until(LifecycleEvent::ApplicationStart), Some(Phase::Settle));
        assert_eq!(all.until(LifecycleEvent::ValidateService), Some(Phase::Finish));
        assert_eq!(all.timeout(LifecycleEvent::ApplicationStart), Duration::from_mins(10));
        assert_eq!(all.timeout(LifecycleEvent::ValidateService), Duration::from_mins(5));

        let one = spec(
            "  ApplicationStart:\n    - location: bin/handover\n  AfterAllowTraffic:\n    - location: bin/handover\n",
        );
        assert_eq!(one.until(LifecycleEvent::ApplicationStart), Some(Phase::Finish));
        assert_eq!(one.until(LifecycleEvent::AfterAllowTraffic), None);
    }

    #[test]
    fn a_script_may_pick_the_binary_of_its_architecture() {
        assert!(is_ours("./bin/handover", "bin/handover") && is_ours("bin/handover", "bin/handover-aarch64"));
        assert!(!is_ours("bin/hand", "bin/handover") && !is_ours("scripts/smoke.sh", "bin/handover"));
    }

    #[test]
    fn the_hooks_of_others_are_not_ours() {
        let theirs = spec(
            "  ApplicationStart:\n    - location: bin/handover\n  ValidateService:\n    - location: scripts/smoke.sh\n",
        );
        assert_eq!(theirs.until(LifecycleEvent::ApplicationStart), Some(Phase::Finish));
    }

    #[test]
    fn what_codedeploy_would_refuse_is_refused() {
        let parse = |hooks| AppSpec::parse(hooks, "bin/handover");
        assert!(
            parse("hooks:\n  BeforeInstal:\n    - location: bin/handover\n")
                .unwrap_err()
                .contains("BeforeInstal")
        );
        assert!(parse("hooks:\n  BeforeInstall:\n    - location: bin/handover\n      timeout: 0\n").is_err());
        assert!(parse("hooks: [").is_err());
    }
}
