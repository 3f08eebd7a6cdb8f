//! Settling: first the new container comes back by itself …

use async_trait::async_trait;

use super::{Step, new_id, policy_as_it_is};
use crate::deploy::context::{Context, Gathered};
use crate::host::docker::RestartPolicy;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Makes sure that a reboot brings the new container back.
pub struct KeepNew(pub ProcessName);

#[async_trait(?Send)]
impl Step for KeepNew {
    fn verb(&self) -> &'static str {
        "keep-new"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "let a reboot bring the new container back"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        policy_as_it_is(context, &new_id(facts, &self.0)?).await
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let id = new_id(facts, &self.0)?;
        context.host.docker.set_restart_policy(&id, RestartPolicy::UnlessStopped).await?;
        Ok(vec![])
    }
}
