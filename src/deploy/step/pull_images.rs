//! The images, by their digests.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::images;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};

/// Pulls every image by its digest. For one that is here nobody is asked.
pub struct PullImages;

#[async_trait(?Send)]
impl Step for PullImages {
    fn verb(&self) -> &'static str {
        "pull-images"
    }

    fn words(&self) -> &'static str {
        "pull the image"
    }

    fn nature(&self) -> Nature {
        Nature { for_a_change: true, ..Nature::LOOKS }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        images::pull_all(context, facts, gathered).await?;
        images::check_all(context, facts, gathered).await?;
        Ok(vec![])
    }
}
