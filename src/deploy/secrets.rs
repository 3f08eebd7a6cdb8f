//! Reading every secret: side by side, each version once, and with every failure reported by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::settings::{SecretSource, Settings, StoredParameter, StoredSecret};
use crate::environment::{self, Field, Secrets};
use crate::host::Host;
use crate::host::aws::{Aws, AwsError, ParameterVersion, ParametersBelow, SecretValue, SecretVersion};
use crate::model::{Failure, Finding, ReleaseNumber};
use crate::redact::{Redactor, is_open};
use crate::text::chain;

use super::kept;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The fields of every secret.
    pub(super) secrets: Secrets,
    /// The version of each secret that AWS gave, by its name in the configuration.
    pub(super) versions: BTreeMap<String, String>,
    /// The secrets that it did not give, and that are known from what is kept here.
    pub(super) kept: BTreeSet<String>,
    /// What is worth knowing of them.
    pub(super) notes: Vec<String>,
}

/// A release that is gone back to: what is kept of it may stand in for AWS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier<'a> {
    /// The release.
    pub(super) to: ReleaseNumber,
    /// The secrets that AWS did not give earlier in this deployment: it is not asked again, so that a deployment has one version.
    pub(super) kept: &'a BTreeSet<String>,
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
    read_or_keep(settings, known, host, redactor, None).await
}

/// The same; of a release that is gone back to, what AWS does not give is taken from what is kept.
pub(super) async fn read_or_keep(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
    redactor: &mut Redactor,
    earlier: Option<Earlier<'_>>,
) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    let mut failures = Vec::new();
    let mut ungiven = BTreeMap::new();
    let answers = match (ask_for(settings, known, host, earlier).await, earlier) {
        (Err(error), Some(_)) => {
            let finding = Finding::of(&error);
            let all = settings.secrets.iter().filter(|(_, source)| !source.is_literal());
            all.map(|(name, _)| (name.clone(), Err(finding.clone()))).collect()
        }
        (answers, _) => answers?,
    };
    for (name, source) in &settings.secrets {
        match answers.get(name) {
            None if source.is_literal() => {}
            None => drop(ungiven.insert(name.clone(), None)),
            Some(Err(failure)) if earlier.is_some() => {
                ungiven.insert(name.clone(), Some(failure.clone()));
            }
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
    reading.secrets.extend(environment::literals(settings));
    let mut inexact = vec![];
    if let (Some(earlier), false) = (earlier, ungiven.is_empty()) {
        reading.kept = ungiven.keys().cloned().collect();
        let kept = kept::find(host, settings, earlier.to, &reading.kept).await?;
        reading.secrets.extend(kept.secrets);
        reading.notes = kept.notes;
        inexact = kept.inexact;
    }
    learn(&reading.secrets, redactor);
    if failures.is_empty() {
        let wrong = environment::check(settings, &reading.secrets);
        failures = if ungiven.is_empty() {
            wrong.iter().map(Finding::of).collect()
        } else {
            let wrong = wrong.iter().map(|error| chain(error)).chain(
                inexact.into_iter().map(|what| format!("{what} cannot be made again exactly as it was")),
            );
            not_kept(ungiven, &wrong.collect::<Vec<_>>())
        };
    }
    // Several tables may name one secret.
    failures.sort();
    failures.dedup();
    if failures.is_empty() { Ok(reading) } else { Err(Failure::found(failures)) }
}

/// The versions that the secrets have now, by their names in the configuration, or why one cannot be read. Nothing else of them is
/// looked at.
pub(super) async fn versions(
    settings: &Settings,
    host: &Host,
) -> Result<BTreeMap<String, Result<String, Finding>>, AwsError> {
    let answers = fetch(settings, &BTreeMap::new(), host).await?;
    Ok(answers.into_iter().map(|(name, answer)| (name, answer.map(|answer| answer.version))).collect())
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

/// Why secrets cannot be had, neither from AWS nor from what is kept. Nothing where nothing is lacking.
fn not_kept(ungiven: BTreeMap<String, Option<Finding>>, lacking: &[String]) -> Vec<Finding> {
    if lacking.is_empty() {
        return vec![];
    }
    let what = lacking.join("; ");
    let one = |(name, finding): (String, Option<Finding>)| {
        let finding =
            finding.unwrap_or_else(|| Finding::new("AWS did not give it earlier in this deployment", ""));
        let fix = if finding.fix.is_empty() { "make AWS reachable" } else { &finding.fix };
        Finding::new(
            format!("secret {name}: {}; and what is kept here lacks it: {what}", finding.what),
            format!("{fix}; or go back to another release (handover releases)"),
        )
    };
    ungiven.into_iter().map(one).collect()
}

/// Asks AWS for all but what is known not to come.
async fn ask_for(
    settings: &Settings,
    known: &BTreeMap<String, String>,
    host: &Host,
    earlier: Option<Earlier<'_>>,
) -> Result<BTreeMap<String, Result<Answer, Finding>>, AwsError> {
    match earlier.filter(|earlier| !earlier.kept.is_empty()) {
        None => fetch(settings, known, host).await,
        Some(earlier) => {
            let mut asked = settings.clone();
            asked.secrets.retain(|name, _| !earlier.kept.contains(name));
            fetch(&asked, known, host).await
        }
    }
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
