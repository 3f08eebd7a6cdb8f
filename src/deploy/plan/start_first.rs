//! Start-first: a second container of the new release, the candidate, is proven beside live and given the traffic; it serves
//! while the published port passes from live to the new container. For the rest the story is that of stop-first.

use std::collections::BTreeSet;

use super::Draft;
use crate::config::Settings;
use crate::deploy::serving::Live;
use crate::deploy::step::{
    Bake, ClearRedirect, EndRedirect, GateCandidate, KeepRedirect, Redirect, RetireCandidate, StartCandidate,
};
use crate::model::Phase::{Settle, Switch};
use crate::model::{ProcessName, Publish};

/// The processes that are to have a candidate, of those that are swapped first, in their order: where clients are there who
/// could be moved over, those with the ports and what they come after. A front server's candidate talks to the candidate of
/// what is behind it.
pub(super) fn candidates(settings: &Settings, serving: &[ProcessName], live: &Live) -> Vec<ProcessName> {
    let is_in_use = |port: &Publish| {
        let mut ports = live.values().filter(|live| live.running).flat_map(|live| &live.ports);
        ports.any(|used| used.is_tcp_of(port))
    };
    let moves_over = |process: &&ProcessName| {
        let its = &settings.processes[*process];
        its.swap.is_start_first() && its.publish.iter().any(is_in_use)
    };
    let first: BTreeSet<&ProcessName> = serving.iter().filter(moves_over).collect();
    let has_candidate = |process: &&ProcessName| {
        let is_needed = || first.iter().any(|one| settings.after.comes_after(one, process));
        first.contains(process)
            || is_needed()
                && !settings.processes[*process].singleton
                && settings.processes[*process].publish.is_empty()
    };
    serving.iter().filter(has_candidate).cloned().collect()
}

impl Draft {
    /// The candidates are proven and get the traffic. Live runs on, untouched.
    pub(super) fn move_over(&mut self, candidates: &[ProcessName]) {
        for process in candidates {
            self.step(Switch, StartCandidate(process.clone()));
            self.step(Switch, GateCandidate(process.clone()));
        }
        if !candidates.is_empty() {
            self.step(Switch, Redirect);
            self.step(Switch, Bake);
            self.step(Switch, KeepRedirect);
        }
    }

    /// The new containers have the ports by now, and get the traffic. The candidates go: what is in front first.
    pub(super) fn move_on(&mut self, candidates: &[ProcessName]) {
        if candidates.is_empty() {
            return;
        }
        self.step(Settle, EndRedirect);
        for process in candidates.iter().rev() {
            self.step(Settle, RetireCandidate(process.clone()));
        }
        self.step(Settle, ClearRedirect);
    }
}
