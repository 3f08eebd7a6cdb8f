//! The next command to type: one that can be copied as it stands, and that helps.

use super::{Outcome, Report};

/// After a run that came to its steps; nothing when all is well.
pub(super) fn after(report: &Report) -> Option<String> {
    match report.outcome {
        Outcome::Deployed | Outcome::Unchanged | Outcome::Waiting => None,
        Outcome::Reverted { serving: true } if report.recovered => None,
        Outcome::Reverted { .. } => Some(look_at(report)),
        Outcome::Unfinished => Some("handover recover".to_owned()),
        Outcome::Unknown => Some("handover status".to_owned()),
    }
}

/// What tells most about a release that was refused.
fn look_at(report: &Report) -> String {
    // The same checks once more, for whoever has fixed what they found.
    if let (Some(bundle), false) = (&report.bundle, report.findings().is_empty()) {
        let group = report.group.as_ref().map(|group| format!(" --group {group}")).unwrap_or_default();
        return format!("handover plan {}{group}", bundle.display());
    }
    if let Some(log) = &report.log {
        return format!("tail -n 50 {}", log.display());
    }
    // What was put back and is not well has a log of its own.
    match report.serving.iter().find(|serving| !serving.running) {
        Some(down) => format!("docker logs --tail 50 {}", down.container),
        None => "handover status".to_owned(),
    }
}
