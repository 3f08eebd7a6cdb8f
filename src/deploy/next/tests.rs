//! The decider, walked through every history that there can be: a small world of its own, in which each step and each undo
//! may succeed, fail or be cut off, and anybody may take the run up, give it up or be asked to stop.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::*;
use crate::deploy::serving::Live;
use crate::journal::{Entry, FORMAT, Fact, Header};
use crate::model::{AtBoot, Failure, FailureKind, Nature, ReleaseNumber};

/// A history, and what the world looks like by it: which steps may have had their effect.
#[derive(Clone)]
struct Walk {
    history: History,
    /// In the order in which they were begun.
    effects: Vec<String>,
    /// What happened so far, to be shown when a rule is broken.
    told: Vec<String>,
    /// How many things may still go wrong.
    trouble: usize,
}

#[derive(Debug, Default)]
struct Ends(BTreeMap<&'static str, usize>);

/// The plan of an app with these processes.
fn plan(processes: &[&str]) -> Vec<Planned> {
    let text = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n";
    let mut settings = crate::config::parse(text, "handover.toml").unwrap();
    let web = settings.processes.values().next().unwrap().clone();
    settings.processes = processes.iter().map(|name| (name.parse().unwrap(), web.clone())).collect();
    crate::deploy::plan::plan(&settings, &Live::new(), &crate::config::settings::Order::default())
}

/// What takes a step back, as far as the decider looks at it.
fn inverse(step: &str) -> Vec<Inverse> {
    let (verb, process) = step.split_once(' ').unwrap_or((step, ""));
    let (old, new) = (format!("old {process}"), format!("new {process}"));
    match verb {
        "create" => vec![Inverse::RemoveContainer { name: new, deployment: "d-1".parse().unwrap() }],
        "protect-live" | "release-old" => {
            vec![Inverse::SetRestartPolicy { id: old, policy: "unless-stopped".to_owned() }]
        }
        "stop-live" => vec![Inverse::Start { id: old, started_at: String::new() }],
        "start-new" => vec![Inverse::Stop { id: new }],
        "keep-new" => vec![Inverse::SetRestartPolicy { id: new, policy: "no".to_owned() }],
        "park-old" => vec![Inverse::Rename { id: old, to: "a-web".to_owned() }],
        "promote" => vec![Inverse::Rename { id: new, to: "a-web.r2".to_owned() }],
        _ => vec![],
    }
}

impl Walk {
    fn begin(plan: Vec<Planned>, trouble: usize) -> Self {
        let mut walk = Self { history: History::default(), effects: vec![], told: vec![], trouble };
        walk.note(Entry::Opened(Box::new(Header {
            format: FORMAT,
            version: "0.1.0".to_owned(),
            binary: None,
            app: "a".parse().unwrap(),
            deployment: "d-1".parse().unwrap(),
            release: ReleaseNumber(2),
            group: None,
            rollback: None,
            returned: None,
            plan,
            retired: vec![],
            began: Timestamp::UNIX_EPOCH,
        })));
        walk
    }

    fn plan(&self) -> &[Planned] {
        &self.history.header().unwrap().plan
    }

    /// The steps of the plan with their natures, and where the commit stands among them.
    fn steps(&self) -> (Vec<(String, Nature)>, usize) {
        let mut steps = vec![];
        let mut commit = 0;
        for planned in self.plan() {
            match &planned.item {
                PlannedItem::Step { step, nature } => steps.push((step.clone(), *nature)),
                PlannedItem::Commit => commit = steps.len(),
                PlannedItem::Unknown => {}
            }
        }
        (steps, commit)
    }

    fn note(&mut self, entry: Entry) {
        self.told.push(format!("{entry:?}"));
        if let Err(illegal) = self.history.record(&entry, Timestamp::UNIX_EPOCH) {
            panic!("{illegal}\n{}", self.told.join("\n"));
        }
    }

    fn and(&self, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut walk = self.clone();
        for entry in entries {
            walk.note(entry);
        }
        walk
    }

    fn troubled(&self, entries: impl IntoIterator<Item = Entry>) -> Option<Self> {
        (self.trouble > 0).then(|| Self { trouble: self.trouble - 1, ..self.and(entries) })
    }

    fn check(&self, rule: bool, what: &str) {
        assert!(rule, "{what}\n{}", self.told.join("\n"));
    }

    /// Everything that may come next.
    fn successors(&self, ends: &mut Ends) -> Vec<Self> {
        let went_back = *self.history.direction() != Direction::Forward;
        let (steps, commit) = self.steps();
        let unchanged = self.history.facts().unchanged.is_some();
        let is_done = |(step, nature): &(String, Nature)| {
            self.history.is_done(step) || (unchanged && nature.for_a_change)
        };
        match next(&self.history, Phase::Finish) {
            Move::Run(step) => {
                self.check(!went_back, "a step is made in a run that goes back");
                self.check(self.history.stuck().is_none(), "a step is made by a process that is stuck");
                let at = steps.iter().position(|(name, _)| *name == step).unwrap();
                self.check(steps[..at].iter().all(is_done), "a step is made before those that it needs");
                self.check(
                    !unchanged || !steps[at].1.for_a_change,
                    "something is done although there is nothing to change",
                );
                self.check(
                    at < commit || self.history.is_committed() || unchanged,
                    "a step that follows the commit is made before it",
                );
                self.made(&step)
            }
            Move::Commit => {
                let gates = || steps.iter().filter(|(_, nature)| nature.at_boot == AtBoot::UndoneUntilCommit);
                self.check(gates().count() > 0 && gates().all(is_done), "committed before every gate");
                self.check(!went_back && !self.history.is_committed(), "committed twice, or on the way back");
                vec![self.and([Entry::Committed])]
            }
            Move::Undo { step, inverse: how, .. } => {
                self.check(went_back, "a step is taken back in a run that goes forward");
                self.check(self.effects.contains(&step), "a step is taken back that was not begun");
                let last = self.effects.iter().rev().find(|s| {
                    let begun = self.history.step(s).unwrap();
                    begun.state != StepState::UndoFailed && !self.policy_has_to_wait(s)
                });
                self.check(last == Some(&step), "steps are not taken back in reverse order");
                self.undone(step, &how)
            }
            Move::Regate => {
                self.check(went_back && self.effects.is_empty(), "gated again before all is taken back");
                [true, false].map(|healthy| self.and([Entry::Regated { healthy, why: vec![] }])).to_vec()
            }
            Move::End(ended) => {
                match &ended {
                    Ended::Deployed => self.check(
                        self.history.is_committed() && steps.iter().all(is_done),
                        "deployed without every step",
                    ),
                    Ended::Reverted { .. } => {
                        self.check(self.effects.is_empty(), "reverted with something left");
                    }
                    Ended::Unchanged => self.check(
                        steps.iter().all(|(s, nature)| !nature.for_a_change || !self.effects.contains(s)),
                        "unchanged, but something was done",
                    ),
                    Ended::Unknown => self.check(false, "an end that nobody knows"),
                }
                *ends.0.entry(word(&ended)).or_default() += 1;
                let over = self.and([Entry::Ended { ended: ended.clone() }]);
                self.check(next(&over.history, Phase::Prepare) == Move::Rest(ended), "the end is no rest");
                vec![]
            }
            Move::Stuck => {
                self.check(
                    self.history.stuck().is_some()
                        || self.history.steps().iter().any(|s| s.state == StepState::UndoFailed),
                    "stuck without a reason",
                );
                *ends.0.entry("stuck").or_default() += 1;
                vec![self.and([resumed()])]
            }
            Move::Rest(_) | Move::Wait => {
                self.check(false, "a run that is not over rests");
                vec![]
            }
        }
    }

    /// A boot has to bring back what could not be started.
    fn policy_has_to_wait(&self, step: &str) -> bool {
        let Some((verb, process)) = step.split_once(' ') else { return false };
        let stop = format!("stop-live {process}");
        let failed = self.history.step(&stop).is_some_and(|stop| stop.state == StepState::UndoFailed);
        matches!(verb, "protect-live" | "release-old") && failed
    }

    fn made(&self, name: &str) -> Vec<Self> {
        let mut begun = self.clone();
        if !begun.history.has_begun(name) {
            begun.note(Entry::Began { step: name.to_owned(), inverse: inverse(name) });
            begun.effects.push(name.to_owned());
        }
        let failed = |kind| Entry::Failed {
            step: name.to_owned(),
            failure: Failure { kind, ..Failure::because("it failed") },
        };
        // Only a gate gives a verdict, and it may also fail without one.
        let kinds: &[FailureKind] = match name.split(' ').next() {
            Some("gate" | "verify") => &[FailureKind::Verdict, FailureKind::Refused],
            _ => &[FailureKind::Refused],
        };
        let committed = self.history.is_committed();
        let mut all = vec![begun.and([Entry::Done { step: name.to_owned(), facts: vec![] }])];
        if name == "compare" {
            let facts = vec![Fact::Unchanged { release: ReleaseNumber(1) }];
            all.push(begun.and([Entry::Done { step: name.to_owned(), facts }]));
        }
        // It fails; the process is killed and the run taken up; or given up, where that is still possible.
        for kind in kinds {
            let turned = begun.troubled([failed(*kind)]);
            if let Some(walk) = &turned {
                let forward = *walk.history.direction() == Direction::Forward;
                let verdict = *kind == FailureKind::Verdict;
                walk.check(forward == (committed && !verdict), "only a verdict turns a committed run back");
            }
            all.extend(turned);
        }
        // What it would change cannot even be seen.
        if !self.history.has_begun(name) {
            all.extend(self.troubled([failed(FailureKind::Refused)]));
        }
        all.extend(begun.troubled([resumed()]));
        if committed {
            let late = begun.clone().history.record(&given_up(false), Timestamp::UNIX_EPOCH);
            self.check(late.is_err(), "given up after the commit");
            all.extend(begun.troubled([resumed(), given_up(true)]));
        } else {
            all.extend(begun.troubled([resumed(), given_up(false)]));
            all.extend(self.troubled([given_up(false)]));
        }
        all
    }

    fn undone(&self, step: String, how: &[Inverse]) -> Vec<Self> {
        let mut done = self.and([Entry::Undone { step: step.clone() }]);
        done.effects.retain(|other| *other != step);
        let mut all = vec![done];
        all.extend(self.troubled([resumed()]));
        if !how.is_empty() {
            all.extend(self.troubled([Entry::UndoFailed { step, cause: "refused".to_owned() }]));
        }
        all
    }

    /// All that the decider sees.
    fn key(&self) -> String {
        let h = &self.history;
        format!(
            "{:?} {:?} {} {:?} {:?} {:?} {}",
            h.steps().iter().map(|s| (&s.name, s.state)).collect::<Vec<_>>(),
            h.direction(),
            h.is_committed(),
            h.stuck(),
            h.regated(),
            h.facts(),
            self.trouble,
        )
    }
}

fn word(ended: &Ended) -> &'static str {
    crate::report::Outcome::of(ended).word()
}

