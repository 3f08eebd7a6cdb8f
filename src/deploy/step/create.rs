//! The new container.

use async_trait::async_trait;

use super::Step;
use crate::deploy::containers;
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Creates the new container, with its ports and everything else that it needs to serve, but does not start it.
pub struct Create(pub ProcessName);

#[async_trait(?Send)]
impl Step for Create {
    fn verb(&self) -> &'static str {
        "create"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "create the container"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::RemoveContainer {
            name: context.new_name(&self.0),
            deployment: context.header.deployment.clone(),
        }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let secrets = gathered.secrets(context, facts).await?;
        let id = containers::create(context, facts, &self.0, &secrets).await?;
        Ok(vec![Fact::New { process: self.0.clone(), id }])
    }
}
