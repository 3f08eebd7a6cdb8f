//! Secrets without AWS: what containers and rendered files that are kept here were given of them. Only a way back may use it: what
//! it finds was good once, and may be another one by now. It is written nowhere.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use crate::config::{Config, Settings};
use crate::environment::{self, Fields, Secrets};
use crate::fs;
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, DockerError};
use crate::model::ReleaseNumber;
use crate::state::Releases;

use super::serving;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The fields of each secret that was asked for, as far as they are known.
    pub(super) secrets: Secrets,
    /// For people: of when they are.
    pub(super) notes: Vec<String>,
    /// What cannot be made again exactly as it was.
    pub(super) inexact: Vec<String>,
}

/// A container that was given secrets, and the configuration by which it was.
struct Source {
    container: Container,
    config: Config,
    release: ReleaseNumber,
}

/// Finds these secrets of a release that is gone back to: in what its own parked containers were given, and where one of them is gone,
/// in what live's were.
pub(super) async fn find(
    host: &Host,
    settings: &Settings,
    to: ReleaseNumber,
    names: &BTreeSet<String>,
) -> Result<Kept, DockerError> {
    let releases = Releases::of(&host.paths.app(&settings.app));
    let containers = host.docker.containers_of(&settings.app).await?;
    let sources = sources(&releases, containers, to);
    let mut kept = Kept::default();
    for name in names {
        let (mut fields, mut from) = (Fields::new(), BTreeSet::new());
        for source in sources.iter().filter(|source| is_the_same(settings, &source.config.settings, name)) {
            for (field, value) in of_source(source, &releases, name) {
                if let Entry::Vacant(vacant) = fields.entry(field) {
                    vacant.insert(value);
                    from.insert(source.release);
                }
            }
        }
        kept.notes.extend(from.iter().map(|release| note(name, *release, &releases)));
        let fields = environment::completed(name, &settings.secrets[name], fields);
        kept.secrets.insert(name.clone(), fields.unwrap_or_default());
    }
    let all_kept = settings.secrets.iter().all(|(name, source)| source.is_literal() || names.contains(name));
    if all_kept {
        let mut secrets = kept.secrets.clone();
        secrets.extend(environment::literals(settings));
        kept.inexact = inexact(settings, &secrets, sources.iter().filter(|source| source.release == to));
    }
    Ok(kept)
}

/// Those of the release itself first.
fn sources(releases: &Releases, containers: Vec<Container>, to: ReleaseNumber) -> Vec<Source> {
    let of = |container: &Container| {
        container.labels.as_ref().filter(|labels| labels.kind == Kind::Serve).map(|labels| labels.release)
    };
    let is_live: Vec<bool> =
        containers.iter().map(|container| serving::is_live_among(&containers, container)).collect();
    let mut sources: Vec<Source> = vec![];
    for (container, is_live) in containers.into_iter().zip(is_live) {
        let Some(release) = of(&container).filter(|release| *release == to || is_live) else { continue };
        let Ok(Some(config)) = releases.config(release) else { continue };
        sources.push(Source { container, config, release });
    }
    sources.sort_by_key(|source| source.release != to);
    sources
}

/// Whether a name means the same secret in two configurations.
fn is_the_same(one: &Settings, other: &Settings, name: &str) -> bool {
    one.secrets.get(name).map(ToString::to_string) == other.secrets.get(name).map(ToString::to_string)
}

/// The fields of a secret that a container was given.
fn of_source(source: &Source, releases: &Releases, name: &str) -> Fields {
    let settings = &source.config.settings;
    let process = source.container.labels.as_ref().map(|labels| &labels.process);
    let Some((process, workload)) = process.and_then(|of| Some((of, settings.workload(of)?))) else {
        return Fields::new();
    };
    let files = settings.files_of(workload).into_iter().filter_map(|(path, file)| {
        let rendered = fs::read_if_there(&releases.file(source.release, process, path)).ok().flatten()?;
        Some((file.text.as_str(), rendered))
    });
    let files: Vec<(&str, String)> = files.collect();
    environment::fields_in(name, &source.container.environment, &files, settings, workload)
}

fn note(name: &str, release: ReleaseNumber, releases: &Releases) -> String {
    let record = releases.record(release).ok().flatten();
    let at = record.map_or_else(
        || "nobody knows when".to_owned(),
        |record| record.at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    );
    format!("secret {name} as of {at} ({release}), not verified: AWS does not give it now")
}

/// What would not be what the release's own containers were given: a template can hide where a value ends.
fn inexact<'s>(
    settings: &Settings,
    secrets: &Secrets,
    sources: impl Iterator<Item = &'s Source>,
) -> Vec<String> {
    let mut inexact = vec![];
    for source in sources {
        let process = source.container.labels.as_ref().map(|labels| &labels.process);
        let Some(workload) = process.and_then(|process| settings.workload(process)) else { continue };
        let changed = environment::changed(settings, workload, secrets, &source.container.environment);
        inexact.extend(changed.into_iter().map(|variable| format!("environment variable '{variable}'")));
    }
    inexact
}
