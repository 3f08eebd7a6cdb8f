//! The new container goes on trial.

use async_trait::async_trait;

use super::{Step, new_id};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{AtBoot, Failure, Nature, ProcessName};

/// Starts the new container.
pub struct StartNew(pub ProcessName);

/// The Engine's words for a command that the image does not have; it looks only when it starts one.
const NO_SUCH_PROGRAM: [&str; 2] = ["executable file not found", "no such file or directory"];

#[async_trait(?Send)]
impl Step for StartNew {
    fn verb(&self) -> &'static str {
        "start-new"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "start the new container"
    }

    fn nature(&self) -> Nature {
        Nature::CHANGES_LIVE.at_boot(AtBoot::Undone)
    }

    async fn inverse(&self, _context: &Context<'_>, facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::Stop { id: new_id(facts, &self.0)? }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        _gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let started = context.host.docker.start(&new_id(facts, &self.0)?).await;
        started.map_err(|error| {
            let failure = Failure::from(error);
            if failure.what.contains("exec: ")
                && NO_SUCH_PROGRAM.iter().any(|words| failure.what.contains(words))
            {
                let fix = format!(
                    "the image has no such program: correct 'command' in [process.{}], or the image",
                    self.0
                );
                return Failure { fix, ..failure };
            }
            failure
        })?;
        Ok(vec![])
    }
}
