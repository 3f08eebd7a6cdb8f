//! The files of the release.

use async_trait::async_trait;

use super::Step;
use crate::deploy::containers;
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts, Inverse};
use crate::model::{Failure, Nature};

/// Renders the files of the release, from the versions of the secrets that this deployment has read.
pub struct WriteFiles;

#[async_trait(?Send)]
impl Step for WriteFiles {
    fn verb(&self) -> &'static str {
        "write-files"
    }

    fn words(&self) -> &'static str {
        "render the files"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![Inverse::RemoveFiles { release: context.release() }])
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let secrets = gathered.secrets(context, facts).await?;
        containers::write_files(context.settings(), &secrets, &context.releases, context.release())?;
        Ok(vec![])
    }
}
