//! The gate once more, as clients see it.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::health::judge;
use crate::deploy::serving;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature, ProcessName};

/// Gates the new container once more, at its published port, as the load balancer will see it.
pub struct Verify(pub ProcessName);

#[async_trait(?Send)]
impl Step for Verify {
    fn verb(&self) -> &'static str {
        "verify"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "check the container on its published port"
    }

    fn nature(&self) -> Nature {
        Nature { touches_live: true, ..Nature::default() }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let id = if let (Some(id), None) = (facts.new.get(&self.0), facts.unchanged) {
            id.clone()
        } else {
            // Nothing was changed: the live container is the one.
            let live = serving::live(&context.host.docker, context.settings(), &self.0).await?;
            live.ok_or_else(|| Failure::because("the live container is not there any more"))?.id
        };
        judge::verify(context, gathered, &self.0, &id, facts.unchanged.is_none()).await?;
        Ok(vec![])
    }
}
