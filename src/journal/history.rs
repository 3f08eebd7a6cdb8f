//! What the lines of a journal amount to. [`History::record`] is the only transition table: a line that cannot follow
//! the lines before it is an error, on replay as on writing.

use jiff::Timestamp;

use super::{Ended, Entry, Fact, Finding, Header, Inverse};
use crate::deploy::step::Step;
use crate::release::ImageRef;

/// A line that cannot stand where it stands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{entry}' {why}")]
pub struct Illegal {
    entry: &'static str,
    why: &'static str,
}

/// Where one step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
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
pub struct Taken {
    /// Its name.
    pub step: String,
    /// What takes it back.
    pub inverse: Vec<Inverse>,
    /// Where it stands.
    pub doing: Doing,
    /// When it was begun, unless its effect is certain: one that was cut off may still be under way in the Engine.
    pub in_doubt_since: Option<Timestamp>,
}

/// Which way a run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Towards the new release.
    Forward,
    /// Back to the old one.
    Backward {
        /// Why it turned.
        cause: String,
        /// What was seen.
        evidence: Vec<String>,
        /// What has to be mended.
        findings: Vec<Finding>,
    },
}

/// The run that a journal tells of.
#[derive(Debug, Clone, Default)]
pub struct History {
    header: Option<Box<Header>>,
    taken: Vec<Taken>,
    facts: Vec<Fact>,
    direction: Option<Direction>,
    committed: bool,
    stuck: Option<String>,
    regated: Option<bool>,
    waiting: bool,
    ended: Option<Ended>,
}

impl History {
    /// Takes one more line in, written at a time.
    pub fn record(&mut self, entry: &Entry, at: Timestamp) -> Result<(), Illegal> {
        let illegal = |entry, why| Err(Illegal { entry, why });
        match (entry, self.header.is_some(), self.ended.is_some()) {
            (Entry::Opened(header), false, _) => {
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
        let was_waiting = std::mem::take(&mut self.waiting);
        match entry {
            Entry::Opened(_) => {}
            Entry::Resumed { .. } => self.resume(was_waiting),
            Entry::Began { step, inverse } => {
                if !forward {
                    return illegal("began", "stands in a run that goes back");
                }
                if self.has_begun(step) {
                    let Some(taken) = self.taken_mut(step, &[Doing::Begun, Doing::Failed]) else {
                        return illegal("began", "names a step that is done or undone");
                    };
                    // It is made again: its effect is in doubt from now on, and its first inverse is the right one.
                    taken.doing = Doing::Begun;
                    taken.in_doubt_since = Some(at);
                    return Ok(());
                }
                self.taken.push(Taken {
                    step: step.clone(),
                    inverse: inverse.clone(),
                    doing: Doing::Begun,
                    in_doubt_since: Some(at),
                });
            }
            Entry::Done { step, facts } => {
                let Some(taken) = self.taken_mut(step, &[Doing::Begun, Doing::Failed]).filter(|_| forward)
                else {
                    return illegal("done", "names a step that is not under way");
                };
                taken.doing = Doing::Done;
                taken.in_doubt_since = None;
                self.facts.extend(facts.iter().cloned());
            }
            Entry::Failed { step, cause, evidence, findings, verdict } => {
                let Some(taken) = self.taken_mut(step, &[Doing::Begun, Doing::Failed]).filter(|_| forward)
                else {
                    return illegal("failed", "names a step that is not under way");
                };
                taken.doing = Doing::Failed;
                if !self.committed || *verdict {
                    self.turn_back(cause, evidence, findings);
                } else {
                    self.stuck = Some(cause.clone());
                }
            }
            Entry::Abandoned { cause } => {
                if self.committed || !forward {
                    return illegal("abandoned", "stands in a run that cannot be given up any more");
                }
                self.turn_back(cause, &[], &[]);
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
                let open = [Doing::Begun, Doing::Done, Doing::Failed, Doing::UndoFailed];
                let Some(taken) = self.taken_mut(step, &open) else {
                    return illegal("undone", "names a step that is not there to undo");
                };
                taken.doing = Doing::Undone;
            }
            Entry::UndoFailed { step, .. } => {
                let open = [Doing::Begun, Doing::Done, Doing::Failed];
                let Some(taken) = self.taken_mut(step, &open).filter(|_| !forward) else {
                    return illegal("undo-failed", "names a step that is not there to undo");
                };
                taken.doing = Doing::UndoFailed;
            }
            Entry::Regated { healthy } => {
                if forward {
                    return illegal("regated", "stands in a run that goes forward");
                }
                self.regated = Some(*healthy);
            }
            Entry::Waiting => self.waiting = true,
            Entry::Ended { ended } => self.ended = Some(ended.clone()),
        }
        Ok(())
    }

    /// Another process is at work: what its predecessor could not do, it may. And where that was cut off there may have
    /// been a boot in between, which starts and stops containers, so what was done about that is made sure of again.
    /// Between two hooks there is nothing of the kind: a run rests only where a boot changes nothing.
    fn resume(&mut self, was_waiting: bool) {
        self.stuck = None;
        self.regated = None;
        let (forward, committed) = (*self.direction() == Direction::Forward, self.committed);
        for taken in &mut self.taken {
            let a_boot_may_undo_it =
                || taken.step.parse::<Step>().is_ok_and(|step| step.a_boot_may_undo_it(committed));
            match taken.doing {
                Doing::UndoFailed => taken.doing = Doing::Begun,
                Doing::Done if forward && !was_waiting && a_boot_may_undo_it() => taken.doing = Doing::Begun,
                _ => {}
            }
        }
    }

    fn turn_back(&mut self, cause: &str, evidence: &[String], findings: &[Finding]) {
        self.direction = Some(Direction::Backward {
            cause: cause.to_owned(),
            evidence: evidence.to_vec(),
            findings: findings.to_vec(),
        });
    }

    fn taken_mut(&mut self, step: &str, states: &[Doing]) -> Option<&mut Taken> {
        self.taken.iter_mut().find(|t| t.step == step && states.contains(&t.doing))
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
        self.taken.iter().any(|t| t.step == step)
    }

    /// Whether a step is done.
    pub fn is_done(&self, step: &str) -> bool {
        self.taken.iter().any(|t| t.step == step && t.doing == Doing::Done)
    }

    /// The steps that were begun, in order.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// Whether the new release has passed its gate.
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// Why the process at work could not go on after the commit.
    pub fn stuck(&self) -> Option<&str> {
        self.stuck.as_deref()
    }

    /// Whether the release that was put back is healthy, if that is known.
    pub fn regated(&self) -> Option<bool> {
        self.regated
    }

    /// Whether the run rests between two hooks, and was not cut off.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// How it ended.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Everything that was found out.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The image that is being deployed, once it is known.
    pub fn image(&self) -> Option<&ImageRef> {
        self.facts.iter().find_map(|f| match f {
            Fact::Image(image) => Some(image),
            _ => None,
        })
    }
}
