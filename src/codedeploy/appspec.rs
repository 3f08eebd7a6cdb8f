//! `appspec.yml`, as far as it concerns us: which events run this binary, and how long they may take.

pub(crate) mod written;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_saphyr::Spanned;

use super::event::{Duty, EVENTS, LifecycleEvent};
use crate::config::diagnostic::Mistake;
use crate::config::settings::Process;
use crate::config::{Diagnostic, Settings};
use crate::fs::{self, FsError};
use crate::model::Phase;
use crate::suggest::nearest;
use written::{LONGEST, Script, Written, bytes};

/// The hooks of a bundle.
#[derive(Debug, Clone, Default)]
pub struct AppSpec {
    ours: BTreeMap<LifecycleEvent, OurHook>,
    text: String,
    origin: String,
}

/// One of our hooks in an event.
#[derive(Debug, Clone)]
struct OurHook {
    timeout: Duration,
    /// Where that is written: the timeout, or the script that has none.
    span: Range<usize>,
}

/// Why the hooks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AppSpecError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// There is none.
    #[error("there is no appspec.yml in '{}'", .0.display())]
    Missing(PathBuf),
    /// It has a mistake.
    #[error("{0}")]
    Wrong(Diagnostic),
}

/// The `appspec.yml` of a bundle, and its text.
pub(crate) fn find(bundle: &Path) -> Result<(PathBuf, String), AppSpecError> {
    for name in ["appspec.yml", "appspec.yaml"] {
        let path = bundle.join(name);
        if let Some(text) = fs::read_if_there(&path)? {
            return Ok((path, text));
        }
    }
    Err(AppSpecError::Missing(bundle.to_owned()))
}

impl AppSpec {
    /// Reads the `appspec.yml` of a bundle; `location` is our path in it.
    pub fn read(bundle: &Path, location: &str) -> Result<Self, AppSpecError> {
        let (path, text) = find(bundle)?;
        let origin = path.display().to_string();
        Written::parse(&text)
            .and_then(|written| Self::of(&written, location, &text, &origin))
            .and_then(|spec| if spec.last().is_some() { Ok(spec) } else { Err(nothing_deploys(location)) })
            .map_err(|mistake| AppSpecError::Wrong(mistake.located(&text, &origin)))
    }

    /// The hooks of a file that are ours.
    pub(crate) fn of(written: &Written, location: &str, text: &str, origin: &str) -> Result<Self, Mistake> {
        let mut ours = BTreeMap::new();
        for (name, scripts) in written.events() {
            let event = known_event(name, text)?;
            for script in scripts.iter().filter(|script| is_ours(script.path(), location)) {
                let span = timeout_place(script, text);
                // CodeDeploy ends an event after an hour, whatever a script is allowed.
                let timeout = timeout_of(script, event, text)?.min(LONGEST);
                ours.insert(event, OurHook { timeout, span });
            }
        }
        Ok(Self { ours, text: text.to_owned(), origin: origin.to_owned() })
    }

    /// Checks that the hooks have the time that this configuration needs, including that for going back.
    pub fn check_timeouts(&self, settings: &Settings) -> Result<(), Diagnostic> {
        match self.too_short_timeouts(settings).into_iter().next() {
            Some(mistake) => Err(mistake.located(&self.text, &self.origin)),
            None => Ok(()),
        }
    }

    /// The timeouts that are too short for this configuration, including the time for going back.
    pub(crate) fn too_short_timeouts(&self, settings: &Settings) -> Vec<Mistake> {
        let room = |phase: Phase, needed: &dyn Fn(&Process) -> Duration| {
            let needed =
                settings.processes.values().map(needed).fold(Duration::ZERO, Duration::saturating_add);
            let event =
                self.ours.iter().find(|(event, _)| self.until(**event).is_some_and(|until| until >= phase));
            let (event, ours) = event.filter(|(_, ours)| ours.timeout < needed)?;
            let what = format!(
                "the timeout of {event} is {} s, but the gate and going back to the old release may take {} s",
                ours.timeout.as_secs(),
                needed.as_secs().saturating_add(1),
            );
            Some(Mistake::at(ours.span.clone(), what).help("raise it"))
        };
        let switch = room(Phase::Switch, &Process::shortest_switch);
        let finish =
            room(Phase::Finish, &|process| process.health.shortest().saturating_add(process.reserve()));
        let mut short: Vec<Mistake> = switch.into_iter().chain(finish).collect();
        // The switch needs more than the end does.
        short.dedup_by_key(|mistake| mistake.span.clone());
        short
    }

    /// The last phase that the hook of `event` runs. The last event that is wired does all that is left, so a bundle that wires
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
        self.ours.get(&event).map_or(LONGEST, |ours| ours.timeout)
    }

    /// The last event that deploys anything.
    pub(crate) fn last(&self) -> Option<LifecycleEvent> {
        self.ours.keys().rev().find(|event| matches!(event.duty(), Duty::UpTo(_))).copied()
    }
}

