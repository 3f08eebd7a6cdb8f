//! The secrets: read once in a process, kept in memory only, and rendered into files for those who read files.

use super::StepError;
use crate::deploy::run::Run;
use crate::deploy::secrets::{self, Reading};
use crate::environment::{self, EnvironmentError, Secrets};
use crate::journal::Fact;

/// Reads every secret and writes down which version it was.
pub(super) async fn read(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let versions = fetch(run).await?;
    Ok(versions.into_iter().map(|(secret, version)| Fact::SecretVersion { secret, version }).collect())
}

/// The secrets of this deployment: those that this process has read, or the same versions once more.
pub(super) async fn of(run: &mut Run<'_>) -> Result<Secrets, StepError> {
    if run.secrets.is_none() {
        fetch(run).await?;
    }
    Ok(run.secrets.clone().unwrap_or_default())
}

async fn fetch(run: &mut Run<'_>) -> Result<std::collections::BTreeMap<String, String>, StepError> {
    let known = run.secret_versions();
    let reading = secrets::read(&run.config.settings, &known, run.host, &mut run.redactor).await;
    let Reading { secrets, versions } =
        reading.map_err(|failures| StepError::because(failures.join("; ")))?;
    run.secrets = Some(secrets);
    Ok(versions)
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
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::because(all.join("; "))
    }
}
