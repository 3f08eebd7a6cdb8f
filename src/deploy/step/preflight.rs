//! Whatever would make the deployment fail is looked for before anything is touched.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::preflight::{self, Target};
use crate::deploy::registry::Terms;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};

/// Makes every check. Without findings, what was looked up on the way holds from then on: which image each tag means, and
/// which versions the secrets have.
pub struct Preflight;

#[async_trait(?Send)]
impl Step for Preflight {
    fn verb(&self) -> &'static str {
        "preflight"
    }

    fn words(&self) -> &'static str {
        "check the host, the registry and the secrets"
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
        let target = Target {
            settings: context.settings(),
            release: context.release(),
            deployment: Some(&context.header.deployment),
            versions: &facts.secret_versions,
            rollback: context.header.rollback.as_ref(),
        };
        let terms = Terms { talk: context.talk, redactor: &mut gathered.redactor, clock: context.clock };
        let looked = preflight::look(context.host, &target, terms).await;
        for note in looked.found.notes {
            let note = gathered.redactor.redact(&note);
            tracing::warn!("{note}");
            gathered.notes.push(note);
        }
        if !looked.found.findings.is_empty() {
            return Err(Failure::found(looked.found.findings));
        }
        let mut found = Vec::new();
        for (name, meaning) in looked.images {
            if let Some(registry) = meaning.registry {
                gathered.registries.insert(name.clone(), registry);
            }
            found.push(Fact::Image { name, image: meaning.image });
        }
        if let Some(reading) = looked.secrets {
            gathered.secrets = Some(reading.secrets);
            let versions = reading.versions.into_iter();
            found.extend(versions.map(|(secret, version)| Fact::SecretVersion { secret, version }));
        }
        Ok(found)
    }
}
