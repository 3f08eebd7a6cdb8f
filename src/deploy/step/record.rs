//! The last step.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};
use crate::state::Verdict;

/// Records the release as good: from now on it is what a rollback can go back to.
pub struct Record;

#[async_trait(?Send)]
impl Step for Record {
    fn verb(&self) -> &'static str {
        "record"
    }

    fn words(&self) -> &'static str {
        "record the release"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        context.releases.write(&context.record(facts, Verdict::Good))?;
        Ok(vec![])
    }
}
