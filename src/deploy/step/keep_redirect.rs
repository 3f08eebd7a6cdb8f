//! The candidate has proven itself: from now on clients are its own.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::traffic;
use crate::journal::{Fact, Facts};
use crate::model::{AtBoot, Failure, Nature};

/// Takes the end off the redirect: live is about to be stopped, and nobody would answer there.
pub struct KeepRedirect;

#[async_trait(?Send)]
impl Step for KeepRedirect {
    fn verb(&self) -> &'static str {
        "keep-redirect"
    }

    fn words(&self) -> &'static str {
        "leave the traffic with the candidate"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit)
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        traffic::give(context, facts, false).await?;
        Ok(vec![])
    }
}