fn resumed() -> Entry {
    Entry::Resumed { pid: 1, by: "test".to_owned(), version: "0.1.0".to_owned() }
}

fn given_up(forced: bool) -> Entry {
    Entry::Abandoned { cause: "given up".to_owned(), forced }
}

/// Walks through every history with up to so many troubles, and says how many there were.
fn walk_through(processes: &[&str], trouble: usize) -> usize {
    let mut ends = Ends::default();
    let mut seen = BTreeSet::new();
    let mut open = vec![Walk::begin(plan(processes), trouble)];
    while let Some(walk) = open.pop() {
        if seen.insert(walk.key()) {
            open.extend(walk.successors(&mut ends));
            // Left alone from here on, it ends.
            let mut rest = walk;
            while let Some(undisturbed) = rest.successors(&mut Ends::default()).into_iter().next() {
                rest = undisturbed;
                rest.check(rest.told.len() < 400, "it does not come to an end");
            }
        }
    }
    for end in ["deployed", "unchanged", "reverted", "stuck"] {
        assert!(ends.0.contains_key(end), "no history was {end}: {ends:?}");
    }
    seen.len()
}

#[test]
fn every_history_with_up_to_four_troubles_keeps_the_rules_and_comes_to_an_end() {
    let histories = walk_through(&["web"], 4);
    assert!(histories > 3_000, "only {histories} histories");
}

