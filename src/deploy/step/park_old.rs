//! The old container makes room for the name of the new one.

use async_trait::async_trait;

use super::{Step, old};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::serving;
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature, ProcessName};

/// Gives the old container its parked name. One that was made by somebody else under another name keeps it: its makers
/// know it by that.
pub struct ParkOld(pub ProcessName);

#[async_trait(?Send)]
impl Step for ParkOld {
    fn verb(&self) -> &'static str {
        "park-old"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "park the old container"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE
    }

    fn applies(&self, facts: &Facts) -> bool {
        old(facts, &self.0).is_some()
    }

    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        let Some(old) = old(facts, &self.0) else { return Ok(vec![]) };
        let now = context.host.docker.inspect(&old.id).await?;
        Ok(now.map(|now| Inverse::Rename { id: now.id, to: now.name }).into_iter().collect())
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let Some(old) = old(facts, &self.0) else { return Ok(vec![]) };
        let docker = &context.host.docker;
        let Some(now) = docker.inspect(&old.id).await? else { return Ok(vec![]) };
        let is_ours = old.release.is_some();
        if !is_ours && now.name != context.live_name(&self.0) {
            return Ok(vec![]);
        }
        let parked = serving::parked_name(&context.header.app, &self.0, old.release, context.release());
        if now.name == parked || now.name.starts_with(&format!("{parked}-")) {
            return Ok(vec![]);
        }
        // The release is committed: a name that somebody has taken meanwhile must not keep it from settling.
        let free = serving::free_name(docker, &parked).await?;
        docker.rename(&old.id, &free).await?;
        Ok(vec![])
    }
}
