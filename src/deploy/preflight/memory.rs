//! Memory: a limit that the machine cannot honour is a finding. A limit is not a need, so anything less is a note.

use std::collections::BTreeMap;

use super::Found;
use crate::config::Settings;
use crate::host::docker::Container;
use crate::host::machine::memory::Memory;
use crate::model::ProcessName;
use crate::text::amount;

pub(super) fn check(
    settings: &Settings,
    memory: Option<Memory>,
    live: &BTreeMap<ProcessName, Container>,
    found: &mut Found,
) {
    let Some(Memory { total, available }) = memory else { return };
    let limits = settings.processes.iter().filter_map(|(name, process)| {
        Some((name, u64::try_from(process.workload.memory?.0).unwrap_or_default()))
    });
    for (name, limit) in limits {
        if limit > total {
            found.finding(
                format!(
                    "[process.{name}] memory is {}, and this machine has {}",
                    amount(limit),
                    amount(total)
                ),
                format!("lower memory in [process.{name}], or take a larger instance"),
            );
            continue;
        }
        // Live is stopped first, so what it uses comes back: at most its own limit, and how much without one is not known.
        let comes_back = match live.get(name).filter(|live| live.running) {
            None => 0,
            Some(live) => live.memory.unwrap_or(limit),
        };
        if available.saturating_add(comes_back) < limit {
            found.note(format!(
                "{} of memory are available, and [process.{name}] may use {}",
                amount(available),
                amount(limit)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, settings};
    use super::*;

    /// With 1 GiB, of which 300 MiB are available.
    fn found(limit: &str, live: Option<serde_json::Value>) -> Found {
        let memory = Memory { total: 1 << 30, available: 300 << 20 };
        let live = live.map(|host| {
            let inspect = serde_json::json!({ "State": { "Running": true }, "HostConfig": host });
            ("web".parse().unwrap(), container(inspect))
        });
        let mut found = Found::default();
        check(&settings(limit), Some(memory), &live.into_iter().collect(), &mut found);
        found
    }

    #[test]
    fn more_than_the_machine_has_is_a_finding() {
        let found = found("memory = \"2g\"", None);
        assert_eq!(found.findings[0].what, "[process.web] memory is 2.0 GiB, and this machine has 1.0 GiB");
    }

    #[test]
    fn more_than_is_available_is_a_note_where_live_gives_nothing_back() {
        let live = |bytes: u64| Some(serde_json::json!({ "Memory": bytes }));
        for (limit, live, noted) in [
            ("", None, false),
            ("memory = \"256m\"", None, false),
            ("memory = \"512m\"", None, true),
            ("memory = \"512m\"", live(100 << 20), true),
            ("memory = \"512m\"", live(512 << 20), false),
            // Docker writes 0 for no limit.
            ("memory = \"512m\"", live(0), false),
        ] {
            let found = found(limit, live.clone());
            assert_eq!(
                (found.findings.len(), found.notes.len()),
                (0, usize::from(noted)),
                "{limit} {live:?}"
            );
        }
    }
}
