//! The candidate goes on trial, beside live.

use async_trait::async_trait;

use super::{Step, candidate_id, start};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Starts the candidate.
pub struct StartCandidate(pub ProcessName);

#[async_trait(?Send)]
impl Step for StartCandidate {
    fn verb(&self) -> &'static str {
        "start-candidate"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "start the candidate beside live"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES.at_boot(AtBoot::UndoneUntilCommit)
    }

    async fn inverse(&self, _context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::Retire { id: candidate_id(facts, &self.0)? }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        start(context, &candidate_id(facts, &self.0)?, &self.0).await?;
        Ok(vec![])
    }
}
