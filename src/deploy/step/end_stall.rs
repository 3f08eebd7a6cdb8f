//! The new container is healthy: whoever waits comes in.

use async_trait::async_trait;

use super::{Step, old};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::stall;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Lets the connections come through that were made to wait.
pub struct EndStall(pub ProcessName);

#[async_trait(?Send)]
impl Step for EndStall {
    fn verb(&self) -> &'static str {
        "end-stall"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "let the waiting connections in"
    }

    /// Where a resumed run makes them wait again, it has to let them in again.
    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit)
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, _context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::Stall { process: self.0.clone() }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        _facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        stall::end(context, gathered, &self.0).await?;
        Ok(vec![])
    }
}
