//! The candidate: a second container of the new release, which serves while the published port moves.

use async_trait::async_trait;

use super::Step;
use crate::deploy::containers;
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName, network_name};

/// Creates the candidate, on a port that the Engine picks, but does not start it.
pub struct CreateCandidate(pub ProcessName);

#[async_trait(?Send)]
impl Step for CreateCandidate {
    fn verb(&self) -> &'static str {
        "create-candidate"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "create the candidate"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    /// What is left of a redirect goes last, with the container: connections that came by it are over then.
    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        let deployment = context.header.deployment.clone();
        let network = network_name::of_candidates(&context.header.app, context.release());
        Ok(vec![
            Inverse::RemoveContainer {
                name: context.candidate_name(&self.0),
                deployment: deployment.clone(),
            },
            Inverse::RemoveRedirect,
            Inverse::RemoveNetwork { name: network, deployment },
        ])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let secrets = gathered.secrets(context, facts).await?;
        let id = containers::create_candidate(context, facts, &self.0, &secrets).await?;
        Ok(vec![Fact::Candidate { process: self.0.clone(), id }])
    }
}
