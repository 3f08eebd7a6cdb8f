//! Live gives way, without new clients: they are with the candidate, or they wait.

use async_trait::async_trait;
use jiff::Timestamp;

use super::stop_live::started_again;
use super::{Step, old};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::drain::drain;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Waits until no client is connected to live, or its drain is over, and stops it.
pub struct DrainLive(pub ProcessName);

#[async_trait(?Send)]
impl Step for DrainLive {
    fn verb(&self) -> &'static str {
        "drain-live"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "drain the live container and stop it"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::Undone)
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        started_again(context, old(facts, &self.0)).await
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let Some(old) = old(facts, &self.0) else { return Ok(vec![]) };
        let Some(live) = context.host.docker.inspect(&old.id).await? else { return Ok(vec![]) };
        let drained = drain(context, gathered, Some(&self.0), &live).await;
        let nobody_else_serves = live.running && facts.candidates.is_empty();
        if nobody_else_serves {
            gathered.outage.stopping(Timestamp::now());
        }
        drained.stop(context, gathered, &live, live.stop_timeout).await?;
        if nobody_else_serves {
            gathered.outage.down(Timestamp::now());
        }
        if context.termination.is_requested() {
            return Err(Failure::interrupted("stopped the live container"));
        }
        Ok(vec![])
    }
}
