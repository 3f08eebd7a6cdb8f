//! `appspec.yml`, as the agents and the service read it. Where agents 1.8 and 2.x differ, it has to suit both.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use serde_saphyr::Spanned;

use super::executable;
use crate::codedeploy::appspec::written::{LONGEST, Script, Written, bytes};
use crate::codedeploy::appspec::{is_ours, known_event, nothing_deploys, timeout_of, timeout_place};
use crate::codedeploy::{Duty, LifecycleEvent};
use crate::config::diagnostic::Mistake;

/// Where the binary is, unless the file names another place.
const USUAL_LOCATION: &str = "bin/handover";

/// Our path in the bundle, as the file has it.
pub(super) fn our_location(written: &Written) -> String {
    let paths = written.events().flat_map(|(_, scripts)| scripts.iter().map(command));
    let ours = |path: &&str| {
        Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("handover"))
    };
    paths.map(|path| path.trim_start_matches("./")).find(ours).unwrap_or(USUAL_LOCATION).to_owned()
}

/// Everything that is wrong with the file, and with what it names in the bundle.
pub(super) fn check(written: &Written, text: &str, bundle: &Path, ours: &str) -> Vec<Mistake> {
    let mut linter = Linter { text, bundle, ours, found: vec![], seen: BTreeSet::new() };
    linter.head(written);
    let mut deploys = false;
    for (name, scripts) in written.events() {
        let is_wired = scripts.iter().any(|script| is_ours(command(script), ours));
        match known_event(name, text) {
            Ok(event) => {
                linter.event(event, name, scripts);
                deploys |= is_wired && matches!(event.duty(), Duty::UpTo(_));
            }
            Err(mistake) => {
                linter.found.push(mistake);
                deploys |= is_wired;
            }
        }
    }
    if !deploys {
        linter.found.push(nothing_deploys(ours));
    }
    linter.found
}

/// The program of a location, as if it could have arguments.
fn command(script: &Script) -> &str {
    script.path().split_whitespace().next().unwrap_or_default()
}

struct Linter<'a> {
    text: &'a str,
    bundle: &'a Path,
    ours: &'a str,
    found: Vec<Mistake>,
    /// The files that were checked: each is reported once, however many events run it.
    seen: BTreeSet<String>,
}

impl Linter<'_> {
    fn error(&mut self, span: std::ops::Range<usize>, what: impl Into<String>, help: &str) {
        self.found.push(Mistake::at(span, what).help(help));
    }

    fn warning(&mut self, span: std::ops::Range<usize>, what: impl Into<String>, help: &str) {
        self.found.push(Mistake::warning(span, what).help(help));
    }

    fn place<T>(&self, part: &Spanned<T>) -> std::ops::Range<usize> {
        bytes(&part.referenced, self.text)
    }

    fn head(&mut self, written: &Written) {
        match &written.version {
            None => self.error(0..0, "there is no version", "write version: 0.0"),
            Some(version) if version.value.as_f64() != Some(0.0) => {
                self.error(self.place(version), "CodeDeploy knows only version 0.0", "write 0.0");
            }
            Some(_) => {}
        }
        match &written.os {
            None => self.error(0..0, "there is no os", "write os: linux"),
            Some(os) if os.value.as_str() != Some("linux") => {
                self.error(self.place(os), "handover runs on Linux only", "write linux");
            }
            Some(_) => {}
        }
        if let Some(files) = &written.files {
            self.warning(
                self.place(files),
                "handover needs no files section: it runs from the bundle, and CodeDeploy fails when a file is already there",
                "leave it out, unless other scripts need it",
            );
        }
    }

    fn event(&mut self, event: LifecycleEvent, name: &Spanned<String>, scripts: &[Script]) {
        if scripts.is_empty() {
            self.error(
                self.place(name),
                format!("{event} has no script: CodeDeploy's agent 1.8 fails on that"),
                "leave it out",
            );
        }
        for script in scripts {
            self.location(script, name);
            self.timeout(script, event);
            if is_ours(command(script), self.ours) {
                self.user(script);
            } else if event.duty() == Duty::Never {
                let place = script.location.as_ref().map_or(self.place(name), |part| self.place(part));
                let what =
                    format!("in {event} the OLD bundle's script runs: if it fails, no new bundle can fix it");
                self.warning(place, what, "let it exit 0 whatever happens, and stop nothing that serves");
            }
        }
        let times = scripts.iter().filter_map(Script::time);
        let together = times.fold(Duration::ZERO, Duration::saturating_add);
        if together > LONGEST && scripts.len() > 1 {
            let what = format!("the scripts of {event} may take {} s together", together.as_secs());
            self.error(
                self.place(name),
                what,
                "CodeDeploy allows 3600 s for an event; a script without a timeout counts as 3600 s",
            );
        }
        if event.duty() == Duty::Nothing && scripts.iter().any(|script| is_ours(command(script), self.ours)) {
            self.warning(self.place(name), format!("handover does nothing in {event}"), "leave it out");
        }
    }

    fn location(&mut self, script: &Script, event: &Spanned<String>) {
        let path = script.path().to_owned();
        let place = script.location.as_ref().map_or(self.place(event), |part| self.place(part));
        if path.is_empty() {
            self.error(place, "a script has no location", "write its path in the bundle");
        } else if self.seen.insert(path.clone()) {
            let found = executable::check(self.bundle, &path, self.ours, &place);
            self.found.extend(found);
        }
    }

    fn timeout(&mut self, script: &Script, event: LifecycleEvent) {
        let time = match timeout_of(script, event, self.text) {
            Ok(time) => time,
            Err(mistake) => return self.found.push(mistake),
        };
        let place = timeout_place(script, self.text);
        let is_text = script.timeout.as_ref().is_some_and(|timeout| timeout.value.is_string());
        if time > LONGEST {
            self.error(place, "this timeout is longer than CodeDeploy allows", "write 3600 at most");
        } else if is_text {
            self.error(
                place,
                "CodeDeploy's agent 2.x does not accept a quoted timeout",
                "write it without quotes",
            );
        }
    }

    /// The agent runs hooks as root, and the binary needs that.
    fn user(&mut self, script: &Script) {
        if let Some(user) = script.runas.as_ref().filter(|user| !user.value.is_null()) {
            let place = self.place(user);
            if user.value.as_str() == Some("root") {
                self.warning(
                    place,
                    "with runas, handover runs under su, which leaves it only 2 s to go back when CodeDeploy stops it",
                    "leave it out: hooks run as root",
                );
            } else {
                self.error(place, "handover has to run as root", "leave runas out: hooks run as root");
            }
        }
        if let Some(sudo) =
            script.sudo.as_ref().filter(|sudo| !matches!(sudo.value, Value::Null | Value::Bool(false)))
        {
            self.error(self.place(sudo), "sudo removes the variables that CodeDeploy sets", "leave it out");
        }
    }
}
