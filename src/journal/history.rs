//! What the lines of a journal amount to. [`History::record`] is the only transition table: a line that cannot follow
//! the lines before it is an error, on replay as on writing.

use jiff::Timestamp;

use super::{Ended, Entry, Fact, Facts, Header, Inverse, Planned, PlannedItem};
use crate::model::{AtBoot, Failure, Nature, Phase};

/// A line that cannot stand where it stands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{entry}' {why}")]
pub struct Illegal {
    entry: &'static str,
    why: &'static str,
}

/// Where one step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It was begun; whether its effect happened is not known.
    Begun,
    /// It happened.
    Done,
    /// It failed; it may have happened in part.
    Failed,
    /// It was taken back.
    Undone,
    /// It could not be taken back by the process at work.
    UndoFailed,
}

/// A step that was begun.
#[derive(Debug, Clone)]
pub struct BegunStep {
    /// Its name.
    pub name: String,
    /// What takes it back.
    pub inverse: Vec<Inverse>,
    /// Where it stands.
    pub state: StepState,
    /// Whether its call may still be under way in the Engine: it was cut off, or failed.
    pub in_doubt: bool,
    /// When it was begun last.
    pub began: Timestamp,
    /// When it was done last.
    pub done: Option<Timestamp>,
}

fn is_unknown(planned: &Planned) -> bool {
    let nature = match &planned.item {
        PlannedItem::Step { nature, .. } => *nature,
        PlannedItem::Commit => Nature::default(),
        PlannedItem::Unknown => return true,
    };
    planned.phase == Phase::Unknown || nature.at_boot == AtBoot::Unknown
}

/// Which way a run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Towards the new release.
    Forward,
    /// Back to the old one, for this reason.
    Backward(Failure),
}

/// The run that a journal tells of.
#[derive(Debug, Clone, Default)]
pub struct History {
    header: Option<Box<Header>>,
    steps: Vec<BegunStep>,
    facts: Facts,
    direction: Option<Direction>,
    committed: bool,
    stuck: Option<Failure>,
    regated: Option<bool>,
    sick: Vec<String>,
    waiting: Option<Timestamp>,
    ended: Option<Ended>,
    has_unknown: bool,
}

impl History {
    /// Takes one more line in, written at a time.
    pub fn record(&mut self, entry: &Entry, at: Timestamp) -> Result<(), Illegal> {
        let illegal = |entry, why| Err(Illegal { entry, why });
        match (entry, self.header.is_some(), self.ended.is_some()) {
            (Entry::Opened(header), false, _) => {
                self.has_unknown = header.plan.iter().any(is_unknown);
                self.header = Some(header.clone());
                self.direction = Some(Direction::Forward);
                return Ok(());
            }
            (Entry::Opened(_), true, _) => return illegal("opened", "stands in the middle of a run"),
            (_, false, _) => return illegal("an entry", "stands before the run was opened"),
            (_, _, true) => return illegal("an entry", "stands after the end of the run"),
            _ => {}
        }
        let forward = self.direction == Some(Direction::Forward);
        let was_waiting = self.waiting.take().is_some();
        match entry {
            Entry::Opened(_) => {}
            Entry::Resumed { .. } => self.resume(was_waiting),
            Entry::Began { step, inverse } => {
                if !forward {
                    return illegal("began", "stands in a run that goes back");
                }
                self.has_unknown |= inverse.contains(&Inverse::Unknown);
                return self.begin(step, inverse, at);
            }
            Entry::Done { step, facts } => {
                let Some(begun) = self.under_way(step).filter(|_| forward) else {
                    return illegal("done", "names a step that is not under way");
                };
                begun.state = StepState::Done;
                begun.in_doubt = false;
                begun.done = Some(at);
                self.has_unknown |= facts.contains(&Fact::Unknown);
                for fact in facts {
                    self.facts.learn(fact);
                }
            }
            Entry::Failed { step, failure } => {
                if !forward {
                    return illegal("failed", "stands in a run that goes back");
                }
                match (self.has_begun(step), self.under_way(step)) {
                    (true, None) => return illegal("failed", "names a step that is not under way"),
                    (_, Some(begun)) => begun.state = StepState::Failed,
                    // It could not even be observed, so there is nothing to undo.
                    (false, None) => {}
                }
                if !self.committed || failure.kind == crate::model::FailureKind::Verdict {
                    self.direction = Some(Direction::Backward(failure.clone()));
                } else {
                    self.stuck = Some(failure.clone());
                }
            }
            Entry::Abandoned { cause, forced } => {
                if (self.committed && !forced) || !forward {
                    return illegal("abandoned", "stands in a run that cannot be given up any more");
                }
                self.direction = Some(Direction::Backward(Failure::because(cause)));
            }
            Entry::Committed => {
                if self.committed || !forward {
                    return illegal("committed", "stands twice, or in a run that goes back");
                }
                self.committed = true;
            }
            Entry::Undone { step } => {
                if forward {
                    return illegal("undone", "stands in a run that goes forward");
                }
                let Some(begun) = self.step_in(step, |state| state != StepState::Undone) else {
                    return illegal("undone", "names a step that is not there to undo");
                };
                begun.state = StepState::Undone;
            }
            Entry::UndoFailed { step, .. } => {
                let open = |state| !matches!(state, StepState::Undone | StepState::UndoFailed);
                let Some(begun) = self.step_in(step, open).filter(|_| !forward) else {
                    return illegal("undo-failed", "names a step that is not there to undo");
                };
                begun.state = StepState::UndoFailed;
            }
            Entry::Regated { healthy, why } => {
                if forward {
                    return illegal("regated", "stands in a run that goes forward");
                }
                self.regated = Some(*healthy);
                self.sick.clone_from(why);
            }
            Entry::Waiting => self.waiting = Some(at),
            Entry::Ended { ended } => self.ended = Some(ended.clone()),
            Entry::Unknown => self.has_unknown = true,
        }
        Ok(())
    }

