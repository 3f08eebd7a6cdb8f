//! Reading every secret: side by side, each version once, and with every failure reported by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::settings::{SecretSource, Settings, StoredParameter, StoredSecret};
use crate::environment::{self, Field, Secrets};
use crate::host::Host;
use crate::host::aws::{Aws, AwsError, ParameterVersion, ParametersBelow, SecretValue, SecretVersion};
use crate::model::{Failure, Finding};
use crate::redact::{Redactor, is_open};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The fields of every secret.
    pub(super) secrets: Secrets,
    /// The version of each secret that is no literal, by its name in the configuration.
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
        match answers.get(name) {
            // A literal.
            None => {}
            Some(Ok(answer)) => {
                if let Content::Text(text) = &answer.content {
                    redactor.learn(text.expose_secret());
                }
                reading.versions.insert(name.clone(), answer.version.clone());
                let fields = match &answer.content {
                    Content::Text(text) => environment::of_text(name, source, text),
                    Content::Fields(texts) => environment::of_texts(name, source, texts),
                };
                match fields {
                    Ok(fields) => drop(reading.secrets.insert(name.clone(), fields)),
                    Err(error) => failures.push(Finding::of(&error)),
                }
            }
            Some(Err(failure)) => failures.push(failure.clone()),
        }
    }
    reading.secrets.extend(literals(settings));
    learn(&reading.secrets, redactor);
    if failures.is_empty() {
        failures = environment::check(settings, &reading.secrets).iter().map(Finding::of).collect();
    }
    // Several tables may name one secret.
    failures.sort();
    failures.dedup();
    if failures.is_empty() { Ok(reading) } else { Err(Failure::found(failures)) }
}

/// How long it may take to find out what has changed: where that cannot be asked, nothing depends on it.
const SOON: Duration = Duration::from_secs(5);

/// The secrets that have another version by now than the one that was read earlier in this deployment, by their names in the
/// configuration; as far as that can be found out.
pub(super) async fn changed(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
) -> Vec<String> {
    match tokio::time::timeout(SOON, fetch(settings, &BTreeMap::new(), host)).await {
        Ok(Ok(answers)) => {
            let now = |name| answers.get(name)?.as_ref().ok().map(|answer| &answer.version);
            let other = known.iter().filter(|(name, read)| now(*name).is_some_and(|now| now != *read));
            other.map(|(name, _)| name.clone()).collect()
        }
        Ok(Err(error)) => {
            tracing::warn!("nobody can say whether a secret has changed: {error}");
            vec![]
        }
        Err(_) => {
            tracing::warn!("nobody can say whether a secret has changed: AWS did not answer in time");
            vec![]
        }
    }
}

fn literals(settings: &Settings) -> impl Iterator<Item = (String, environment::Fields)> {
    settings.secrets.iter().filter_map(|(name, source)| match source {
        SecretSource::Literal { literal } => Some((name.clone(), environment::of_literal(literal))),
        _ => None,
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

/// What is asked of AWS.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Secret(SecretVersion),
    Parameter(ParameterVersion),
    Parameters(ParametersBelow),
}

/// What AWS has answered.
#[derive(Debug, Clone)]
struct Answer {
    content: Content,
    version: String,
}

#[derive(Debug, Clone)]
enum Content {
    /// One text, of which the configuration says how it is read.
    Text(SecretString),
    /// The text of each field.
    Fields(BTreeMap<String, SecretString>),
}

impl Wanted {
    /// Nothing for a literal. A version that was read before is asked for alone: meanwhile its label may stand at another.
    fn of(source: &SecretSource, known: Option<&String>, here: &str) -> Option<Self> {
        let region = |own: &Option<String>| own.clone().unwrap_or_else(|| here.to_owned());
        Some(match source {
            SecretSource::Literal { .. } => return None,
            SecretSource::Stored(StoredSecret { id, .. }) => Self::Secret(SecretVersion {
                secret: id.secret.clone(),
                region: region(&id.region),
                stage: if known.is_some() { None } else { id.stage.clone() },
                version: known.or(id.version.as_ref()).cloned(),
            }),
            SecretSource::Parameter(StoredParameter { parameter: id, .. }) => {
                Self::Parameter(ParameterVersion {
                    parameter: id.parameter.clone(),
                    region: region(&id.region),
                    selector: known
                        .map(|version| ParameterVersion::selector_of(version))
                        .or_else(|| id.selector.clone()),
                })
            }
            SecretSource::Parameters(stored) => Self::Parameters(ParametersBelow {
                path: stored.parameters.as_str().to_owned(),
                region: here.to_owned(),
                known: known.cloned(),
            }),
        })
    }

    async fn ask(&self, aws: &Aws) -> Result<Answer, AwsError> {
        let one = |SecretValue { text, version }| Answer { content: Content::Text(text), version };
        match self {
            Self::Secret(version) => aws.secret(version).await.map(one),
            Self::Parameter(version) => aws.parameter(version).await.map(one),
            Self::Parameters(below) => {
                let read = aws.parameters(below).await?;
                Ok(Answer { content: Content::Fields(read.texts), version: read.version })
            }
        }
    }
}

/// Asks for each version once, however many tables name it: the answers by the names in the configuration.
async fn fetch(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
) -> Result<BTreeMap<String, Result<Answer, Finding>>, AwsError> {
    if settings.secrets.values().all(|source| matches!(source, SecretSource::Literal { .. })) {
        return Ok(BTreeMap::new());
    }
    let aws = host.aws.get().await?;
    let here = aws.region(settings.default_image()).await?;
    aws.check_credentials(&here).await?;
    let mut names: BTreeMap<Wanted, Vec<&String>> = BTreeMap::new();
    for (name, source) in &settings.secrets {
        if let Some(wanted) = Wanted::of(source, known.get(name), &here) {
            names.entry(wanted).or_default().push(name);
        }
    }
    let answers = join_all(names.keys().map(|wanted| wanted.ask(aws))).await;
    let by_name = names.values().zip(answers).flat_map(|(names, answer)| {
        let answer = answer.map_err(|error| Finding::of(&error));
        names.iter().map(move |name| ((*name).clone(), answer.clone()))
    });
    Ok(by_name.collect())
}
