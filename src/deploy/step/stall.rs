//! Clients wait for the new container instead of being refused.

use async_trait::async_trait;

use super::{Step, old};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::stall;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Makes new connections wait that would find nobody. Established ones stay where they are until live is drained.
pub struct Stall(pub ProcessName);

#[async_trait(?Send)]
impl Step for Stall {
    fn verb(&self) -> &'static str {
        "stall"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "make new connections wait"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit)
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, _context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::EndStall { process: self.0.clone() }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        stall::begin(context, facts, &self.0).await?;
        Ok(vec![])
    }
}
