//! The image: which one the tag means, and its way here.

use super::StepError;
use crate::config::Settings;
use crate::deploy::registry::{Registry, Terms};
use crate::deploy::run::Run;
use crate::environment::Secrets;
use crate::host::Host;
use crate::host::docker::{Docker, Platform, RegistryLogin};
use crate::host::registry::advice::Wanted;
use crate::journal::Fact;
use crate::release::ImageRef;

/// What a tag means.
pub(in crate::deploy) struct Meaning<'a> {
    /// The image.
    pub(in crate::deploy) image: ImageRef,
    /// How much of it is to be pulled.
    pub(in crate::deploy) to_pull: ToPull,
    /// The registry that was asked.
    pub(in crate::deploy) registry: Registry<'a>,
}

/// How much of an image is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploy) enum ToPull {
    /// It is here.
    Nothing,
    /// So many bytes, compressed.
    Bytes(u64),
    /// The registry does not say, for this reason.
    Unknown(String),
}

/// Asks the registry what the tag means: once per deployment, from here on the digest is the release. `secrets` are those
/// that were read already.
pub(in crate::deploy) async fn resolve<'a>(
    host: &'a Host,
    settings: &Settings,
    secrets: Option<&Secrets>,
    mut terms: Terms<'_>,
) -> Result<Meaning<'a>, StepError> {
    let mut registry = Registry::of(host, settings, secrets).await?;
    let image = meant_by(&mut registry, &settings.image.tag, terms.again()).await?;
    let to_pull = if host.docker.image(&image).await?.is_some() {
        ToPull::Nothing
    } else {
        let machine = host.docker.platform().await?;
        let login = registry.login(terms.redactor).await?;
        let size = host.scales.weigh(&image, &machine, login.as_ref()).await;
        size.map_or_else(ToPull::Unknown, ToPull::Bytes)
    };
    Ok(Meaning { image, to_pull, registry })
}

/// What a tag means now. An image that cannot run here is refused, if its registry tells what it is for.
async fn meant_by(registry: &mut Registry<'_>, tag: &str, terms: Terms<'_>) -> Result<ImageRef, StepError> {
    let name = registry.repository.to_string();
    let ask = async |docker: &Docker, login: Option<&RegistryLogin>| docker.resolve(&name, tag, login).await;
    let resolved = registry.ask(Wanted::Tag(tag), terms, ask).await?;
    if !resolved.platforms.is_empty() {
        let machine = registry.docker().platform().await?;
        if !resolved.platforms.iter().any(|platform| platform.runs_on(&machine)) {
            return Err(for_other_machines(&format!("{name}:{tag}"), &resolved.platforms, &machine));
        }
    }
    Ok(ImageRef { repository: name, digest: resolved.digest })
}

/// Pulls by digest. For an image that is here nobody is asked.
pub(super) async fn pull(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let image = resolved(run)?;
    let docker = &run.host.docker;
    if docker.image(&image).await?.is_none() {
        let mut registry = registry(run).await?;
        let talk = run.talk;
        let pull = registry.ask(Wanted::Digest(&image.digest), terms(run), async |docker, login| {
            docker.pull(&image, login, |progress| talk.progress(progress.done, progress.total)).await
        });
        pull.await?;
        run.registry = Some(registry);
    }
    // The registry need not have said what the image is for.
    let here = docker.image(&image).await?.and_then(|image| image.platform);
    let machine = docker.platform().await?;
    match here {
        Some(platform) if !platform.runs_on(&machine) => {
            Err(for_other_machines(&image.to_string(), &[platform], &machine))
        }
        _ => Ok(vec![]),
    }
}

fn resolved(run: &Run<'_>) -> Result<ImageRef, StepError> {
    let image = run.journal.history().image().cloned();
    image.ok_or_else(|| StepError::because("the journal does not say which image was resolved"))
}

/// The one that this process has asked before, with its password.
async fn registry<'a>(run: &mut Run<'a>) -> Result<Registry<'a>, StepError> {
    match run.registry.take() {
        Some(registry) => Ok(registry),
        None => Registry::of(run.host, &run.config.settings, run.secrets.as_ref()).await,
    }
}

fn terms<'r>(run: &'r mut Run<'_>) -> Terms<'r> {
    Terms { talk: run.talk, redactor: &mut run.redactor, clock: run.clock }
}

fn for_other_machines(image: &str, platforms: &[Platform], machine: &Platform) -> StepError {
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    StepError::because(format!(
        "'{image}' is for {}, and this machine is {machine}: build it for {machine} too (docker buildx build --platform {machine})",
        platforms.join(", ")
    ))
}
