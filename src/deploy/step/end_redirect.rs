//! The published port is the new container's: new connections need no help any more.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::traffic;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};

/// Lets new connections go where they would go by themselves.
pub struct EndRedirect;

#[async_trait(?Send)]
impl Step for EndRedirect {
    fn verb(&self) -> &'static str {
        "end-redirect"
    }

    fn words(&self) -> &'static str {
        "give new connections to the new container"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        _facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        traffic::take_back(context).await?;
        Ok(vec![])
    }
}
