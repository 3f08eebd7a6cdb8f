//! What start-first needs: room for a second container beside live, and a way to redirect connections to it. And what stop-first
//! needs where clients are to wait.

use super::Found;
use crate::config::Settings;
use crate::deploy::serving::Live;
use crate::host::Machine;
use crate::host::iptables::{Iptables, IptablesError, Tables};
use crate::model::{Explain as _, ProcessName};
use crate::text::{amount, chain};

/// The other way to deploy.
const OTHERWISE: &str = "or write order = \"stop-first\"";

/// A candidate needs what live has needed, but not more than it may have. Of one about which nothing is known nothing is said.
pub(super) fn check_memory(
    settings: &Settings,
    candidates: &[ProcessName],
    live: &Live,
    machine: &Machine,
    found: &mut Found,
) {
    let Some(memory) = machine.memory() else { return };
    let need = |process: &ProcessName| {
        let used = live.get(process)?.pid.and_then(|pid| machine.memory_used(pid))?;
        let limit = settings.processes.get(process)?.workload.memory;
        Some(limit.and_then(|limit| u64::try_from(limit.0).ok()).map_or(used, |limit| used.min(limit)))
    };
    let needs: Vec<(&ProcessName, u64)> =
        candidates.iter().filter_map(|process| Some((process, need(process)?))).collect();
    let sum: u64 = needs.iter().map(|(_, bytes)| bytes).sum();
    if sum <= memory.available {
        return;
    }
    let each: Vec<String> =
        needs.iter().map(|(process, bytes)| format!("{process} {}", amount(*bytes))).collect();
    found.finding(
        format!(
            "start-first needs room for a second container beside live: by what live has used, {} ({}), and {} are available",
            amount(sum),
            each.join(", "),
            amount(memory.available)
        ),
        format!("take a larger instance, {OTHERWISE} for what may have a gap"),
    );
}

/// Whether there is something that makes clients wait.
pub(super) async fn check_stall(settings: &Settings, tables: &Tables, found: &mut Found) {
    if !settings.processes.values().any(|process| process.swap.stalls()) {
        return;
    }
    if let Err(error) = Iptables::any(tables).await {
        let fix = match error {
            IptablesError::NoIptables => "install the package iptables, or remove stall",
            _ => "run handover as root, or remove stall",
        };
        found.finding(format!("stall is not possible here: {}", chain(&error)), fix);
    }
}

/// Whether there is something that redirects connections, and whether it is what the Engine uses.
pub(super) async fn check_redirect(candidates: &[ProcessName], tables: &Tables, found: &mut Found) {
    if candidates.is_empty() {
        return;
    }
    if let Err(error) = Iptables::find(tables).await {
        let fix = error.fix().unwrap_or_else(|| format!("run handover as root, {OTHERWISE}"));
        found.finding(format!("start-first is not possible here: {}", chain(&error)), fix);
    }
}
