//! `appspec.yml`: what the two agents refuse, what they read differently, and what is not what handover needs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::executable;
use super::readings::differences;
use crate::codedeploy::appspec::location::{programs, runs_handover};
use crate::codedeploy::appspec::reading::{Event, Judgement, LONGEST, Reading, Script, events_twice};
use crate::codedeploy::appspec::{known_event, nothing_deploys, readings, refused};
use crate::codedeploy::{Duty, LifecycleEvent};
use crate::config::diagnostic::Mistake;

/// Where the binary is, unless the file names another place.
const USUAL_LOCATION: &str = "bin/handover";

/// Everything that is wrong with the file, and with what it names in the bundle.
pub(super) fn check(text: &str, judgements: &[Judgement; 2], bundle: &Path) -> Vec<Mistake> {
    let found = refused(judgements);
    let (readings, _) = readings(judgements);
    let Some(reading) = readings.first() else { return found };
    let mut linter = Linter { bundle, found, seen: BTreeSet::new(), binary: None };
    linter.files(text, reading);
    linter.events(reading);
    let mut found = linter.found;
    if let [first, second] = readings[..] {
        found.extend(differences(first, second));
    }
    for (name, span) in events_twice(text) {
        let what = format!("the event {name} stands here for the second time: both agents forget the first");
        found.push(Mistake::warning(span, what).help("write its scripts in one list"));
    }
    found.sort_by_key(|mistake| mistake.span.start);
    found
}

struct Linter<'a> {
    bundle: &'a Path,
    found: Vec<Mistake>,
    /// The files that were checked: each is reported once, however many events run it.
    seen: BTreeSet<String>,
    /// The location that first ran handover.
    binary: Option<String>,
}

impl Linter<'_> {
    fn error(&mut self, span: Range<usize>, what: impl Into<String>, help: &str) {
        self.found.push(Mistake::at(span, what).help(help));
    }

    fn warning(&mut self, span: Range<usize>, what: impl Into<String>, help: &str) {
        self.found.push(Mistake::warning(span, what).help(help));
    }

    fn files(&mut self, text: &str, reading: &Reading) {
        if !reading.files.is_empty() {
            let is_key = |start: &usize| *start == 0 || text.as_bytes()[start - 1] == b'\n';
            let start = text.match_indices("files:").map(|(start, _)| start).find(is_key);
            let span = start.map_or(0..0, |start| start..start + "files:".len());
            self.warning(
                span,
                "handover needs no files section: it runs from the bundle, and CodeDeploy fails when a file is already there",
                "leave it out, unless other scripts need it",
            );
        }
    }

    fn events(&mut self, reading: &Reading) {
        let mut deploys = false;
        for written in &reading.events {
            let is_wired = written.scripts.iter().any(|script| runs_handover(self.bundle, &script.location));
            match known_event(written) {
                Ok(event) => {
                    self.event(event, written, is_wired);
                    deploys |= is_wired && matches!(event.duty(), Duty::UpTo(_));
                }
                Err(mistake) => {
                    self.found.push(mistake);
                    deploys |= is_wired;
                }
            }
        }
        if !deploys {
            let location = self.binary.as_deref().unwrap_or(USUAL_LOCATION);
            self.found.push(nothing_deploys(location));
        }
    }

    fn event(&mut self, event: LifecycleEvent, written: &Event, is_wired: bool) {
        for script in &written.scripts {
            self.location(script);
            if script.timeout > LONGEST {
                let place = script.timeout_span.clone().unwrap_or_else(|| script.location_span.clone());
                self.warning(place, "CodeDeploy ends an event after 3600 s", "write 3600 at most");
            }
            if runs_handover(self.bundle, &script.location) {
                self.user(script);
                self.same_binary(script);
            } else if event.duty() == Duty::Never {
                let what =
                    format!("in {event} the OLD bundle's script runs: if it fails, no new bundle can fix it");
                let help = "let it exit 0 whatever happens, and stop nothing that serves";
                self.warning(script.location_span.clone(), what, help);
            }
        }
        let times = written.scripts.iter().map(|script| script.timeout.min(LONGEST));
        let together = times.fold(Duration::ZERO, Duration::saturating_add);
        if together > LONGEST && written.scripts.len() > 1 {
            let what = format!("the scripts of {event} may take {} s together", together.as_secs());
            let help = "CodeDeploy ends an event after 3600 s; a script without a timeout counts as 3600 s";
            self.warning(written.span.clone(), what, help);
        }
        if event.duty() == Duty::Nothing && is_wired {
            self.warning(written.span.clone(), format!("handover does nothing in {event}"), "leave it out");
        }
    }

    fn location(&mut self, script: &Script) {
        // One without a location was refused.
        if !script.location.is_empty() && self.seen.insert(script.location.clone()) {
            self.found.extend(executable::check(self.bundle, &script.location, &script.location_span));
        }
    }

    /// A hook knows the other events by its own file: another copy of it would be another script.
    fn same_binary(&mut self, script: &Script) {
        let Some(first) = self.binary.clone() else {
            self.binary = Some(script.location.clone());
            return;
        };
        let (known, these) = (programs(self.bundle, &first), programs(self.bundle, &script.location));
        if !known.is_empty() && !these.is_empty() && !these.iter().any(|program| known.contains(program)) {
            let what = format!("'{}' is another file than '{first}'", script.location);
            self.error(script.location_span.clone(), what, "name the same one in all events");
        }
    }

    /// The agent runs hooks as root, and the binary needs that.
    fn user(&mut self, script: &Script) {
        match script.runas.as_deref() {
            None => {}
            Some("root") => self.warning(
                script.runas_span.clone(),
                "with runas, handover runs under su, which leaves it only 2 s to go back when CodeDeploy stops it",
                "leave it out: hooks run as root",
            ),
            Some(_) => self.error(
                script.runas_span.clone(),
                "handover has to run as root",
                "leave runas out: hooks run as root",
            ),
        }
        if script.sudo {
            self.error(
                script.sudo_span.clone(),
                "sudo removes the variables that CodeDeploy sets",
                "leave it out",
            );
        }
    }
}
