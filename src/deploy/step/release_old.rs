//! … then the old one no longer does. The other order would have a row at which a reboot brings back nothing.

use async_trait::async_trait;

use super::{Step, old, policy_as_it_is};
use crate::deploy::context::{Context, Gathered};
use crate::host::docker::{RestartPolicy, gone_is_fine};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Makes sure that a reboot does not bring the old container back.
pub struct ReleaseOld(pub ProcessName);

#[async_trait(?Send)]
impl Step for ReleaseOld {
    fn verb(&self) -> &'static str {
        "release-old"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "keep a reboot from bringing the old container back"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        match old(facts, &self.0) {
            Some(old) => policy_as_it_is(context, &old.id).await,
            None => Ok(vec![]),
        }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        if let Some(old) = old(facts, &self.0) {
            // One that somebody removed does not come back either.
            gone_is_fine(context.host.docker.set_restart_policy(&old.id, RestartPolicy::No).await)?;
        }
        Ok(vec![])
    }
}
