//! The candidate under real traffic, while the old release is still warm.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::{bake, traffic};
use crate::journal::{Fact, Facts};
use crate::model::{AtBoot, Failure, Nature};

/// Goes on gating the candidates for a while. Live runs, and is one transaction away.
pub struct Bake;

#[async_trait(?Send)]
impl Step for Bake {
    fn verb(&self) -> &'static str {
        "bake"
    }

    fn words(&self) -> &'static str {
        "watch the candidate under traffic"
    }

    fn nature(&self) -> Nature {
        Nature { only_looks: true, ..Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit) }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        // Where live is down already, an earlier process has baked the release.
        if traffic::live_is_warm(context, facts).await? {
            bake::bake(context, facts, gathered).await?;
        }
        Ok(vec![])
    }
}
