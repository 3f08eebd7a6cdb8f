//! `appspec.yml`: what both of `CodeDeploy`'s agents make of it ([`reading`]), which events run this binary (`location`), and
//! how long they may take.

mod access;
mod agent_1;
mod agent_2;
pub(crate) mod location;
mod malformed;
mod places;
mod psych;
pub mod reading;
mod scalar;
mod sentences;
mod tree;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::{Duty, EVENTS, LifecycleEvent};
use crate::config::diagnostic::Mistake;
use crate::config::{Diagnostic, Settings};
use crate::fs::{self, FsError};
use crate::model::Phase;
use crate::suggest::nearest;
use location::Ourselves;
use reading::{AGENTS, Event, Judgement, LONGEST, Reading, judge};

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

/// The longest file that is read, in bytes.
const LONGEST_FILE: usize = 1 << 20;

/// The names that the file may have.
pub(crate) const NAMES: [&str; 2] = ["appspec.yml", "appspec.yaml"];

/// What `file_exists_behavior` may be, with both agents.
const FILE_EXISTS: [&str; 3] = ["DISALLOW", "OVERWRITE", "RETAIN"];

/// The time that preflight may take where AWS or the registry answers slowly: a look-up waits 10 s for an answer and is tried
/// again.
const PREFLIGHT: Duration = Duration::from_mins(1);

/// The `appspec.yml` of a bundle, and what is in it.
pub(crate) fn find(bundle: &Path) -> Result<(PathBuf, Vec<u8>), AppSpecError> {
    for name in NAMES {
        let path = bundle.join(name);
        if let Some(bytes) = fs::bytes_if_there(&path)? {
            if bytes.len() > LONGEST_FILE {
                let mistake = Mistake::at(0..1, "the file has more than 1 MiB").help("is it an appspec.yml?");
                return Err(AppSpecError::Wrong(mistake.located("", &path.display().to_string())));
            }
            return Ok((path, bytes));
        }
    }
    Err(AppSpecError::Missing(bundle.to_owned()))
}

/// What each agent makes of a file, 1.8 first.
pub(crate) fn judgements(bytes: &[u8]) -> [Judgement; 2] {
    AGENTS.map(|agent| judge(agent, bytes))
}

/// What the agents make of a file that they accept. One that both refuse is read as far as it can be, for what else is wrong.
pub(crate) fn readings(judgements: &[Judgement; 2]) -> (Vec<&Reading>, bool) {
    let accepted: Vec<&Reading> = judgements
        .iter()
        .filter(|judgement| judgement.refused.is_empty())
        .filter_map(|judgement| judgement.reading.as_ref())
        .collect();
    let is_accepted = !accepted.is_empty();
    let of_refused = judgements.iter().find_map(|judgement| judgement.reading.as_ref());
    (if is_accepted { accepted } else { of_refused.into_iter().collect() }, is_accepted)
}

/// What the agents refuse, each with the agent that does. What both refuse is one mistake.
pub(crate) fn refused(judgements: &[Judgement; 2]) -> Vec<Mistake> {
    let [first, second] = judgements.each_ref().map(|judgement| &judgement.refused);
    let is_same = |a: &reading::Refusal, b: &reading::Refusal| {
        (&a.thing, &a.why, &a.span) == (&b.thing, &b.why, &b.span)
    };
    let mistake = |who: &str, refusal: &reading::Refusal| {
        Mistake::at(refusal.span.clone(), format!("{who} {}: {}", refusal.thing, refusal.why))
            .help(&refusal.fix)
    };
    let of_first = first.iter().map(|refusal| {
        let both = second.iter().any(|other| is_same(refusal, other));
        mistake(if both { BOTH_REFUSE } else { "CodeDeploy's agent 1.8 refuses" }, refusal)
    });
    let of_second = second.iter().filter(|refusal| !first.iter().any(|other| is_same(refusal, other)));
    let mut all: Vec<Mistake> =
        of_first.chain(of_second.map(|refusal| mistake("CodeDeploy's agent 2.x refuses", refusal))).collect();
    all.sort_by_key(|mistake| mistake.span.start);
    all.dedup();
    all
}

const BOTH_REFUSE: &str = "CodeDeploy's agents 1.8 and 2.x refuse";

