//! The registry, asked until it answers or until asking is of no use.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use secrecy::ExposeSecret as _;

use super::clock::Clock;
use super::secrets;
use crate::config::Settings;
use crate::environment::{Field, Secrets};
use crate::host::Host;
use crate::host::docker::{Docker, DockerError, RegistryLogin};
use crate::host::registry::RegistryProblem;
use crate::host::registry::advice::{Request, Wanted};
use crate::model::{Auth, Explain as _, Failure, ImageName, ImageSource, Repository, RepositoryName};
use crate::printer::Talk;
use crate::redact::Redactor;
use crate::text::{chain, clean, duration, shorten_middle};

/// Kept of a hook's time: to say why there is no image.
const TO_REPORT: Duration = Duration::from_secs(5);

/// The longest quotation of a registry's words in a line about the next try.
const LONGEST_QUOTE: usize = 100;

/// The registry of an image, and how to log in there.
#[derive(Debug)]
pub struct Registry {
    image: ImageSource,
    /// Where username and password are, if they are in a secret: its name, and settings with no other secret.
    secret: Option<(String, Settings)>,
    /// The secrets that were read already.
    known: Secrets,
    /// The repository's whole name.
    pub repository: RepositoryName,
    login: Option<RegistryLogin>,
}

/// Who listens meanwhile, and how much time there is.
pub struct Terms<'a> {
    /// Where further tries are reported.
    pub talk: &'a dyn Talk,
    /// Learns the password.
    pub redactor: &'a mut Redactor,
    /// How much time there is.
    pub clock: Clock,
}

impl Terms<'_> {
    /// The same once more.
    pub fn again(&mut self) -> Terms<'_> {
        Terms { talk: self.talk, redactor: self.redactor, clock: self.clock }
    }
}

impl Registry {
    /// The registry of an image of an app. Nothing is sent to it yet. Of the secrets that are `known` none is read again.
    pub async fn of(
        host: &Host,
        settings: &Settings,
        name: &ImageName,
        known: Option<&Secrets>,
    ) -> Result<Self, Failure> {
        let image = settings.images.get(name).cloned();
        let image = image.ok_or_else(|| Failure::because(format!("there is no image '{name}'")))?;
        let repository = match &image.repository {
            // A whole name needs no AWS.
            Repository::Full(name) => name.clone(),
            here @ Repository::Here(_) => host.aws.get().await?.full_name(here).await?,
        };
        let secret = match &image.auth {
            Auth::Secret(name) => Some((name.clone(), with_only(settings, name))),
            Auth::Ecr | Auth::None => None,
        };
        Ok(Self { image, secret, known: known.cloned().unwrap_or_default(), repository, login: None })
    }

    /// The tag that is deployed.
    pub fn tag(&self) -> &str {
        &self.image.tag
    }

