//! Live gives way.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Step, old};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::undo::stop_or_kill;
use crate::journal::{Fact, Facts, Inverse, LiveContainer};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Stops live; its own stop timeout applies. Asked to stop ourselves, we do not wait for it: whatever happens next needs
/// it to be down.
pub struct StopLive(pub ProcessName);

#[async_trait(?Send)]
impl Step for StopLive {
    fn verb(&self) -> &'static str {
        "stop-live"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "stop the live container"
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
        let docker = &context.host.docker;
        let Some(live) = docker.inspect(&old.id).await? else { return Ok(vec![]) };
        if live.running {
            gathered.outage.stopping(Timestamp::now());
        }
        stop_or_kill(docker, &old.id, live.stop_timeout, &context.termination).await?;
        if live.running {
            gathered.outage.down(Timestamp::now());
        }
        if context.termination.is_requested() {
            return Err(Failure::interrupted("stopped the live container"));
        }
        Ok(vec![])
    }
}

/// What starts live again. One that did not run is not started either: what is put back is what was there.
pub(super) async fn started_again(
    context: &Context<'_>,
    live: Option<&LiveContainer>,
) -> Result<Vec<Inverse>, Failure> {
    let Some(live) = live.filter(|live| live.running) else { return Ok(vec![]) };
    let now = context.host.docker.inspect(&live.id).await?;
    let started_at = now.map(|now| now.started_at).unwrap_or_default();
    Ok(vec![Inverse::Start { id: live.id.clone(), started_at }])
}
