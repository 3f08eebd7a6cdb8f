//! The images: which ones their tags mean, and their way here.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::context::{Context, Gathered};
use super::preflight::{self, Found};
use super::registry::{Registry, Terms};
use super::rollback::by_our_tag;
use super::serving;
use crate::config::Settings;
use crate::environment::Secrets;
use crate::host::Host;
use crate::host::docker::{Docker, LocalImage, Platform, Progress, RegistryLogin};
use crate::host::registry::advice::Wanted;
use crate::journal::{Facts, Rollback};
use crate::model::{Failure, FailureKind, ImageDigest, ImageName, ImageRef, ReleaseNumber, image_tag};
use crate::printer::Talk;
use crate::redact::Redactor;

/// What a tag means.
pub(super) struct Meaning {
    /// The image.
    pub(super) image: ImageRef,
    /// How much of it is to be pulled.
    pub(super) to_pull: ToPull,
    /// What it says of itself, if it is here.
    pub(super) local: Option<LocalImage>,
    /// The registry that was asked, with its password; none for an image that was here before.
    pub(super) registry: Option<Registry>,
}

/// How much of an image is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToPull {
    /// It is here.
    Nothing,
    /// So many bytes, compressed.
    Bytes(u64),
    /// The registry does not say, for this reason.
    Unknown(String),
}

/// Finds out what the tag of an image means: once per deployment, from here on the digest is the release. Where the bundle does
/// not say, the registry is asked. `secrets` are those that were read already.
pub(super) async fn resolve(
    host: &Host,
    settings: &Settings,
    name: &ImageName,
    secrets: Option<&Secrets>,
    mut terms: Terms<'_>,
) -> Result<Meaning, Failure> {
    if let Some(called) = settings.images.get(name).and_then(|source| source.local.as_ref()) {
        return on_this_instance(host, called).await;
    }
    let mut registry = Registry::of(host, settings, name, secrets).await?;
    let pinned = settings.images.get(name).and_then(|source| source.pinned.clone());
    let is_pinned = pinned.is_some();
    let image = match pinned {
        Some(digest) => ImageRef { repository: registry.repository.to_string(), digest },
        None => meant_by(host, &mut registry, terms.again()).await?,
    };
    let local = host.docker.image(&image).await?;
    if is_pinned && local.is_none() {
        // For one that is here nobody is asked: its registry may have lost it since.
        found(host, &mut registry, Wanted::Pinned(&image.digest), &image.to_string(), terms.again()).await?;
    }
    let to_pull = if local.is_some() {
        ToPull::Nothing
    } else {
        let machine = host.docker.platform().await?;
        let login = registry.login(host, terms.redactor).await?;
        let size = host.image_sizes.of(&image, &machine, login.as_ref()).await;
        size.map_or_else(ToPull::Unknown, ToPull::Bytes)
    };
    Ok(Meaning { image, to_pull, local, registry: Some(registry) })
}

/// An image of a release that is gone back to: what its tag means now is no matter. For one that is here nobody is asked, and it is
/// found by our own tag, too.
pub(super) async fn of_earlier(
    host: &Host,
    settings: &Settings,
    name: &ImageName,
    rollback: &Rollback,
    secrets: Option<&Secrets>,
) -> Result<Meaning, Failure> {
    let here = |image, local| Meaning { image, to_pull: ToPull::Nothing, local, registry: None };
    let lost = || Failure::because(format!("the record of {} does not name its image '{name}'", rollback.to));
    let image = rollback.images.get(name).ok_or_else(lost)?;
    if let Some(local) = host.docker.image(image).await? {
        return Ok(here(image.clone(), Some(local)));
    }
    if let Some(local) = by_our_tag(&settings.app, host, rollback.to, name).await?
        && let Ok(id) = local.id.parse()
    {
        return Ok(here(ImageRef::local(id), Some(local)));
    }
    let gone = format!("image '{name}' of {} is gone from this instance", rollback.to);
    if image.is_local() {
        return Err(Failure::with_fix(
            format!("{gone}, and no registry has it"),
            "load it again, or go back to another release (handover releases)",
        ));
    }
    // It is asked when the image is pulled: by its digest, which says all there is to know.
    let registry = Registry::of(host, settings, name, secrets).await.map_err(|failure| Failure {
        what: format!("{gone}, and its registry cannot be asked: {}", failure.what),
        ..failure
    })?;
    let size = "it is pulled by its digest".to_owned();
    Ok(Meaning {
        image: image.clone(),
        to_pull: ToPull::Unknown(size),
        local: None,
        registry: Some(registry),
    })
}

