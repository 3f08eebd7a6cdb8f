//! The volumes of the release.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::volumes;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature};

/// Creates the volumes that the release's containers share, before the first of them needs one.
pub struct CreateVolumes;

#[async_trait(?Send)]
impl Step for CreateVolumes {
    fn verb(&self) -> &'static str {
        "create-volumes"
    }

    fn words(&self) -> &'static str {
        "create the volumes"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        let deployment = &context.header.deployment;
        let names = volumes::names(context.settings(), context.release()).into_iter();
        Ok(names.map(|name| Inverse::RemoveVolume { name, deployment: deployment.clone() }).collect())
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        _facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        volumes::ensure(
            &context.host.docker,
            context.settings(),
            context.release(),
            &context.header.deployment,
        )
        .await?;
        Ok(vec![])
    }
}
