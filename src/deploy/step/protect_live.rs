//! A reboot in the middle of the switch has to bring live back.

use async_trait::async_trait;

use super::{Step, old, policy_as_it_is};
use crate::deploy::context::{Context, Gathered};
use crate::host::docker::RestartPolicy;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Makes sure that a reboot brings live back, although it is about to be stopped: `always` does, `unless-stopped` would
/// not.
pub struct ProtectLive(pub ProcessName);

#[async_trait(?Send)]
impl Step for ProtectLive {
    fn verb(&self) -> &'static str {
        "protect-live"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "keep the live container safe from a reboot"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        match old(facts, &self.0) {
            Some(live) => policy_as_it_is(context, &live.id).await,
            None => Ok(vec![]),
        }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        if let Some(live) = old(facts, &self.0) {
            context.host.docker.set_restart_policy(&live.id, RestartPolicy::Always).await?;
        }
        Ok(vec![])
    }
}