/// An image that somebody has built or loaded here. Its name may move to another one: from here on its id counts.
async fn on_this_instance(host: &Host, called: &str) -> Result<Meaning, Failure> {
    let Some(local) = host.docker.image_called(called).await? else {
        return Err(Failure::with_fix(
            format!(
                "image '{called}' is not on this instance, and local = true in [image] asks no registry for it"
            ),
            "build it or load it here first (docker load -i FILE; 'docker image ls' shows what is here), or remove local = true to pull it",
        ));
    };
    let machine = host.docker.platform().await?;
    if let Some(platform) = local.platform.clone().filter(|platform| !platform.runs_on(&machine)) {
        return Err(for_other_machines(called, &[platform], &machine));
    }
    let id = local.id.parse();
    let id = id.map_err(|_| Failure::because(format!("Docker does not say the id of image '{called}'")))?;
    Ok(Meaning { image: ImageRef::local(id), to_pull: ToPull::Nothing, local: Some(local), registry: None })
}

/// What a tag means now.
async fn meant_by(host: &Host, registry: &mut Registry, terms: Terms<'_>) -> Result<ImageRef, Failure> {
    let (repository, tag) = (registry.repository.to_string(), registry.tag().to_owned());
    let digest = found(host, registry, Wanted::Tag(&tag), &format!("{repository}:{tag}"), terms).await?;
    Ok(ImageRef { repository, digest })
}

/// Looks an image up in its registry. One that cannot run here is refused, if its registry tells what it is for.
async fn found(
    host: &Host,
    registry: &mut Registry,
    wanted: Wanted<'_>,
    name: &str,
    terms: Terms<'_>,
) -> Result<ImageDigest, Failure> {
    let ask = async |docker: &Docker, login: Option<&RegistryLogin>| docker.resolve(name, login).await;
    let resolved = registry.ask(host, wanted, terms, ask).await?;
    if !resolved.platforms.is_empty() {
        let machine = host.docker.platform().await?;
        if !resolved.platforms.iter().any(|platform| platform.runs_on(&machine)) {
            return Err(for_other_machines(name, &resolved.platforms, &machine));
        }
    }
    Ok(resolved.digest)
}

/// Pulls every image of a run by its digest, once and side by side. For one that is here nobody is asked.
pub(super) async fn pull_all(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let mut wanted = vec![];
    for name in context.settings().images.keys() {
        wanted.push((name, super::containers::image_of(facts, name)?));
    }
    let pulled = Pulled::default();
    let registries = &mut gathered.registries;
    let fetched = join_all(wanted.iter().enumerate().map(|(nth, (name, image))| {
        // Two names may mean one image.
        let is_first = !wanted[..nth].iter().any(|(_, other)| other == image);
        let registry = registries.remove(*name);
        let secrets = gathered.secrets.as_ref();
        let pulled = &pulled;
        async move {
            if !is_first {
                return (Ok(registry), Redactor::default());
            }
            let mut redactor = Redactor::default();
            let terms = Terms { talk: context.talk, redactor: &mut redactor, clock: context.clock };
            let from = From { settings: context.settings(), name, registry, secrets };
            let fetched =
                Box::pin(fetch(context.host, from, image, terms, &|p| pulled.add(nth, p, context.talk)))
                    .await;
            (fetched, redactor)
        }
    }))
    .await;
    let mut findings = vec![];
    for ((name, _), (fetched, learnt)) in wanted.iter().zip(fetched) {
        gathered.redactor.learn_all(learnt);
        match fetched {
            Ok(registry) => gathered.registries.extend(registry.map(|registry| ((*name).clone(), registry))),
            Err(failure) if wanted.len() == 1 => return Err(failure),
            Err(failure) => findings.push(failure),
        }
    }
    if let Some(failure) = first_of(findings) {
        return Err(failure);
    }
    for (name, image) in wanted {
        keep(context.host, context.settings(), context.release(), name, image).await?;
    }
    Ok(())
}

/// One failure of several: what is passing or interrupts counts as that, for it is tried again with all of them.
fn first_of(failures: Vec<Failure>) -> Option<Failure> {
    let kinds = |failure: &Failure| failure.kind != FailureKind::Refused;
    let other = failures.iter().position(kinds);
    match (other, failures.len()) {
        (Some(nth), _) => failures.into_iter().nth(nth),
        (None, 0 | 1) => failures.into_iter().next(),
        (None, _) => Some(Failure::found(failures.into_iter().flat_map(Failure::into_findings).collect())),
    }
}

