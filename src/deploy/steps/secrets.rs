//! The secrets: read once in a process, kept in memory only, and rendered into files for those who read files.

use super::StepError;
use crate::deploy::preflight;
use crate::deploy::run::Run;
use crate::deploy::secrets;
use crate::environment::{self, EnvironmentError, Secrets};
use crate::journal::Fact;

/// The secrets of this deployment: those that this process has read, or the same versions once more.
pub(super) async fn of(run: &mut Run<'_>) -> Result<Secrets, StepError> {
    if let Some(secrets) = &run.secrets {
        return Ok(secrets.clone());
    }
    let known = run.secret_versions();
    let reading = secrets::read(&run.config.settings, &known, run.host, &mut run.redactor).await;
    let secrets = reading.map_err(|failures| StepError::Found(preflight::findings(failures)))?.secrets;
    run.secrets = Some(secrets.clone());
    Ok(secrets)
}

/// Renders the files of the release, from the versions of the secrets that this deployment has read.
pub(super) async fn write_files(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let secrets = of(run).await?;
    let files = environment::render_files(&run.config.settings, &secrets)?;
    run.releases.write_files(run.release(), files)?;
    Ok(vec![])
}

impl From<Vec<EnvironmentError>> for StepError {
    fn from(errors: Vec<EnvironmentError>) -> Self {
        Self::Found(preflight::findings(errors.iter().map(ToString::to_string)))
    }
}