    fn begin(&mut self, step: &str, inverse: &[Inverse], at: Timestamp) -> Result<(), Illegal> {
        if !self.has_begun(step) {
            self.steps.push(BegunStep {
                name: step.to_owned(),
                inverse: inverse.to_vec(),
                state: StepState::Begun,
                in_doubt: true,
                began: at,
                done: None,
            });
            return Ok(());
        }
        let Some(begun) = self.under_way(step) else {
            return Err(Illegal { entry: "began", why: "names a step that is done or undone" });
        };
        // It is made again: its effect is in doubt from now on, and its first inverse is the right one.
        begun.state = StepState::Begun;
        begun.in_doubt = true;
        begun.began = at;
        Ok(())
    }

    /// Another process is at work: what its predecessor could not do, it may. And where that was cut off there may have
    /// been a boot in between, which starts and stops containers, so what was done about that is made sure of again.
    /// Between two hooks there is nothing of the kind: a run rests only where a boot changes nothing.
    fn resume(&mut self, was_waiting: bool) {
        self.stuck = None;
        self.regated = None;
        self.sick.clear();
        let (forward, committed) = (*self.direction() == Direction::Forward, self.committed);
        let header = self.header.clone();
        let a_boot_may_undo = |name: &str| {
            let nature = header.as_ref().map(|header| header.nature(name)).unwrap_or_default();
            match nature.at_boot {
                AtBoot::Stays => false,
                AtBoot::UndoneUntilCommit => !committed,
                AtBoot::Undone | AtBoot::Unknown => true,
            }
        };
        for begun in &mut self.steps {
            match begun.state {
                StepState::UndoFailed => begun.state = StepState::Begun,
                StepState::Done if forward && !was_waiting && a_boot_may_undo(&begun.name) => {
                    begun.state = StepState::Begun;
                }
                _ => {}
            }
        }
    }

    fn under_way(&mut self, step: &str) -> Option<&mut BegunStep> {
        self.step_in(step, |state| matches!(state, StepState::Begun | StepState::Failed))
    }

    fn step_in(&mut self, step: &str, state: impl Fn(StepState) -> bool) -> Option<&mut BegunStep> {
        self.steps.iter_mut().find(|begun| begun.name == step && state(begun.state))
    }

    /// What the run is about. There is always one, once a line was recorded.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_deref()
    }

    /// Which way it goes.
    pub fn direction(&self) -> &Direction {
        self.direction.as_ref().unwrap_or(&Direction::Forward)
    }

    /// Whether a step was begun, by this process or an earlier one.
    pub fn has_begun(&self, step: &str) -> bool {
        self.step(step).is_some()
    }

    /// Whether a step is done.
    pub fn is_done(&self, step: &str) -> bool {
        self.step(step).is_some_and(|begun| begun.state == StepState::Done)
    }

    /// A step that was begun.
    pub fn step(&self, name: &str) -> Option<&BegunStep> {
        self.steps.iter().find(|begun| begun.name == name)
    }

    /// The steps that were begun, in order.
    pub fn steps(&self) -> &[BegunStep] {
        &self.steps
    }

    /// Whether the new release has passed its gate.
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// Why the process at work could not go on after the commit.
    pub fn stuck(&self) -> Option<&Failure> {
        self.stuck.as_ref()
    }

    /// Whether the release that was put back is healthy, if that is known.
    pub fn regated(&self) -> Option<bool> {
        self.regated
    }

    /// Why the release that was put back is not healthy.
    pub fn sick(&self) -> &[String] {
        &self.sick
    }

    /// Since when the run rests between two hooks, if it does and was not cut off.
    pub fn waiting_since(&self) -> Option<Timestamp> {
        self.waiting
    }

    /// How it ended.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Everything that was found out.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether another version wrote something that this one does not know: then this one cannot go forward.
    pub fn has_unknown(&self) -> bool {
        self.has_unknown
    }
}

#[cfg(test)]
mod tests;
