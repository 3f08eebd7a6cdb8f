//! Processes whose stops may take minutes do not wait for each other.

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::{Gate, StartNew, Step, StopLive};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Stops each live container, starts the new one in its place, and gates it: side by side, so that nobody's job in hand holds
/// up the others.
pub struct SwapTogether(pub Vec<ProcessName>);

impl SwapTogether {
    const VERB: &str = "swap-together";

    /// The step of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (_, processes) = name.split_once(' ')?;
        processes.split(' ').map(|process| process.parse().ok()).collect::<Option<_>>().map(Self)
    }

    fn names(&self, separator: &str) -> String {
        self.0.iter().map(ProcessName::as_str).collect::<Vec<_>>().join(separator)
    }
}

#[async_trait(?Send)]
impl Step for SwapTogether {
    fn verb(&self) -> &'static str {
        Self::VERB
    }

    fn words(&self) -> &'static str {
        "stop each live container, start the new one and wait until it is healthy"
    }

    fn name(&self) -> String {
        format!("{} {}", Self::VERB, self.names(" "))
    }

    fn label(&self) -> String {
        format!("{}: {}", self.names(", "), self.words())
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::Undone)
    }

    /// Every new container makes room before a live one comes back.
    async fn inverse(&self, context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        let mut inverse = vec![];
        for process in &self.0 {
            inverse.extend(StartNew(process.clone()).inverse(context, facts).await?);
        }
        for process in &self.0 {
            inverse.extend(StopLive(process.clone()).inverse(context, facts).await?);
        }
        Ok(inverse)
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let swaps = self.0.iter().map(|process| {
            let mut own = gathered.fork();
            async move {
                let swapped = swap(context, facts, &mut own, process).await;
                (own, swapped)
            }
        });
        let mut swaps: FuturesUnordered<_> = swaps.collect();
        while let Some((own, swapped)) = swaps.next().await {
            gathered.join(own);
            // The others are left where they are: the way back deals with what is under way.
            swapped?;
        }
        Ok(vec![])
    }
}

async fn swap(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    process: &ProcessName,
) -> Result<(), Failure> {
    StopLive(process.clone()).perform(context, facts, gathered).await?;
    StartNew(process.clone()).perform(context, facts, gathered).await?;
    Gate(process.clone()).perform(context, facts, gathered).await?;
    Ok(())
}
