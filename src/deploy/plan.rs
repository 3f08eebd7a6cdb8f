//! From settings to steps. Pure: the order of a handover is decided here and nowhere else.

use super::step::Step;
use crate::config::Settings;

/// The steps of a stop-first handover.
pub fn plan(settings: &Settings) -> Vec<Step> {
    let each = |step: fn(crate::release::ProcessName) -> Step| settings.processes.keys().cloned().map(step);
    let mut steps = vec![Step::Preflight, Step::Compare, Step::PullImage];
    // Everything that can fail without touching live comes before anything that touches it.
    steps.extend((!settings.files.is_empty()).then_some(Step::WriteFiles));
    steps.extend(each(Step::Create));
    // The ledger of restart policies: whenever the power fails, a reboot brings back one release that works. Live comes
    // back although it is stopped ("always"), until the new container, gated, comes back by itself.
    for process in settings.processes.keys() {
        steps.extend([
            Step::ProtectLive(process.clone()),
            Step::StopLive(process.clone()),
            Step::StartNew(process.clone()),
            Step::Gate(process.clone()),
        ]);
    }
    for process in settings.processes.keys() {
        steps.extend([
            Step::KeepNew(process.clone()),
            Step::ReleaseOld(process.clone()),
            Step::ParkOld(process.clone()),
            Step::Promote(process.clone()),
        ]);
    }
    steps.extend(each(Step::Verify));
    steps.push(Step::Record);
    steps
}
