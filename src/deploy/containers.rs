//! The containers of a release: what they are made of.

use super::context::Context;
use crate::config::{Config, Settings};
use crate::environment::{self, Secrets};
use crate::host::docker::Spec;
use crate::host::docker::labels::{Kind, Labels};
use crate::journal::Facts;
use crate::model::container::Source;
use crate::model::{DeploymentId, Failure, ImageName, ImageRef, ProcessName, ReleaseNumber};
use crate::state::Releases;

/// Whose a container is to be.
pub(super) struct Release<'a> {
    pub(super) number: ReleaseNumber,
    pub(super) deployment: &'a DeploymentId,
    pub(super) config: &'a Config,
    /// Where its rendered files are.
    pub(super) releases: &'a Releases,
    /// Where its part of the bundle is kept.
    pub(super) kept: &'a Releases,
}

/// Creates this run's container of a process, not started, and returns its id.
pub(super) async fn create(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
    secrets: &Secrets,
) -> Result<String, Failure> {
    let image = image_of(facts, &context.process(process)?.image)?;
    let release = Release {
        number: context.release(),
        deployment: &context.header.deployment,
        config: &context.config,
        releases: &context.releases,
        kept: &context.releases,
    };
    let spec = spec(&release, process, image, secrets, context.new_name(process))?;
    Ok(context.host.docker.create(&spec).await?)
}

/// What a container of a release is made of.
pub(super) fn spec(
    release: &Release<'_>,
    process: &ProcessName,
    image: &ImageRef,
    secrets: &Secrets,
    name: String,
) -> Result<Spec, Failure> {
    let settings = &release.config.settings;
    let environment = environment::render(settings, secrets).map_err(|errors| Failure::of_all(&errors))?;
    let files = settings.files.keys();
    let files = files.map(|path| (release.releases.file(release.number, path), path.clone())).collect();
    let its = settings.processes.get(process).ok_or_else(|| {
        Failure::because(format!("the configuration of {} has no process '{process}'", release.number))
    })?;
    let mut options = its.options.clone();
    for volume in &mut options.volumes {
        if let Source::Bundle(part) = &volume.source {
            let place = release.kept.bundled(release.number, &part.path);
            volume.source = Source::Host(place.display().to_string());
        }
    }
    Ok(Spec {
        name,
        labels: Labels {
            app: settings.app.clone(),
            process: process.clone(),
            release: release.number,
            deployment: release.deployment.clone(),
            kind: Kind::Serve,
        },
        image: image.to_string(),
        command: its.command.clone(),
        environment,
        files,
        publish: its.publish.clone(),
        stop_timeout: its.stop_timeout,
        memory: its.memory,
        options,
    })
}

/// Whether this run's container of a process is there, and the image that it starts with. The files that it is to have
/// cannot be made again: they are rendered once.
pub(super) async fn is_ready(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
) -> Result<bool, Failure> {
    check_files(context.settings(), &context.releases, context.release())?;
    check_bundle(context.settings(), &context.releases, context.release())?;
    let docker = &context.host.docker;
    let Some(id) = facts.new.get(process) else { return Ok(false) };
    let image = image_of(facts, &context.process(process)?.image)?;
    Ok(docker.inspect(id).await?.is_some() && docker.has_image(image).await?)
}

/// Renders the files of a release and writes them.
pub(super) fn write_files(
    settings: &Settings,
    secrets: &Secrets,
    releases: &Releases,
    release: ReleaseNumber,
) -> Result<(), Failure> {
    let files = environment::render_files(settings, secrets).map_err(|errors| Failure::of_all(&errors))?;
    Ok(releases.write_files(release, files)?)
}

/// Without its files a container does not start.
pub(super) fn check_files(
    settings: &Settings,
    releases: &Releases,
    release: ReleaseNumber,
) -> Result<(), Failure> {
    let mut files = settings.files.keys().map(|path| releases.file(release, path));
    match files.find(|file| !file.is_file()) {
        None => Ok(()),
        Some(gone) => Err(Failure::with_fix(
            format!("the rendered files of {release} are gone: '{}'", gone.display()),
            "deploy again: they are rendered when a deployment begins",
        )),
    }
}

/// The same for what is mounted of its bundle.
fn check_bundle(settings: &Settings, releases: &Releases, release: ReleaseNumber) -> Result<(), Failure> {
    let places = settings.bundle.keys().map(|path| releases.bundled(release, path));
    match places.into_iter().find(|place| !place.exists()) {
        None => Ok(()),
        Some(gone) => Err(Failure::with_fix(
            format!("what {release} needs of its bundle is gone: '{}'", gone.display()),
            "deploy again: it is copied when a deployment begins",
        )),
    }
}

/// The image that the journal says was resolved.
pub(super) fn image_of<'f>(facts: &'f Facts, name: &ImageName) -> Result<&'f ImageRef, Failure> {
    facts
        .images
        .get(name)
        .ok_or_else(|| Failure::because(format!("the journal does not say which image '{name}' is")))
}
