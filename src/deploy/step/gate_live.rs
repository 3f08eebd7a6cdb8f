//! The old release after the schema of its database has moved.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::health::judge;
use crate::deploy::serving;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, FailureKind, Nature};

/// Gates live once more, where a task has moved the schema under it. If it is sick now, the way back is worth nothing, and
/// only the new release can help: so that is said, and keeps nothing from going on.
pub struct GateLive;

#[async_trait(?Send)]
impl Step for GateLive {
    fn verb(&self) -> &'static str {
        "gate-live"
    }

    fn words(&self) -> &'static str {
        "check the live release against the new schema"
    }

    fn nature(&self) -> Nature {
        Nature { for_a_change: true, touches_live: true, ..Nature::LOOKS }
    }

    fn applies(&self, facts: &Facts) -> bool {
        facts.tasks.values().any(|run| run.has_moved_schema())
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        if !self.applies(facts) {
            return Ok(vec![]);
        }
        let live = serving::live_of_all(&context.host.docker, context.settings()).await?;
        for (process, container) in live.iter().filter(|(_, container)| container.running) {
            match judge::regate(context, gathered, process, container, None).await {
                Ok(()) => {}
                Err(failure) if failure.kind == FailureKind::Verdict => {
                    let note = format!(
                        "{} does not work with the schema that {} has moved: {}",
                        container.name,
                        context.release(),
                        gathered.redactor.redact(&failure.what)
                    );
                    tracing::warn!("{note}");
                    gathered.notes.push(note);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(vec![])
    }
}
