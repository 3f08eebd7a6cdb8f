//! The secrets: fetched side by side, kept in memory only.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use super::StepError;
use crate::deploy::run::Run;
use crate::environment::{self, Secrets};
use crate::journal::Fact;
use crate::secret::is_open;

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

/// Every failure is told, not only the first: people mend them all at once.
async fn fetch(run: &mut Run<'_>) -> Result<BTreeMap<String, String>, StepError> {
    let sources = run.config.settings.secrets.clone();
    let mut versions = BTreeMap::new();
    let mut secrets = Secrets::new();
    if !sources.is_empty() {
        let known = run.secret_versions();
        let aws = run.host.aws.get().await?;
        let region = aws.whole_name(&run.config.settings.image.repository).await?.region;
        let asked = sources.iter().map(|(name, source)| {
            let version = known.get(name).map(String::as_str);
            aws.secret(&region, &source.id, version)
        });
        let mut failures = Vec::new();
        for ((name, source), answer) in sources.iter().zip(join_all(asked).await) {
            let fields = match answer {
                Ok(value) => {
                    run.redactor.learn(value.text.expose_secret());
                    versions.insert(name.clone(), value.version);
                    environment::fields(name, source, &value.text).map_err(|e| e.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            match fields {
                Ok(fields) => {
                    secrets.insert(name.clone(), fields);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            return Err(StepError::because(failures.join("; ")));
        }
    }
    for (field, value) in secrets.values().flatten() {
        if !is_open(field) {
            run.redactor.learn(value.expose_secret());
        }
    }
    run.secrets = Some(secrets);
    Ok(versions)
}