impl AppSpec {
    /// Reads the `appspec.yml` of a bundle for a hook; `location` is the path of our executable in it.
    ///
    /// One agent has just run us. Which one is not known, so what either accepts is accepted.
    pub fn read(bundle: &Path, location: &str) -> Result<Self, AppSpecError> {
        let (path, bytes) = find(bundle)?;
        let (origin, text) = (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
        let wrong = |mistake: Mistake| AppSpecError::Wrong(mistake.located(&text, &origin));
        let judgements = judgements(&bytes);
        let (readings, is_accepted) = readings(&judgements);
        if let (false, Some(first)) = (is_accepted, refused(&judgements).into_iter().next()) {
            return Err(wrong(first));
        }
        let ourselves = Ourselves::executable(bundle, location);
        let spec =
            Self::of(&readings, &|location| ourselves.run_at(location), &text, &origin).map_err(wrong)?;
        if spec.last().is_some() { Ok(spec) } else { Err(wrong(nothing_deploys(location))) }
    }

    /// The hooks that are ours, in what the agents read. Where they read different timeouts, the shorter counts.
    pub(crate) fn of(
        readings: &[&Reading],
        is_ours: &dyn Fn(&str) -> bool,
        text: &str,
        origin: &str,
    ) -> Result<Self, Mistake> {
        let mut ours: BTreeMap<LifecycleEvent, OurHook> = BTreeMap::new();
        for written in readings.iter().flat_map(|reading| &reading.events) {
            let event = known_event(written)?;
            for script in written.scripts.iter().filter(|script| is_ours(&script.location)) {
                let span = script.timeout_span.clone().unwrap_or_else(|| script.location_span.clone());
                // CodeDeploy ends an event after an hour, whatever a script is allowed.
                let timeout = script.timeout.min(LONGEST);
                if ours.get(&event).is_none_or(|other| timeout < other.timeout) {
                    ours.insert(event, OurHook { timeout, span });
                }
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
        let room = |phase: Phase, needed: Duration| {
            let (event, ours) = self.runs(phase).filter(|(_, ours)| ours.timeout < needed)?;
            let what = format!(
                "the timeout of {event} is {} s, but the gate and going back to the old release may take {} s",
                ours.timeout.as_secs(),
                needed.as_secs().saturating_add(1),
            );
            Some(Mistake::at(ours.span.clone(), what).help("raise it"))
        };
        let switch = room(Phase::Switch, settings.shortest_switch());
        let finish = room(Phase::Finish, settings.shortest_end());
        let mut short: Vec<Mistake> = switch.into_iter().chain(finish).collect();
        // The switch needs more than the end does.
        short.dedup_by_key(|mistake| mistake.span.clone());
        short
    }

    /// A warning where the event that begins a deployment may end before preflight does.
    pub(crate) fn short_preflight(&self, settings: &Settings) -> Option<Mistake> {
        let (event, ours) = self.runs(Phase::Prepare)?;
        let switches = self.runs(Phase::Switch).is_some_and(|(other, _)| other == event);
        let switch = if switches { settings.shortest_switch() } else { Duration::ZERO };
        if ours.timeout < switch || ours.timeout >= switch.saturating_add(PREFLIGHT) {
            return None;
        }
        let left = ours.timeout.saturating_sub(switch).as_secs();
        let what = format!(
            "the timeout of {event} leaves {left} s for preflight, which may take {} s where AWS or the registry is slow, and \
             for the pull",
            PREFLIGHT.as_secs()
        );
        Some(Mistake::warning(ours.span.clone(), what).help("raise it"))
    }

    /// The event that runs a phase.
    fn runs(&self, phase: Phase) -> Option<(LifecycleEvent, &OurHook)> {
        let event =
            self.ours.iter().find(|(event, _)| self.until(**event).is_some_and(|until| until >= phase));
        event.map(|(event, ours)| (*event, ours))
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

/// The event that a key of `hooks` names. The agents find an unknown one only at Install, when `BeforeInstall` has run.
pub(crate) fn known_event(event: &Event) -> Result<LifecycleEvent, Mistake> {
    event.name.parse().map_err(|_| {
        // All nine would be longer than a line of CodeDeploy's log.
        let known = EVENTS.map(|(_, name)| name);
        let near = Some(nearest(&event.name, &known)).filter(|help| !help.starts_with("known here"));
        let what = format!("{BOTH_REFUSE} the event '{}' at Install: there is none of that name", event.name);
        Mistake::at(event.span.clone(), what)
            .help(near.unwrap_or_else(|| "write a lifecycle event, such as ApplicationStart".to_owned()))
    })
}

/// The mistake that nothing in the file deploys.
pub(crate) fn nothing_deploys(location: &str) -> Mistake {
    let what = format!("no event that deploys runs '{location}': nothing would be deployed");
    Mistake::at(0..0, what).help("run it in ApplicationStart, for example")
}

/// Why a word is none of `file_exists_behavior`'s, and what to write.
fn unknown_behavior(word: &str) -> (&'static str, String) {
    let capital = word.to_ascii_uppercase();
    if FILE_EXISTS.contains(&capital.as_str()) {
        ("it is written in capital letters", format!("write {capital}"))
    } else {
        ("it is none of three words", format!("write {}", FILE_EXISTS.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(hooks: &str) -> AppSpec {
        parse(&format!("version: 0.0\nos: linux\nhooks:\n{hooks}")).unwrap()
    }

    fn parse(text: &str) -> Result<AppSpec, Mistake> {
        let judgements = judgements(text.as_bytes());
        let (readings, is_accepted) = readings(&judgements);
        match refused(&judgements).into_iter().next() {
            Some(mistake) if !is_accepted => Err(mistake),
            _ => AppSpec::of(&readings, &|location| location.ends_with("bin/handover"), text, "appspec.yml"),
        }
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

    /// Agent 2.x refuses quotes around a number, so 1.8 has run us; `010` is 8 for 1.8, and 2.x refuses it, too.
    #[test]
    fn what_either_agent_accepts_is_accepted_as_that_one_reads_it() {
        let with = |timeout: &str| {
            spec(&format!("  ApplicationStart:\n    - location: bin/handover\n      timeout: {timeout}\n"))
                .timeout(LifecycleEvent::ApplicationStart)
        };
        assert_eq!(with("\"300\""), Duration::from_mins(5));
        assert_eq!(with("010"), Duration::from_secs(8));
        assert_eq!(with("0o20"), Duration::from_secs(16));
        let neither = "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: bin/handover\n      timeout: 0\n";
        assert!(parse(neither).is_err());
    }

    #[test]
    fn no_event_has_more_than_an_hour() {
        let long = "  ApplicationStart:\n    - location: bin/handover\n      timeout: 18446744073709551615\n";
        assert_eq!(spec(long).timeout(LifecycleEvent::ApplicationStart), LONGEST);
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
            parse("version: 0.0\nos: linux\nhooks:\n  BeforeInstal:\n    - location: bin/handover\n")
                .unwrap_err()
                .help
                .is_some_and(|help| help.contains("'BeforeInstall'"))
        );
        assert!(parse("version: 0.0\nos: linux\nhooks: [").is_err());
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
