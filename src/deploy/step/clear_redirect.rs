//! What the candidates needed goes, too.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::{network, traffic};
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature, network_name};

/// Removes what is left of the redirect, once no connection is there that came by it, and the candidates' network.
pub struct ClearRedirect;

#[async_trait(?Send)]
impl Step for ClearRedirect {
    fn verb(&self) -> &'static str {
        "clear-redirect"
    }

    fn words(&self) -> &'static str {
        "remove what is left of the redirect"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        _facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        traffic::remove(context).await?;
        let (docker, app) = (&context.host.docker, &context.header.app);
        let network = network_name::of_candidates(app, context.release());
        gathered.notes.extend(network::remove(docker, app, &network).await?);
        Ok(vec![])
    }
}
