//! `stall`: while a process gives way under stop-first, its clients wait.

use std::collections::BTreeSet;

use crate::config::Settings;
use crate::deploy::serving::Live;
use crate::model::ProcessName;

/// The processes whose clients are made to wait: where clients are there who would be refused.
pub(super) fn stalled(settings: &Settings, candidates: &[ProcessName], live: &Live) -> BTreeSet<ProcessName> {
    let publishes_on = |process: &ProcessName| {
        let own = &settings.processes[process].publish;
        let mut ports =
            live.get(process).filter(|live| live.running).into_iter().flat_map(|live| &live.ports);
        ports.any(|used| own.iter().any(|own| used.is_tcp_of(own)))
    };
    let waits = settings.processes.iter().filter(|(_, its)| its.swap.stalls()).map(|(process, _)| process);
    waits.filter(|process| !candidates.contains(process) && publishes_on(process)).cloned().collect()
}
