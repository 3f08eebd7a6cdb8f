//! The decider, walked through every history that there can be: a small world of its own, in which each step and each undo
//! may succeed, fail or be cut off, and anybody may take the run up, give it up or be asked to stop.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::journal::{Entry, FORMAT, Header};
use crate::release::ReleaseNumber;

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

fn web() -> crate::release::ProcessName {
    "web".parse().unwrap()
}

fn plan() -> Vec<Step> {
    let text = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n";
    super::super::plan::plan(&crate::config::parse(text, "handover.toml").unwrap())
}

/// What takes a step back, as far as the decider looks at it.
fn inverse(step: &Step) -> Vec<Inverse> {
    let (old, new) = ("old".to_owned(), "new".to_owned());
    match step {
        Step::Create(_) => vec![Inverse::RemoveContainer { name: new, deployment: "d-1".parse().unwrap() }],
        Step::ProtectLive(_) | Step::ReleaseOld(_) => {
            vec![Inverse::SetRestartPolicy { id: old, policy: "unless-stopped".to_owned() }]
        }
        Step::StopLive(_) => vec![Inverse::Start { id: old }],
        Step::StartNew(_) => vec![Inverse::Stop { id: new }],
        Step::KeepNew(_) => vec![Inverse::SetRestartPolicy { id: new, policy: "no".to_owned() }],
        Step::ParkOld(_) => vec![Inverse::Rename { id: old, to: "a-web".to_owned() }],
        Step::Promote(_) => vec![Inverse::Rename { id: new, to: "a-web.r2".to_owned() }],
        _ => vec![],
    }
}

