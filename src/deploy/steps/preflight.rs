//! The first step: whatever would make the deployment fail is looked for before anything is touched.

use super::StepError;
use crate::deploy::preflight::{self, Target};
use crate::deploy::registry::Terms;
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
    let terms = Terms { talk: run.talk, redactor: &mut redactor, clock: run.clock };
    let looked = preflight::look(run.host, &target, terms).await;
    run.redactor = redactor;
    for note in looked.found.notes {
        let note = run.redactor.redact(&note);
        tracing::warn!("{note}");
        run.notes.push(note);
    }
    match (looked.image, looked.secrets) {
        (Some(meaning), Some(reading)) if looked.found.findings.is_empty() => {
            run.registry = Some(meaning.registry);
            run.secrets = Some(reading.secrets);
            let versions = reading.versions.into_iter();
            let versions = versions.map(|(secret, version)| Fact::SecretVersion { secret, version });
            Ok([Fact::Image(meaning.image)].into_iter().chain(versions).collect())
        }
        _ => Err(StepError::Found(looked.found.findings)),
    }
}
