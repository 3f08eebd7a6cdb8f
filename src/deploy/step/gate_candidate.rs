//! The gate of the candidate: until it is passed, no client sees the new release.

use async_trait::async_trait;

use super::{Step, candidate_id};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::health::judge;
use crate::journal::{Fact, Facts};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Waits until the candidate is healthy, at its own address.
pub struct GateCandidate(pub ProcessName);

#[async_trait(?Send)]
impl Step for GateCandidate {
    fn verb(&self) -> &'static str {
        "gate-candidate"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "wait until the candidate is healthy"
    }

    fn nature(&self) -> Nature {
        Nature { only_looks: true, ..Nature::PREPARES.at_boot(AtBoot::UndoneUntilCommit) }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        judge::trial(context, gathered, &self.0, &candidate_id(facts, &self.0)?).await?;
        Ok(vec![])
    }
}
