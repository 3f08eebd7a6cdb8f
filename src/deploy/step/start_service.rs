//! A server beside the app.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::services;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature, ProcessName};

/// Makes a service that is not there, starts one that does not run, and waits until it is healthy. Nothing takes it back: it
/// is no part of a release, and what it keeps is not to be lost with one.
pub struct StartService(pub ProcessName);

#[async_trait(?Send)]
impl Step for StartService {
    fn verb(&self) -> &'static str {
        "start-service"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "see that the service runs"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        services::start(context, facts, gathered, &self.0).await?;
        Ok(vec![])
    }
}
