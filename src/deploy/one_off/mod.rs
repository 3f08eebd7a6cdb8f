//! `handover run`: a command in a container of its own, made like those of a release, for a migration or a shell at night.
//! It changes nothing of what serves, and takes no lock: somebody may sit at it for hours.

mod attend;
mod folder;

use attend::attend;
pub(super) use folder::{Folder, runs, sweep};

use super::containers::{self, Release};
use super::context::{Context, Gathered};
use super::serving::Live;
use super::{images, network, secrets};
use crate::config::Config;
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Docker, Spec};
use crate::model::{AppName, DeploymentId, Failure, ImageRef, ProcessName, ReleaseNumber, container_name};
use crate::printer::Talk;
use crate::signal::Termination;
use crate::state::{Record, Releases};
use crate::terminal;

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// The app.
    pub app: AppName,
    /// The process whose image and options are taken; the only one by default.
    pub process: Option<ProcessName>,
    /// The release; by default the one that serves, or else the newest that has an image.
    pub release: Option<ReleaseNumber>,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// Runs it, with both ends of this process, and returns its exit code.
pub async fn run(
    asked: &Asked,
    host: &Host,
    talk: &dyn Talk,
    termination: &Termination,
) -> Result<i64, Failure> {
    sweep(host, &asked.app).await;
    let releases = Releases::of(&host.paths.app(&asked.app));
    let chosen = choose(asked, host, &releases).await?;
    let folder = Folder::make(&runs(host, &asked.app), &chosen.name)?;
    let spec = prepare(&chosen, asked, host, &releases, &folder, talk).await?;
    let terminal = terminal::is_there();
    let id = host.docker.create_attended(&spec, terminal).await?;
    talk.say(&format!("  {} of {}, in container {}", chosen.process, chosen.record.release, spec.name));
    let ended = attend(&host.docker, &id, &spec, terminal, termination).await;
    let removed = host.docker.remove(&id).await;
    let code = ended?;
    removed?;
    Ok(code)
}

/// What it is made of.
struct Chosen {
    record: Record,
    config: Config,
    process: ProcessName,
    image: ImageRef,
    name: String,
}

async fn choose(asked: &Asked, host: &Host, releases: &Releases) -> Result<Chosen, Failure> {
    let app = &asked.app;
    let record = match asked.release {
        Some(number) => releases.record(number)?.ok_or_else(|| {
            let all: Vec<String> =
                releases.records().iter().map(|record| record.release.to_string()).collect();
            Failure::with_fix(
                format!("there is no {number} of {app}"),
                format!("--release takes one of: {}", all.join(", ")),
            )
        })?,
        None => the_one_that_serves(app, &host.docker, releases).await?,
    };
    let number = record.release;
    let config = releases.config(number)?.ok_or_else(|| {
        Failure::with_fix(format!("the configuration of {number} is lost"), "take another --release")
    })?;
    let names: Vec<&ProcessName> = config.settings.processes.keys().collect();
    let process = match (&asked.process, names.as_slice()) {
        (Some(process), _) if names.contains(&process) => process.clone(),
        (None, [only]) => (*only).clone(),
        (wrong, _) => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let what = match wrong {
                Some(process) => format!("{number} has no process '{process}'"),
                None => format!("{number} has several processes"),
            };
            return Err(Failure::with_fix(what, format!("--process takes one of: {}", names.join(", "))));
        }
    };
    let image =
        record.images.get(&config.settings.processes[&process].workload.image).cloned().ok_or_else(|| {
            Failure::with_fix(
                format!("{number} did not come so far that its image was known"),
                "take another --release, or deploy again",
            )
        })?;
    let name = container_name::one_off(app, &process, number, std::process::id());
    Ok(Chosen { record, config, process, image, name })
}

/// The release of what runs; where nothing does, the newest whose image is known, be it refused: a first migration is what
/// it may want.
async fn the_one_that_serves(app: &AppName, docker: &Docker, releases: &Releases) -> Result<Record, Failure> {
    let containers = docker.containers_of(app).await?;
    let live = containers.iter().filter(|container| super::serving::is_live_among(&containers, container));
    let running = live.filter(|container| container.running);
    let serving =
        running.filter_map(|container| container.labels.as_ref()).map(|labels| labels.release).max();
    let records = releases.records();
    let of = |number| records.iter().find(|record| record.release == number);
    let newest = || records.iter().rev().find(|record| !record.images.is_empty());
    serving.and_then(of).or_else(newest).cloned().ok_or_else(|| {
        Failure::with_fix(format!("no release of {app} is on record whose image is known"), "deploy a bundle")
    })
}

async fn prepare(
    chosen: &Chosen,
    asked: &Asked,
    host: &Host,
    releases: &Releases,
    folder: &Folder,
    talk: &dyn Talk,
) -> Result<Spec, Failure> {
    let Chosen { record, config, process, image, name } = chosen;
    let (settings, number) = (&config.settings, record.release);
    let deployment = DeploymentId::for_operator(jiff::Timestamp::now());
    let context =
        Context { talk, ..super::preview::as_if(config, host, releases.clone(), number, &Live::new()) };
    let mut gathered = Gathered::default();
    images::pull(
        &context,
        settings,
        number,
        &settings.processes[process].workload.image,
        image,
        &mut gathered,
    )
    .await?;
    // Those of now: an old password is a dead one.
    let known = std::collections::BTreeMap::new();
    let secrets = secrets::read(settings, &known, host, &mut gathered.redactor).await?.secrets;
    // Its own copy of the files: those of a refused release are gone, those of the live one are live's.
    let own = Releases::of(&folder.path);
    containers::write_files(settings, &secrets, &own, number)?;
    let release = Release { number, deployment: &deployment, config, releases: &own, kept: releases };
    let mut spec = containers::spec(&release, process, image, &secrets, name.clone(), Kind::Run)?;
    spec.command = Some(asked.command.clone());
    spec.publish.clear();
    network::ensure(&host.docker, settings, number, &record.deployment).await?;
    Ok(spec)
}
