//! The new container goes on trial.

use async_trait::async_trait;

use super::{Step, new_id, start};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Starts the new container.
pub struct StartNew(pub ProcessName);

#[async_trait(?Send)]
impl Step for StartNew {
    fn verb(&self) -> &'static str {
        "start-new"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "start the new container"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::Undone)
    }

    async fn inverse(&self, _context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::Stop { id: new_id(facts, &self.0)? }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        start(context, &new_id(facts, &self.0)?, &self.0).await?;
        Ok(vec![])
    }
}
