//! From settings to a plan: what is to be done, in order. A plan is data, written into the journal; the order of a
//! handover is decided here and nowhere else.

mod stall;
mod start_first;
mod stop_first;

use std::collections::BTreeSet;

use super::serving::Live;
use super::step::Step;
use crate::config::Settings;
use crate::config::settings::Order;
use crate::journal::{Planned, PlannedItem};
use crate::model::{Phase, ProcessName};
use crate::state::Releases;

/// The plan for an app as it is configured, and for what is live now, also of processes that it does not name any more. `former`
/// is what came after what in the release that is live: the way back goes by that.
pub fn plan(settings: &Settings, live: &Live, former: &Order) -> Vec<Planned> {
    stop_first::plan(settings, live, former)
}

/// What comes after what in the release that is live, as far as its configuration is there.
pub fn former(releases: &Releases) -> Order {
    let live = releases.last_good().and_then(|record| releases.config(record.release).ok().flatten());
    live.map(|config| config.settings.after).unwrap_or_default()
}

/// The processes of which a candidate is started beside live: those that go start-first, and what they need.
pub fn candidates(settings: &Settings, live: &Live) -> Vec<ProcessName> {
    stop_first::candidates(settings, live)
}

/// A plan in the making.
#[derive(Default)]
struct Draft {
    plan: Vec<Planned>,
    /// Whose live container has clients when it is stopped, although new ones go elsewhere.
    drained: BTreeSet<ProcessName>,
    /// Whose clients wait while it gives way.
    stalled: BTreeSet<ProcessName>,
}

impl Draft {
    fn step(&mut self, phase: Phase, step: impl Step) {
        let item = PlannedItem::Step { step: step.name(), nature: step.nature() };
        self.plan.push(Planned { phase, item });
    }

    fn commit(&mut self, phase: Phase) {
        self.plan.push(Planned { phase, item: PlannedItem::Commit });
    }
}
