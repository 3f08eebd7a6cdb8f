//! The containers of a release: what they are made of.

use super::context::Context;
use super::network;
use crate::config::{Config, Settings};
use crate::environment::{self, Secrets};
use crate::host::docker::labels::{Kind, Labels};
use crate::host::docker::{Joined, RestartPolicy, Spec, start};
use crate::journal::Facts;
use crate::model::container::Source;
use crate::model::{
    DeploymentId, Failure, ImageName, ImageRef, ProcessName, Publish, ReleaseNumber, network_name,
    volume_name,
};
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
    create_as(context, facts, process, secrets, context.new_name(process), Kind::Serve).await
}

/// The same of its candidate, on the network of candidates.
pub(super) async fn create_candidate(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
    secrets: &Secrets,
) -> Result<String, Failure> {
    let (docker, settings) = (&context.host.docker, context.settings());
    network::ensure_for_candidates(docker, settings, context.release(), &context.header.deployment).await?;
    create_as(context, facts, process, secrets, context.candidate_name(process), Kind::Bridge).await
}

async fn create_as(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
    secrets: &Secrets,
    name: String,
    kind: Kind,
) -> Result<String, Failure> {
    let spec = spec_of_run(context, facts, process, secrets, name, kind)?;
    let created = context.host.docker.create(&spec).await;
    created.map_err(|error| start::explained(error, &format!("process.{process}")))
}

/// What a container of this run's release is made of.
pub(super) fn spec_of_run(
    context: &Context<'_>,
    facts: &Facts,
    of: &ProcessName,
    secrets: &Secrets,
    name: String,
    kind: Kind,
) -> Result<Spec, Failure> {
    let workload = context.settings().workload(of);
    let image = workload.map_or(ImageName::default_image(), |workload| workload.image.clone());
    let release = Release {
        number: context.release(),
        deployment: &context.header.deployment,
        config: &context.config,
        releases: &context.releases,
        kept: &context.releases,
    };
    spec(&release, of, image_of(facts, &image)?, secrets, name, kind)
}

/// What a container of a release is made of.
pub(super) fn spec(
    release: &Release<'_>,
    process: &ProcessName,
    image: &ImageRef,
    secrets: &Secrets,
    name: String,
    kind: Kind,
) -> Result<Spec, Failure> {
    let settings = &release.config.settings;
    let workload = settings.workload(process).ok_or_else(|| {
        Failure::because(format!("the configuration of {} has no '{process}'", release.number))
    })?;
    let environment =
        environment::render(settings, workload, secrets).map_err(|errors| Failure::of_all(&errors))?;
    let files = settings.files_of(workload).into_keys();
    let files =
        files.map(|path| (release.releases.file(release.number, process, path), path.to_owned())).collect();
    let mut options = workload.options.clone();
    for volume in &mut options.volumes {
        match &mut volume.source {
            Source::Bundle(part) => {
                let place = release.kept.bundled(release.number, &part.path);
                volume.source = Source::Host(place.display().to_string());
            }
            Source::Release(name) => *name = volume_name::of_release(&settings.app, name, release.number),
            Source::Host(_) | Source::Volume(_) => {}
        }
    }
    Ok(Spec {
        name,
        labels: Labels {
            app: settings.app.clone(),
            process: process.clone(),
            release: release.number,
            deployment: release.deployment.clone(),
            kind: kind.clone(),
        },
        image: image.to_string(),
        command: workload.command.clone(),
        environment,
        files,
        publish: published(settings, process, &kind),
        stop_timeout: workload.stop_timeout,
        memory: workload.memory,
        // A container that has not passed its gate does not come back by itself.
        restart_policy: if kind == Kind::Service { RestartPolicy::UnlessStopped } else { RestartPolicy::No },
        // The network of one release would be no home for a service: it comes and goes.
        network: match kind {
            Kind::Service => None,
            Kind::Bridge => {
                network::joined(settings, release.number, workload, Some(process)).map(|joined| {
                    let name = network_name::of_candidates(&settings.app, release.number);
                    Joined { name, ..joined }
                })
            }
            kind => {
                let alias = (kind == Kind::Serve).then_some(process);
                network::joined(settings, release.number, workload, alias)
            }
        },
        options,
    })
}

/// The ports of the host that lead to a container. Those of live are taken: to a candidate lead ones that the Engine picks, at
/// the same addresses.
fn published(settings: &Settings, process: &ProcessName, kind: &Kind) -> Vec<Publish> {
    let mut publish = settings.processes.get(process).map(|its| its.publish.clone()).unwrap_or_default();
    if *kind == Kind::Bridge {
        for port in &mut publish {
            port.host = None;
        }
        publish.sort_by_key(|port| (port.container, port.address));
        publish.dedup();
    }
    publish
}

/// Whether a container of this run is there, and the image of its process that it starts with. The files that it is to have
/// cannot be made again: they are rendered once.
pub(super) async fn is_ready(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
    id: Option<&String>,
) -> Result<bool, Failure> {
    check_files(context.settings(), &context.releases, context.release())?;
    check_bundle(context.settings(), &context.releases, context.release())?;
    let docker = &context.host.docker;
    let Some(id) = id else { return Ok(false) };
    let image = image_of(facts, &context.process(process)?.workload.image)?;
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
    let mut files = settings.workloads().flat_map(|(of, workload)| {
        settings.files_of(workload).into_keys().map(move |path| releases.file(release, of, path))
    });
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
