//! The configuration: validated, with its defaults filled in, and no `Option` without a meaning.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use super::bundle_files::BundleFiles;
use super::container::resolve_options;
use super::diagnostic::Mistake;
pub use super::environment::{FileSource, Owner, Value};
use super::environment::{rendered_files, variables};
use super::file;
use super::health::resolve_health;
use super::image::resolve_image;
use super::ports::{check_ports, check_twice};
use super::secret::resolve_secret;
pub use super::secret::{
    ParameterId, ParameterPath, SecretFormat, SecretId, SecretSource, StoredParameter, StoredParameters,
    StoredSecret,
};
use super::time_span::{LONGEST, time_span_in};
use crate::model::container::{ContainerOptions, Network, Source};
use crate::model::{
    AppName, Bytes, Health, ImageName, ImageSource, Probe, ProcessName, Publish, is_docker_name,
};
use crate::suggest::nearest;

/// What a bundle asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// The app's name.
    pub app: AppName,
    /// Whether nothing here is worth protecting, so that secrets may be written into the file.
    pub disposable: bool,
    /// The images, by their names; `default` is that of every process which names none.
    pub images: BTreeMap<ImageName, ImageSource>,
    /// Where secrets come from, by the name that the rest of the file uses.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The environment of every process.
    pub environment: BTreeMap<String, Value>,
    /// The files that are rendered into every container, by their paths in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSource>,
    /// The long-running commands.
    pub processes: BTreeMap<ProcessName, Process>,
    /// What is kept of the bundle with the release, apart from templates: paths there, and where that is now. What counts
    /// of it is in the other settings.
    #[serde(skip)]
    pub bundle: BTreeMap<String, PathBuf>,
}

/// One long-running command.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Which of the images.
    pub image: ImageName,
    /// What runs; the image's own command when there is none.
    pub command: Option<Vec<String>>,
    /// The ports of the host that lead to it.
    pub publish: Vec<Publish>,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// The most memory it may use.
    pub memory: Option<Bytes>,
    /// A container that handover did not create, from which it takes over the first time. It is not part of a release.
    #[serde(skip)]
    pub replaces: Option<String>,
    /// Folders that its image declares as volumes and that may begin empty with each release. What is said here makes no
    /// other container.
    #[serde(skip)]
    pub anonymous_volumes: Vec<String>,
    /// When it counts as healthy.
    pub health: Health,
    /// What else its container is made of.
    #[serde(flatten)]
    pub options: ContainerOptions,
}

/// Whether two paths in a container are one: a slash at the end says nothing.
pub fn is_same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Docker's default of ten seconds is short for a web server that finishes its requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

impl Process {
    /// Whether what a release writes below `folder`, in a volume without a name, may be lost with it.
    pub fn may_lose(&self, folder: &str) -> bool {
        self.anonymous_volumes.iter().any(|said| is_same_path(said, folder))
    }

    /// What going back to the old release may take: the new container's stop, live's start and its gate.
    pub fn reserve(&self) -> Duration {
        const START: Duration = Duration::from_secs(5);
        const BOOT: Duration = Duration::from_secs(30);
        let gate = self.health.deadline.min(self.health.min_healthy.saturating_add(BOOT));
        self.stop_timeout.min(UNPROVEN_STOP).saturating_add(START).saturating_add(gate)
    }

    /// The least time that a switch needs, with what it needs to go back.
    pub fn shortest_switch(&self) -> Duration {
        self.stop_timeout.saturating_add(self.health.shortest()).saturating_add(self.reserve())
    }
}

/// The longest that a container which did not pass its gate may take to stop: nothing serves meanwhile.
pub const UNPROVEN_STOP: Duration = Duration::from_secs(10);

impl Settings {
    /// The image that `[image]` names: its region is that of secrets which name none.
    ///
    /// # Panics
    /// Never: there is no configuration without it.
    pub fn default_image(&self) -> &ImageSource {
        self.images.get(&ImageName::default_image()).expect("a configuration has [image]")
    }

