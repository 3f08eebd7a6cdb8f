//! Stop-first: everything is made ready, then live is stopped and the new release takes its place.

use super::Draft;
use crate::config::Settings;
use crate::deploy::step::{
    Compare, Create, Gate, KeepNew, ParkOld, Preflight, Promote, ProtectLive, PullImages, Recheck, Record,
    ReleaseOld, StartNew, StopLive, Verify, WriteFiles,
};
use crate::journal::Planned;
use crate::model::Phase::{Finish, Prepare, Settle, Switch};

/// The ledger of restart policies decides the order: whenever the power fails, a reboot brings back one release that
/// works. Live comes back although it is stopped (`always`), until the new container, gated, comes back by itself.
pub(super) fn plan(settings: &Settings) -> Vec<Planned> {
    let processes: Vec<_> = settings.processes.keys().cloned().collect();
    let mut plan = Draft::default();

    // Everything that can fail without touching live comes before anything that touches it.
    plan.step(Prepare, Preflight);
    plan.step(Prepare, Compare);
    plan.step(Prepare, PullImages);
    if !settings.files.is_empty() {
        plan.step(Prepare, WriteFiles);
    }
    for process in &processes {
        plan.step(Prepare, Create(process.clone()));
    }

    plan.step(Switch, Recheck);
    for process in &processes {
        plan.step(Switch, ProtectLive(process.clone()));
        plan.step(Switch, StopLive(process.clone()));
        plan.step(Switch, StartNew(process.clone()));
        plan.step(Switch, Gate(process.clone()));
    }

    plan.commit(Settle);
    for process in &processes {
        plan.step(Settle, KeepNew(process.clone()));
        plan.step(Settle, ReleaseOld(process.clone()));
        plan.step(Settle, ParkOld(process.clone()));
        plan.step(Settle, Promote(process.clone()));
    }

    for process in &processes {
        plan.step(Finish, Verify(process.clone()));
    }
    plan.step(Finish, Record);
    plan.0
}