/// How much of several images is here.
#[derive(Default)]
struct Pulled(RefCell<BTreeMap<usize, Progress>>);

impl Pulled {
    fn add(&self, nth: usize, progress: Progress, talk: &dyn Talk) {
        let mut all = self.0.borrow_mut();
        all.insert(nth, progress);
        let sum = |part: fn(&Progress) -> u64| all.values().map(part).sum();
        talk.progress(sum(|progress| progress.done), sum(|progress| progress.total));
    }
}

/// Looks at what the images say of themselves, now that they are here. What only may go wrong is noted.
pub(super) async fn check_all(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let (docker, settings) = (&context.host.docker, context.settings());
    let live = serving::live_of_all(docker, settings).await?;
    let mut found = Found::default();
    for name in settings.images.keys() {
        if let Some(image) = docker.image(super::containers::image_of(facts, name)?).await? {
            preflight::image::check(name, &image, settings, &live, &mut found);
        }
    }
    for note in found.notes {
        // Preflight has said it of an image that was here already.
        if !gathered.notes.contains(&note) {
            tracing::warn!("{note}");
            gathered.notes.push(note);
        }
    }
    if found.findings.is_empty() { Ok(()) } else { Err(Failure::found(found.findings)) }
}

/// Pulls an image by its digest, as the settings of its release say, and keeps it as that release's.
pub(super) async fn pull(
    context: &Context<'_>,
    settings: &Settings,
    release: ReleaseNumber,
    name: &ImageName,
    image: &ImageRef,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let registry = gathered.registries.remove(name);
    let talk = context.talk;
    let terms = Terms { talk, redactor: &mut gathered.redactor, clock: context.clock };
    let from = From { settings, name, registry, secrets: gathered.secrets.as_ref() };
    let registry =
        fetch(context.host, from, image, terms, &|progress| talk.progress(progress.done, progress.total))
            .await?;
    gathered.registries.extend(registry.map(|registry| (name.clone(), registry)));
    keep(context.host, settings, release, name, image).await
}

/// Where an image comes from.
struct From<'a> {
    settings: &'a Settings,
    name: &'a ImageName,
    /// The registry, if this process has asked it before.
    registry: Option<Registry>,
    secrets: Option<&'a Secrets>,
}

/// Brings an image here by its digest, unless it is here. Returns the registry, with its password, for the next time.
async fn fetch(
    host: &Host,
    from: From<'_>,
    image: &ImageRef,
    terms: Terms<'_>,
    told: &dyn Fn(Progress),
) -> Result<Option<Registry>, Failure> {
    let From { settings, name, registry, secrets } = from;
    let is_here = host.docker.has_image(image).await?;
    if is_here {
        return Ok(registry);
    }
    if image.is_local() {
        return Err(Failure::with_fix(
            format!("image '{image}', which was on this instance, is gone, and no registry has it"),
            "build it or load it again, then deploy again",
        ));
    }
    let mut registry = match registry {
        Some(registry) => registry,
        None => Registry::of(host, settings, name, secrets).await?,
    };
    let pull = registry.ask(host, Wanted::Digest(&image.digest), terms, async |docker, login| {
        docker.pull(image, login, told).await
    });
    pull.await?;
    Ok(Some(registry))
}

/// Sees that an image runs here, and tags it as its release's: somebody's cron job may prune what has no tag.
async fn keep(
    host: &Host,
    settings: &Settings,
    release: ReleaseNumber,
    name: &ImageName,
    image: &ImageRef,
) -> Result<(), Failure> {
    let docker = &host.docker;
    // The registry need not have said what the image is for.
    let here = docker.image(image).await?.and_then(|image| image.platform);
    let machine = docker.platform().await?;
    match here {
        Some(platform) if !platform.runs_on(&machine) => {
            return Err(for_other_machines(&image.to_string(), &[platform], &machine));
        }
        _ => {}
    }
    let (repository, tag) = (image_tag::repository(&settings.app), image_tag::of_release(name, release));
    Ok(docker.tag_image(image, &repository, &tag).await?)
}

fn for_other_machines(image: &str, platforms: &[Platform], machine: &Platform) -> Failure {
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    Failure::with_fix(
        format!("'{image}' is for {}, and this machine is {machine}", platforms.join(", ")),
        format!("build it for {machine} too (docker buildx build --platform {machine})"),
    )
}