/// The event that a key of `hooks` names. The agents find an unknown one only when `BeforeInstall` has run.
pub(crate) fn known_event(name: &Spanned<String>, text: &str) -> Result<LifecycleEvent, Mistake> {
    name.value.parse().map_err(|_| {
        let known = EVENTS.map(|(_, name)| name);
        Mistake::at(
            bytes(&name.referenced, text),
            format!("'{}' is not a lifecycle event that appspec.yml can script", name.value),
        )
        .help(nearest(&name.value, &known))
    })
}

/// The mistake that nothing in the file deploys.
pub(crate) fn nothing_deploys(location: &str) -> Mistake {
    let what = format!("no event that deploys runs '{location}': nothing would be deployed");
    Mistake::at(0..0, what).help("run it in ApplicationStart, for example")
}

/// How long a script may take.
pub(crate) fn timeout_of(script: &Script, event: LifecycleEvent, text: &str) -> Result<Duration, Mistake> {
    script.time().filter(|time| !time.is_zero()).ok_or_else(|| {
        Mistake::at(timeout_place(script, text), format!("the timeout of {event} is not a number of seconds"))
            .help("write a whole number from 1 to 3600")
    })
}

/// Where a script's timeout is written, or the script when it has none.
pub(crate) fn timeout_place(script: &Script, text: &str) -> Range<usize> {
    let place = script.timeout.as_ref().or(script.location.as_ref());
    place.map_or(0..0, |part| bytes(&part.referenced, text))
}

/// Whether `appspec.yml` names us: by our path, or by that of a script which runs the binary of this architecture,
/// `bin/handover` for `bin/handover-aarch64`.
pub(crate) fn is_ours(location: &str, ours: &str) -> bool {
    let rest = ours.strip_prefix(location.trim_start_matches("./"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(hooks: &str) -> AppSpec {
        parse(&format!("version: 0.0\nos: linux\nhooks:\n{hooks}")).unwrap()
    }

    fn parse(text: &str) -> Result<AppSpec, Mistake> {
        AppSpec::of(&Written::parse(text)?, "bin/handover", text, "appspec.yml")
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
    fn no_event_has_more_than_an_hour() {
        let long = "  ApplicationStart:\n    - location: bin/handover\n      timeout: 18446744073709551615\n";
        assert_eq!(spec(long).timeout(LifecycleEvent::ApplicationStart), LONGEST);
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
        assert!(
            parse("hooks:\n  BeforeInstal:\n    - location: bin/handover\n")
                .unwrap_err()
                .help
                .is_some_and(|help| help.contains("'BeforeInstall'"))
        );
        assert!(parse("hooks:\n  BeforeInstall:\n    - location: bin/handover\n      timeout: 0\n").is_err());
        assert!(parse("hooks: [").is_err());
    }

    const LARGE: [&str; 8] = [
        "24h",
        "25h",
        "9999999999999h",
        "5124095576030431h",
        "2562047788015215h",
        "9223372036854775807s",
        "1ms",
        "0s",
    ];

    fn a_span() -> impl Strategy<Value = String> {
        let any = (any::<u64>(), prop_oneof![Just("h"), Just("m"), Just("s"), Just("ms")]);
        prop_oneof![
            proptest::sample::select(&LARGE[..]).prop_map(str::to_owned),
            any.prop_map(|(number, unit)| format!("{number}{unit}")),
            (0_u32..100_000).prop_map(|seconds| format!("{seconds}s")),
        ]
    }

    fn a_number() -> impl Strategy<Value = String> {
        prop_oneof![any::<i64>(), any::<u32>().prop_map(i64::from), 0_i64..20, Just(i64::from(u32::MAX))]
            .prop_map(|number| number.to_string())
    }

    proptest! {
        /// Whatever numbers a bundle has, they are refused or can be calculated with.
        #[test]
        fn no_number_and_no_span_in_a_bundle_panics(
            spans in proptest::collection::vec(proptest::option::of(a_span()), 5),
            numbers in proptest::collection::vec(proptest::option::of(a_number()), 4),
            timeouts in proptest::collection::vec(any::<u64>(), 2),
        ) {
            let keys = [
                "stop-timeout", "health.interval", "health.timeout", "health.min-healthy", "health.deadline",
                "health.successes", "health.port", "cpus", "ulimits.nofile",
            ];
            let written = spans.iter().map(|span| span.as_ref().map(|span| format!("'{span}'"))).chain(numbers);
            let lines = keys.iter().zip(written).filter_map(|(key, value)| Some(format!("{key} = {}\n", value?)));
            let text = format!(
                "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n{}health.tcp = true\npublish = ['80:80']\norder = 'stop-first'\n",
                lines.collect::<String>()
            );
            let appspec = format!(
                "  BeforeInstall:\n    - location: bin/handover\n      timeout: {}\n  ApplicationStart:\n    - location: bin/handover\n      timeout: {}\n",
                timeouts[0], timeouts[1]
            );
            if let Ok(settings) = crate::config::parse(&text, "handover.toml") {
                for process in settings.processes.values() {
                    prop_assert!(process.reserve() <= process.shortest_switch());
                    prop_assert!(process.shortest_switch() < Duration::from_hours(5 * 24), "{text}");
                }
                spec(&appspec).too_short_timeouts(&settings);
            }
        }
    }
}
