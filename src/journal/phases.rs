//! When the phases of a run were at work.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{History, PlannedItem};
use crate::model::Phase;

/// One phase of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Which.
    pub phase: Phase,
    /// When its first step was begun.
    pub began: Timestamp,
    /// When its last step was done.
    pub ended: Timestamp,
}

impl History {
    /// The phases that came to something, in their order.
    pub fn phases(&self) -> Vec<PhaseTime> {
        let plan = self.header().map(|header| header.plan.as_slice()).unwrap_or_default();
        let mut phases: Vec<PhaseTime> = vec![];
        for planned in plan {
            let PlannedItem::Step { step, .. } = &planned.item else { continue };
            let Some(begun) = self.step(step) else { continue };
            let (began, ended) = (begun.began, begun.done.unwrap_or(begun.began));
            match phases.iter_mut().find(|time| time.phase == planned.phase) {
                Some(time) => {
                    time.began = time.began.min(began);
                    time.ended = time.ended.max(ended);
                }
                None => phases.push(PhaseTime { phase: planned.phase, began, ended }),
            }
        }
        phases
    }
}