    /// What going back to the old release may take: all of its processes, one after the other.
    pub fn reserve(&self) -> Duration {
        self.processes.values().map(Process::reserve).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The least time that a switch of all processes needs, with what it needs to go back.
    pub fn shortest_switch(&self) -> Duration {
        self.processes.values().map(Process::shortest_switch).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Validates a parsed file.
    pub(super) fn from_file(file: file::ConfigFile, files: &BundleFiles) -> Result<Self, Mistake> {
        let secrets = file
            .secret
            .into_iter()
            .map(|(name, secret)| {
                let source = resolve_secret(&name, secret.span(), secret.into_inner())?;
                Ok((name.into_inner(), source))
            })
            .collect::<Result<BTreeMap<_, _>, Mistake>>()?;
        let mut bundle: BTreeMap<_, _> =
            file.environment.from.iter().map(|path| files.find(path)).collect::<Result<_, _>>()?;
        let environment = variables(file.environment, &secrets, files)?;
        let rendered = rendered_files(file.file, &secrets, files)?;
        let span = file.process.span();
        let written = file.process.into_inner();
        if written.is_empty() {
            return Err(
                Mistake::at(span, "no process: there is nothing to deploy").help("add a table [process.web]")
            );
        }
        check_ports(&written)?;
        let mut processes = BTreeMap::new();
        for (name, process) in written {
            let (process, mounted) = resolve_process(process, &name, files)?;
            bundle.extend(mounted);
            processes.insert(name.into_inner(), process);
        }
        let images = BTreeMap::from([(ImageName::default_image(), resolve_image(file.image, &secrets)?)]);
        Ok(Self {
            app: file.app,
            disposable: file.disposable,
            images,
            secrets,
            environment,
            files: rendered,
            processes,
            bundle,
        })
    }
}

/// A process, and what it needs of the bundle.
fn resolve_process(
    process: file::Process,
    name: &Spanned<ProcessName>,
    files: &BundleFiles,
) -> Result<(Process, BTreeMap<String, PathBuf>), Mistake> {
    let publish: Vec<Publish> = process.publish.iter().map(|p| *p.get_ref()).collect();
    check_twice(&process.publish)?;
    check_order(process.order.as_ref(), !publish.is_empty(), name)?;
    if let Some(command) = process.command.as_ref().filter(|c| c.get_ref().is_empty()) {
        return Err(
            Mistake::at(command.span(), "the command is empty").help("leave it out to run the image's own")
        );
    }
    let mut options = resolve_options(&process)?;
    let mut mounted = BTreeMap::new();
    for (volume, written) in options.volumes.iter_mut().zip(&process.volumes) {
        if let Source::Bundle(part) = &mut volume.source {
            let (found, place) = files.tree(&Spanned::new(written.span(), part.path.clone()))?;
            mounted.insert(found.path.clone(), place);
            *part = found;
        }
    }
    let health = match process.health {
        Some(health) => {
            let span = health.span();
            let resolved = resolve_health(health.into_inner(), span.clone(), &publish)?;
            check_reach(&resolved.probe, options.network.as_ref(), span)?;
            resolved
        }
        None => Health::new(Probe::default_for(&publish)),
    };
    let process = Process {
        image: ImageName::default_image(),
        command: process.command.map(Spanned::into_inner),
        publish,
        stop_timeout: time_span_in(process.stop_timeout, Duration::from_secs(1)..=LONGEST, STOP_TIMEOUT)?,
        memory: process.memory.map(Spanned::into_inner),
        replaces: process.replaces.map(container).transpose()?,
        anonymous_volumes: process.anonymous_volumes.into_iter().map(folder).collect::<Result<_, _>>()?,
        health,
        options,
    };
    Ok((process, mounted))
}

/// A container's name.
fn container(name: Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    if !is_docker_name(text) {
        return Err(Mistake::at(name.span(), format!("'{text}' cannot be the name of a container"))
            .help("write the name that 'docker ps' shows"));
    }
    Ok(name.into_inner())
}

/// A folder of the container.
fn folder(path: Spanned<String>) -> Result<String, Mistake> {
    let text = path.get_ref();
    if !text.starts_with('/') || text.trim_matches('/').is_empty() {
        return Err(Mistake::at(path.span(), format!("'{text}' is not a folder of the container"))
            .help("write the path of a VOLUME of the image, such as \"/data\""));
    }
    Ok(path.into_inner())
}

/// A container without a network can only be probed through Docker.
fn check_reach(probe: &Probe, network: Option<&Network>, health: Range<usize>) -> Result<(), Mistake> {
    match (probe, network) {
        (Probe::Http { .. } | Probe::Tcp { .. }, Some(Network::None)) => {
            Err(Mistake::at(health, "with network = \"none\" the container cannot be reached by a probe")
                .help("use 'command' or 'docker'"))
        }
        _ => Ok(()),
    }
}

/// `start-first` is the default with published ports, and not supported yet: so the other order has to be written.
fn check_order(
    order: Option<&Spanned<String>>,
    published: bool,
    name: &Spanned<ProcessName>,
) -> Result<(), Mistake> {
    let not_yet = |span, what: String| {
        Err(Mistake::at(
            span,
            format!("{what} is not supported by handover {} yet", env!("CARGO_PKG_VERSION")),
        )
        .help("write order = \"stop-first\""))
    };
    match order.map(|o| (o.span(), o.get_ref().as_str())) {
        Some((_, "stop-first")) => Ok(()),
        Some((span, "start-first")) => not_yet(span, "order = \"start-first\"".to_owned()),
        Some((span, other)) => Err(Mistake::at(span, format!("'{other}' is not an order"))
            .help(nearest(other, &["stop-first", "start-first"]))),
        None if published => {
            let what =
                format!("start-first, the default order of '{}' because it publishes ports,", name.get_ref());
            not_yet(name.span(), what)
        }
        None => Ok(()),
    }
}
