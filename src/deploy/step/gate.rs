//! The gate: the trial.

use async_trait::async_trait;

use super::{Step, new_id};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::health::judge;
use crate::journal::{Fact, Facts};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Waits until the new container is healthy, at its own address.
pub struct Gate(pub ProcessName);

#[async_trait(?Send)]
impl Step for Gate {
    fn verb(&self) -> &'static str {
        "gate"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "wait until the new container is healthy"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit)
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        judge::trial(context, gathered, &self.0, &new_id(facts, &self.0)?).await?;
        Ok(vec![])
    }
}
