//! The traffic moves to the candidates.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::traffic;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature};

/// Gives new connections to the candidates, in one transaction for all ports of the app, after a trial with a port that nobody
/// uses. Established ones stay where they are.
pub struct Redirect;

#[async_trait(?Send)]
impl Step for Redirect {
    fn verb(&self) -> &'static str {
        "redirect"
    }

    fn words(&self) -> &'static str {
        "give new connections to the candidate"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::UndoneUntilCommit)
    }

    async fn inverse(&self, _context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::EndRedirect])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let is_warm = traffic::live_is_warm(context, facts).await?;
        // Once live is down, the only rules that lead anywhere must not be taken away for a trial.
        if is_warm {
            traffic::try_out(context, facts).await?;
        }
        traffic::give(context, facts, is_warm).await?;
        Ok(vec![])
    }
}
