//! From settings to a plan: what is to be done, in order. A plan is data, written into the journal; the order of a
//! handover is decided here and nowhere else.

mod stop_first;

use super::step::Step;
use crate::config::Settings;
use crate::journal::{Planned, PlannedItem};
use crate::model::Phase;

/// The plan for an app as it is configured.
pub fn plan(settings: &Settings) -> Vec<Planned> {
    stop_first::plan(settings)
}

/// A plan in the making.
#[derive(Default)]
struct Draft(Vec<Planned>);

impl Draft {
    fn step(&mut self, phase: Phase, step: impl Step) {
        let item = PlannedItem::Step { step: step.name(), nature: step.nature() };
        self.0.push(Planned { phase, item });
    }

    fn commit(&mut self, phase: Phase) {
        self.0.push(Planned { phase, item: PlannedItem::Commit });
    }
}