#[test]
fn so_does_every_history_of_two_processes() {
    let histories = walk_through(&["web", "worker"], 2);
    assert!(histories > 1_000, "only {histories} histories");
}

#[test]
fn a_hook_stops_where_its_phase_ends() {
    for until in [Phase::Prepare, Phase::Tasks, Phase::Switch, Phase::Settle] {
        let mut walk = Walk::begin(plan(&["web"]), 0);
        loop {
            match next(&walk.history, until) {
                Move::Run(step) => walk = walk.made(&step).swap_remove(0),
                Move::Commit => walk.note(Entry::Committed),
                other => {
                    assert_eq!(other, Move::Wait);
                    break;
                }
            }
        }
        for planned in walk.plan().to_vec() {
            let due = planned.phase <= until;
            match planned.item {
                PlannedItem::Step { step, .. } => {
                    assert_eq!(walk.history.is_done(&step), due, "{step} {until:?}");
                }
                // Where the gate is passed and nothing may follow yet, the release is not committed by waiting.
                PlannedItem::Commit => assert_eq!(walk.history.is_committed(), due, "{until:?}"),
                PlannedItem::Unknown => unreachable!(),
            }
        }
    }
}

#[test]
fn a_boot_makes_what_it_may_have_undone_to_be_made_again() {
    let mut walk = Walk::begin(plan(&["web"]), 0);
    while !walk.history.is_done("start-new web") {
        let Move::Run(step) = next(&walk.history, Phase::Finish) else { panic!("{:?}", walk.told) };
        walk = walk.made(&step).swap_remove(0);
    }
    walk.note(resumed());
    assert_eq!(next(&walk.history, Phase::Finish), Move::Run("stop-live web".to_owned()));
}

#[test]
fn what_another_version_planned_is_not_passed_over() {
    let mut unknown = plan(&["web"]);
    unknown.insert(1, Planned { phase: Phase::Prepare, item: PlannedItem::Unknown });
    let mut walk = Walk::begin(unknown, 0);
    walk = walk.made("preflight").swap_remove(0);
    assert_eq!(next(&walk.history, Phase::Finish), Move::Stuck);
    assert!(walk.history.has_unknown());
}
