//! The new container becomes live by name.

use async_trait::async_trait;

use super::{Step, new_id};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Gives the new container the name of live.
pub struct Promote(pub ProcessName);

#[async_trait(?Send)]
impl Step for Promote {
    fn verb(&self) -> &'static str {
        "promote"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "give the new container the live name"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::Rename { id: new_id(facts, &self.0)?, to: context.new_name(&self.0) }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        context.host.docker.rename(&new_id(facts, &self.0)?, &context.live_name(&self.0)).await?;
        Ok(vec![])
    }
}
