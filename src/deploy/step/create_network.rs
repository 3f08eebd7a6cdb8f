//! The network of the release.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::network;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, network_name};

/// Creates the network on which the release's containers find each other by name.
pub struct CreateNetwork;

#[async_trait(?Send)]
impl Step for CreateNetwork {
    fn verb(&self) -> &'static str {
        "create-network"
    }

    fn words(&self) -> &'static str {
        "create the network"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::RemoveNetwork {
            name: network_name::of_release(&context.header.app, context.release()),
            deployment: context.header.deployment.clone(),
        }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        _facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        network::ensure(
            &context.host.docker,
            context.settings(),
            context.release(),
            &context.header.deployment,
        )
        .await?;
        Ok(vec![])
    }
}
