//! Is there anything to change?

use async_trait::async_trait;

use super::Step;
use crate::deploy::changes::{self, Answer};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::serving;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};

/// Sees whether the live release is what is asked for, and notes what is live. One that is sick is replaced: that is
/// what somebody who deploys it again hopes for.
pub struct Compare;

#[async_trait(?Send)]
impl Step for Compare {
    fn verb(&self) -> &'static str {
        "compare"
    }

    fn words(&self) -> &'static str {
        "compare with the live release"
    }

    fn nature(&self) -> Nature {
        Nature::LOOKS
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let live = serving::live_of_all(&context.host.docker, context.settings()).await?;
        let mut found: Vec<Fact> = serving::as_facts(&live).collect();
        let asked = context.fingerprint(facts);
        if let Answer::Nothing(release) = changes::needed(&live, asked.as_deref(), context, gathered).await? {
            found.push(Fact::Unchanged { release });
        }
        Ok(found)
    }
}
