//! The candidate has done its part.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::drain::drain_and_stop;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature, ProcessName};

/// Drains the candidate, stops and removes it.
pub struct RetireCandidate(pub ProcessName);

#[async_trait(?Send)]
impl Step for RetireCandidate {
    fn verb(&self) -> &'static str {
        "retire-candidate"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "drain the candidate and remove it"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let docker = &context.host.docker;
        let Some(id) = facts.candidates.get(&self.0) else { return Ok(vec![]) };
        if let Some(candidate) = docker.inspect(id).await? {
            drain_and_stop(context, gathered, Some(&self.0), &candidate, candidate.stop_timeout).await?;
            docker.remove(id).await?;
        }
        Ok(vec![])
    }
}