impl Walk {
    fn begin(trouble: usize) -> Self {
        let mut walk = Self { history: History::default(), effects: vec![], told: vec![], trouble };
        walk.note(Entry::Opened(Box::new(Header {
            format: FORMAT,
            version: "0.1.0".to_owned(),
            app: "a".parse().unwrap(),
            deployment: "d-1".parse().unwrap(),
            release: ReleaseNumber(2),
            group: None,
            plan: plan().iter().map(Step::name).collect(),
            retired: vec![],
            began: Timestamp::UNIX_EPOCH,
        })));
        walk
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
    fn successors(&self, plan: &[Step], ends: &mut Ends) -> Vec<Self> {
        let went_back = *self.history.direction() != Direction::Forward;
        let is_done = |step: &Step| self.history.is_done(&step.name());
        match next(&self.history, plan, Phase::Finish) {
            Move::Run(step) => {
                self.check(!went_back, "a step is made in a run that goes back");
                let unchanged = self.history.facts().iter().any(|f| matches!(f, Fact::Unchanged { .. }));
                let mut before = plan.iter().take_while(|other| **other != step);
                self.check(
                    before.all(|other| is_done(other) || unchanged && other.is_for_a_change()),
                    "a step is made before the ones that it follows",
                );
                self.check(!unchanged || !step.is_for_a_change(), "there is nothing to change");
                self.check(
                    !step.is_after_commit() || self.history.is_committed() || unchanged,
                    "a step that follows the commit is made before it",
                );
                self.made(&step)
            }
            Move::Commit => {
                let gates: Vec<Step> = plan.iter().filter(|s| matches!(s, Step::Gate(_))).cloned().collect();
                self.check(!gates.is_empty() && gates.iter().all(is_done), "committed before every gate");
                self.check(!went_back && !self.history.is_committed(), "committed twice, or on the way back");
                vec![self.and([Entry::Committed])]
            }
            Move::Undo { step, inverse: how, .. } => {
                self.check(went_back, "a step is taken back in a run that goes forward");
                self.check(self.effects.contains(&step), "a step is taken back that was not begun");
                let last = self.effects.iter().rev().find(|s| {
                    self.history.taken().iter().any(|t| t.step == **s && t.doing != Doing::UndoFailed)
                        && !self.policy_has_to_wait(s)
                });
                self.check(last == Some(&step), "steps are not taken back in reverse order");
                self.undone(step, &how)
            }
            Move::Regate => {
                self.check(went_back && self.effects.is_empty(), "gated again before all is taken back");
                [true, false].map(|healthy| self.and([Entry::Regated { healthy }])).to_vec()
            }
            Move::End(ended) => {
                match &ended {
                    Ended::Deployed => self.check(
                        self.history.is_committed() && plan.iter().all(is_done),
                        "deployed without every step",
                    ),
                    Ended::Reverted { .. } => {
                        self.check(self.effects.is_empty(), "reverted with something left");
                    }
                    Ended::Unchanged => self.check(
                        self.effects.iter().all(|s| !s.parse::<Step>().unwrap().is_for_a_change()),
                        "unchanged, but something was done",
                    ),
                }
                *ends.0.entry(word(&ended)).or_default() += 1;
                let over = self.and([Entry::Ended { ended: ended.clone() }]);
                self.check(
                    next(&over.history, plan, Phase::Prepare) == Move::Rest(ended),
                    "the end is no rest",
                );
                vec![]
            }
            Move::Stuck => {
                self.check(
                    self.history.stuck().is_some()
                        || self.history.taken().iter().any(|t| t.doing == Doing::UndoFailed),
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
        let failed =
            |name: &str| self.history.taken().iter().any(|t| t.step == name && t.doing == Doing::UndoFailed);
        matches!(step, "protect-live web" | "release-old web") && failed("stop-live web")
    }

    fn made(&self, step: &Step) -> Vec<Self> {
        let name = step.name();
        let mut begun = self.clone();
        if !begun.history.has_begun(&name) {
            begun.note(Entry::Began { step: name.clone(), inverse: inverse(step) });
            begun.effects.push(name.clone());
        }
        let failed = |verdict| Entry::Failed {
            step: name.clone(),
            cause: "it failed".to_owned(),
            evidence: vec![],
            findings: vec![],
            verdict,
        };
        // Only a gate gives a verdict, and it may also fail without one.
        let verdicts: &[bool] = match step {
            Step::Gate(_) | Step::Verify(_) => &[true, false],
            _ => &[false],
        };
        let failures: Vec<(bool, Entry)> = verdicts.iter().map(|v| (*v, failed(*v))).collect();
        let committed = self.history.is_committed();
        let mut all = vec![begun.and([Entry::Done { step: name.clone(), facts: vec![] }])];
        if *step == Step::Compare {
            let facts = vec![Fact::Unchanged { release: ReleaseNumber(1) }];
            all.push(begun.and([Entry::Done { step: name, facts }]));
        }
        // It fails; the process is killed and the run taken up; or given up, where that is still possible.
        for (verdict, failed) in failures {
            let turned = begun.troubled([failed]);
            if let Some(walk) = &turned {
                let forward = *walk.history.direction() == Direction::Forward;
                walk.check(forward == (committed && !verdict), "only a verdict turns a committed run back");
            }
            all.extend(turned);
        }
        all.extend(begun.troubled([resumed()]));
        if committed {
            let given_up = begun.clone().history.record(&given_up(), Timestamp::UNIX_EPOCH);
            self.check(given_up.is_err(), "given up after the commit");
        } else {
            all.extend(begun.troubled([resumed(), given_up()]));
            all.extend(self.troubled([given_up()]));
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
            h.taken().iter().map(|t| (&t.step, &t.doing)).collect::<Vec<_>>(),
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
    match ended {
        Ended::Deployed => "deployed",
        Ended::Unchanged => "unchanged",
        Ended::Reverted { .. } => "reverted",
    }
}

fn resumed() -> Entry {
    Entry::Resumed { pid: 1, by: "test".to_owned() }
}

fn given_up() -> Entry {
    Entry::Abandoned { cause: "given up".to_owned() }
}

#[test]
fn every_history_with_up_to_four_troubles_keeps_the_rules_and_comes_to_an_end() {
    let (plan, mut ends) = (plan(), Ends::default());
    let mut seen = BTreeSet::new();
    let mut open = vec![Walk::begin(4)];
    while let Some(walk) = open.pop() {
        if seen.insert(walk.key()) {
            open.extend(walk.successors(&plan, &mut ends));
            // Left alone from here on, it ends.
            let mut rest = walk;
            while let Some(undisturbed) = rest.successors(&plan, &mut Ends::default()).into_iter().next() {
                rest = undisturbed;
                rest.check(rest.told.len() < 200, "it does not come to an end");
            }
        }
    }
    assert!(seen.len() > 3_000, "only {} histories", seen.len());
    for end in ["deployed", "unchanged", "reverted", "stuck"] {
        assert!(ends.0.contains_key(end), "no history was {end}: {ends:?}");
    }
}

#[test]
fn a_hook_stops_where_its_phase_ends() {
    let plan = plan();
    for until in [Phase::Prepare, Phase::Tasks, Phase::Switch, Phase::Settle] {
        let mut walk = Walk::begin(0);
        loop {
            match next(&walk.history, &plan, until) {
                Move::Run(step) => {
                    assert!(step.phase() <= until, "{step} is made in {until:?}");
                    walk = walk.made(&step).swap_remove(0);
                }
                Move::Commit => walk.note(Entry::Committed),
                other => {
                    assert_eq!(other, Move::Wait);
                    break;
                }
            }
        }
        let done = plan.iter().filter(|step| walk.history.is_done(&step.name()));
        assert!(done.eq(plan.iter().filter(|step| step.phase() <= until)), "{until:?}");
        // Where the gate is passed and nothing may follow yet, the release is not committed by waiting.
        assert_eq!(walk.history.is_committed(), until >= Phase::Settle, "{until:?}");
    }
}

#[test]
fn a_boot_makes_what_it_may_have_undone_to_be_made_again() {
    let plan = plan();
    let mut walk = Walk::begin(0);
    while !walk.history.is_done("start-new web") {
        let Move::Run(step) = next(&walk.history, &plan, Phase::Finish) else { panic!("{:?}", walk.told) };
        walk = walk.made(&step).swap_remove(0);
    }
    walk.note(resumed());
    assert_eq!(next(&walk.history, &plan, Phase::Finish), Move::Run(Step::StopLive(web())));
}
