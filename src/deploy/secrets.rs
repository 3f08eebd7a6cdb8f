//! Reading every secret: side by side, each version once, and with every failure reported by itself.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use crate::config::settings::{Settings, StoredSecret};
use crate::environment::{self, Field, Secrets};
use crate::host::Host;
use crate::host::aws::{AwsError, SecretValue, SecretVersion};
use crate::model::{Failure, Finding};
use crate::redact::{Redactor, is_open};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The fields of every secret.
    pub(super) secrets: Secrets,
    /// The version of each secret of Secrets Manager, by its name in the configuration.
    pub(super) versions: BTreeMap<String, String>,
}

/// Reads every secret, in the versions that are `known` from earlier in this deployment, and sees that the environment
/// and the files can be rendered from them. What it reads, the redactor learns. Fails with everything that is wrong:
/// people fix it all at once.
pub(super) async fn read(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
    redactor: &mut Redactor,
) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    let mut failures = Vec::new();
    let answers = fetch(settings, known, host).await?;
    for (name, source) in &settings.secrets {
        let Some(stored) = source.stored() else { continue };
        match &answers[name] {
            Ok(value) => {
                redactor.learn(value.text.expose_secret());
                reading.versions.insert(name.clone(), value.version.clone());
                match environment::of_stored(name, stored, &value.text) {
                    Ok(fields) => drop(reading.secrets.insert(name.clone(), fields)),
                    Err(error) => failures.push(Finding::of(&error)),
                }
            }
            Err(failure) => failures.push(failure.clone()),
        }
    }
    reading.secrets.extend(literals(settings));
    learn(&reading.secrets, redactor);
    if failures.is_empty() {
        let wrong = [
            environment::render(settings, &reading.secrets).err(),
            environment::render_files(settings, &reading.secrets).err(),
        ];
        failures = wrong.into_iter().flatten().flatten().map(|error| Finding::of(&error)).collect();
    }
    // Several tables may name one secret.
    failures.sort();
    failures.dedup();
    if failures.is_empty() { Ok(reading) } else { Err(Failure::found(failures)) }
}

fn literals(settings: &Settings) -> impl Iterator<Item = (String, environment::Fields)> {
    settings.secrets.iter().filter_map(|(name, source)| match source {
        crate::config::settings::SecretSource::Literal { literal } => {
            Some((name.clone(), environment::of_literal(literal)))
        }
        crate::config::settings::SecretSource::Stored(_) => None,
    })
}

fn learn(secrets: &Secrets, redactor: &mut Redactor) {
    for (field, held) in secrets.values().flatten() {
        if let Field::Text(value) = held
            && !is_open(field)
        {
            redactor.learn(value.expose_secret());
        }
    }
}

/// Asks for each version once, however many tables name it: the answers by the names in the configuration.
async fn fetch(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
) -> Result<BTreeMap<String, Result<SecretValue, Finding>>, AwsError> {
    let stored: Vec<(&String, &StoredSecret)> =
        settings.secrets.iter().filter_map(|(name, source)| Some((name, source.stored()?))).collect();
    if stored.is_empty() {
        return Ok(BTreeMap::new());
    }
    let aws = host.aws.get().await?;
    let here = aws.region(settings.default_image()).await?;
    aws.check_credentials(&here).await?;
    let mut names: BTreeMap<SecretVersion, Vec<&String>> = BTreeMap::new();
    for (name, secret) in stored {
        names.entry(wanted(secret, known.get(name), &here)).or_default().push(name);
    }
    let answers = join_all(names.keys().map(|wanted| aws.secret(wanted))).await;
    let by_name = names.values().zip(answers).flat_map(|(names, answer)| {
        let answer = answer.map_err(|error| Finding::of(&error));
        names.iter().map(move |name| ((*name).clone(), answer.clone()))
    });
    Ok(by_name.collect())
}

/// A version that was read before is asked for by its id alone: meanwhile its label may stand at another.
fn wanted(secret: &StoredSecret, known: Option<&String>, here: &str) -> SecretVersion {
    let id = &secret.id;
    SecretVersion {
        secret: id.secret.clone(),
        region: id.region.clone().unwrap_or_else(|| here.to_owned()),
        stage: if known.is_some() { None } else { id.stage.clone() },
        version: known.or(id.version.as_ref()).cloned(),
    }
}