    /// Asks, and asks again where that may help: after pauses with jitter, because a fleet asks at the same time; with a
    /// fresh token of ECR's where the last one was not taken, because on a first boot it may take seconds until the role's
    /// credentials count everywhere.
    pub async fn ask<T>(
        &mut self,
        host: &Host,
        mut wanted: Wanted<'_>,
        terms: Terms<'_>,
        attempt: impl AsyncFn(&Docker, Option<&RegistryLogin>) -> Result<T, DockerError>,
    ) -> Result<T, Failure> {
        let docker = &host.docker;
        let whole = docker.patience().whole;
        let time = terms.clock.left(TO_REPORT).map_or(whole, |left| left.min(whole));
        let deadline = Instant::now() + time;
        let mut pauses = pauses(docker);
        for tried in 1.. {
            let login = self.login(host, terms.redactor).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match tokio::time::timeout(left, attempt(docker, login.as_ref())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.out_of_time(wanted, time)),
            };
            let trouble = RegistryProblem::of(&error);
            if let (RegistryProblem::NoManifest, Wanted::Tag(tag)) = (trouble, wanted)
                && host.image_sizes.know_tag(&self.repository, tag, login.as_ref()).await
            {
                wanted = Wanted::Filling(tag);
            }
            let pause = pauses.next().unwrap_or_default();
            let has_time = Instant::now() + pause < deadline;
            if tried >= self.tries(trouble, wanted) || !has_time {
                return Err(self.explained(&error, trouble, wanted, tried));
            }
            if trouble == RegistryProblem::Unauthorized {
                self.login = None;
            }
            let why = shorten_middle(&clean(&terms.redactor.redact(&chain(&error))), LONGEST_QUOTE);
            tracing::warn!(tried, "{}", clean(&terms.redactor.redact(&chain(&error))));
            terms.talk.say(&format!("  asking again in {:.1} s: {why}", pause.as_secs_f32()));
            tokio::time::sleep(pause).await;
        }
        unreachable!("there is no end of numbers")
    }

    /// Only a token of ECR's can be had afresh. What a tag means has to be there: a pull-through cache names the digest
    /// before it has the image.
    fn tries(&self, trouble: RegistryProblem, wanted: Wanted<'_>) -> usize {
        match (trouble, wanted) {
            (RegistryProblem::Unauthorized, _) if self.image.auth != Auth::Ecr => 1,
            (RegistryProblem::NoManifest, Wanted::Filling(_) | Wanted::Digest(_)) => {
                RegistryProblem::Unreachable.tries()
            }
            _ => trouble.tries(),
        }
    }

    /// How to log in; asked for once, and after a refusal.
    pub async fn login(
        &mut self,
        host: &Host,
        redactor: &mut Redactor,
    ) -> Result<Option<RegistryLogin>, Failure> {
        if self.login.is_none() && self.image.auth != Auth::None {
            let login = self.fresh_login(host, redactor).await?;
            redactor.learn(login.password.expose_secret());
            self.login = Some(login);
        }
        Ok(self.login.clone())
    }

    async fn fresh_login(&self, host: &Host, redactor: &mut Redactor) -> Result<RegistryLogin, Failure> {
        let registry = &self.repository.host;
        let Some((name, settings)) = &self.secret else {
            let aws = host.aws.get().await?;
            return Ok(aws.registry_login(registry, &aws.region(&self.image).await?).await?);
        };
        let read = match self.known.get(name) {
            Some(_) => self.known.clone(),
            None => secrets::read(settings, &BTreeMap::new(), host, redactor).await?.secrets,
        };
        let (fields, source) = (&read[name], &settings.secrets[name]);
        let field = |key: &str| {
            if let Some(Field::Text(text)) = fields.get(key) {
                return Ok(text.clone());
            }
            let present: Vec<String> = fields.keys().map(|key| format!("'{key}'")).collect();
            Err(Failure::because(format!(
                "the login of registry '{registry}' needs a text in field '{key}' of secret {name} ({source}), which has {}",
                present.join(", ")
            )))
        };
        Ok(RegistryLogin {
            user: field("username")?.expose_secret().to_owned(),
            password: field("password")?,
            host: registry.clone(),
        })
    }

    fn explained(
        &self,
        error: &DockerError,
        trouble: RegistryProblem,
        wanted: Wanted<'_>,
        tried: usize,
    ) -> Failure {
        let text = chain(error);
        let repository = &self.repository;
        let region = self.image.region.as_deref();
        let asked = Request { repository, auth: &self.image.auth, region, wanted };
        let times = if tried > 1 { format!(" (asked {tried} times)") } else { String::new() };
        let advice = asked.advice(trouble, &text).or_else(|| error.fix()).unwrap_or_default();
        Failure::with_fix(format!("{text}{times}"), advice)
    }

    fn out_of_time(&self, wanted: Wanted<'_>, time: Duration) -> Failure {
        let what = match wanted {
            Wanted::Tag(tag) | Wanted::Filling(tag) => {
                format!("find '{}:{tag}' in its registry", self.repository)
            }
            Wanted::Pinned(digest) => format!("find '{}@{digest}' in its registry", self.repository),
            Wanted::Digest(digest) => format!("pull '{}@{digest}'", self.repository),
        };
        Failure::with_fix(
            format!("Docker did not {what} within the {} that were left for it", duration(time)),
            "give the hook a longer timeout in appspec.yml, or look why the registry is slow",
        )
    }
}

/// Nothing is rendered from it, and nothing else is read.
fn with_only(settings: &Settings, secret: &str) -> Settings {
    let mut only = settings.clone();
    only.secrets.retain(|name, _| name == secret);
    only.environment.clear();
    only.files.clear();
    only.processes.clear();
    only
}

fn pauses(docker: &Docker) -> impl Iterator<Item = Duration> + use<> {
    let patience = docker.patience();
    ExponentialBuilder::default()
        .with_min_delay(patience.first_pause)
        .with_max_delay(patience.longest_pause)
        .with_jitter()
        .without_max_times()
        .build()
}
