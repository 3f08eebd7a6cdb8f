//! The first step: whatever would make the deployment fail is looked for before anything is touched.

use secrecy::ExposeSecret as _;

use super::StepError;
use crate::deploy::preflight::{self, Target};
use crate::deploy::run::Run;
use crate::journal::Fact;

/// Makes every check. Without findings, what was looked up on the way is known from here on: which image the tag means,
/// and which versions the secrets have.
pub(super) async fn look(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let mut redactor = run.redactor.clone();
    let target = Target {
        settings: &run.config.settings,
        release: run.release(),
        deployment: Some(&run.header().deployment),
        versions: run.secret_versions(),
    };
    let looked = preflight::look(run.host, &target, &mut redactor).await;
    run.redactor = redactor;
    if let Some(resolved) = &looked.image {
        run.redactor.learn(resolved.login.password.expose_secret());
    }
    for note in looked.found.notes {
        let note = run.redactor.redact(&note);
        tracing::warn!("{note}");
        run.notes.push(note);
    }
    match (looked.image, looked.secrets) {
        (Some(resolved), Some(reading)) if looked.found.findings.is_empty() => {
            run.login = Some(resolved.login);
            run.secrets = Some(reading.secrets);
            let versions = reading.versions.into_iter();
            let versions = versions.map(|(secret, version)| Fact::SecretVersion { secret, version });
            Ok([Fact::Image(resolved.image)].into_iter().chain(versions).collect())
        }
        _ => Err(StepError::Found(looked.found.findings)),
    }
}
