//! Is there anything to change? One answer, for a deployment and for `handover plan`.

use std::time::Duration;

use super::context::{Context, Gathered};
use super::drift;
use super::health::judge;
use super::services;
use super::serving::Live;
use crate::model::{Failure, FailureKind, ReleaseNumber};
use crate::state::Verdict;

/// How long a live container that is what is asked for has to show that it works.
const GLANCE: Duration = Duration::from_secs(3);

/// What there is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing: this release is what is asked for, and it is well.
    Nothing(ReleaseNumber),
    /// Something, for this reason.
    Something(String),
}

/// Compares what is live with what is asked for: made of the same image, configuration and versions of the secrets, and
/// healthy. `asked` stands for all of that.
pub(super) async fn needed(
    live: &Live,
    asked: Option<&str>,
    context: &Context<'_>,
    gathered: &mut Gathered,
) -> Result<Answer, Failure> {
    let something = |why: String| Ok(Answer::Something(why));
    if let Some(leaving) = live.keys().find(|process| !context.settings().processes.contains_key(process)) {
        return something(format!("the configuration has no process '{leaving}' any more"));
    }
    if let Some(down) = services::one_that_is_down(&context.host.docker, context.settings()).await? {
        return something(format!("service '{down}' does not run"));
    }
    let mut release = None;
    for process in context.processes() {
        let Some(container) = live.get(&process) else { return something(format!("{process} is not there")) };
        let Some(labels) = container.labels.as_ref().filter(|_| container.running) else {
            return something(format!("{} is no running container of handover's", container.name));
        };
        let record =
            context.releases.record(labels.release)?.filter(|record| record.verdict == Verdict::Good);
        let Some(record) = record else {
            return something(format!("{} has no record as a good release", labels.release));
        };
        if record.fingerprint.is_none() || record.fingerprint.as_deref() != asked {
            return something(format!("{} is made of something else", labels.release));
        }
        let drift = drift::of([(&process, container)], &record, &context.releases);
        if !drift.is_empty() {
            return something(drift.join("; "));
        }
        if container.name != context.live_name(&process) {
            return something(format!("{} has not its own name", container.name));
        }
        match judge::glance(context, gathered, &process, &container.id, GLANCE).await {
            Ok(()) => release = Some(record.release),
            Err(failure) if failure.kind == FailureKind::Verdict => return something(failure.what),
            Err(failure) => return Err(failure),
        }
    }
    Ok(release.map_or_else(|| Answer::Something("there is no process".to_owned()), Answer::Nothing))
}
