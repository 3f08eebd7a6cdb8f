//! The configuration: validated, with its defaults filled in, and no `Option` without a meaning.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use super::bundle_files::BundleFiles;
use super::checks::{asked_from_inside, check_vantage, resolve_checks};
use super::diagnostic::Mistake;
use super::environment::rendered_files;
pub use super::environment::{FileSource, Owner, Value};
use super::file;
use super::health::resolve_health;
use super::image::{self, NamedImages, resolve_images};
use super::order::After;
pub use super::order::Order;
use super::ports::{check_ports, check_twice};
use super::secret::resolve_secret;
pub use super::secret::{
    ParameterId, ParameterPath, SecretFormat, SecretId, SecretSource, StoredParameter, StoredParameters,
    StoredSecret,
};
pub use super::service::Service;
use super::service::{check_disposable, check_own, resolve_service};
use super::swap::{resolve_bake, resolve_swap};
pub use super::task::Task;
use super::task::resolve_task;
use super::upkeep::{resolve_keep, resolve_refresh};
use super::workload::Known;
pub use super::workload::{Workload, is_same_path};
use crate::model::container::{Network, Source};
use crate::model::{
    AppName, Check, CheckName, Health, ImageName, ImageSource, Probe, ProcessName, Publish, Swap, Traffic,
    is_docker_name,
};

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
    /// The commands that run once, before the switch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<ProcessName, Task>,
    /// The servers that stand in for those of production, in a disposable group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ProcessName, Service>,
    /// Which processes and tasks come after which others.
    #[serde(skip)]
    pub after: Order,
    /// What is needed of others. It makes no other container, so it is not part of a release.
    #[serde(skip)]
    pub checks: BTreeMap<CheckName, Check>,
    /// What is kept of the bundle with the release, apart from templates: paths there, and where that is now. What counts
    /// of it is in the other settings.
    #[serde(skip)]
    pub bundle: BTreeMap<String, PathBuf>,
    /// How long a release is watched under traffic before the old one is stopped.
    #[serde(skip)]
    pub bake: Duration,
    /// How many good releases are kept, the one that serves included.
    #[serde(skip)]
    pub keep_releases: usize,
    /// Within what time every instance of a fleet looks for changed secrets once; none if nobody looks but people.
    #[serde(skip)]
    pub refresh_window: Option<Duration>,
}

/// One long-running command.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// What it runs and is made of.
    #[serde(flatten)]
    pub workload: Workload,
    /// The ports of the host that lead to it.
    pub publish: Vec<Publish>,
    /// Whether two of it must never run at once, not even for a moment. What is said here makes no other container.
    #[serde(skip)]
    pub singleton: bool,
    /// How it gives way to its next release.
    #[serde(skip)]
    pub swap: Swap,
    /// A container that handover did not create, from which it takes over the first time. It is not part of a release.
    #[serde(skip)]
    pub replaces: Option<String>,
    /// When it counts as healthy.
    pub health: Health,
}

impl Process {
    /// What going back to the old release may take: the new container's stop, live's start and its gate.
    pub fn reserve(&self) -> Duration {
        const START: Duration = Duration::from_secs(5);
        const BOOT: Duration = Duration::from_secs(30);
        let gate = self.health.deadline.min(self.health.min_healthy.saturating_add(BOOT));
        let drains = self.swap.is_start_first() || self.swap.stalls();
        let drain = if drains { self.swap.longest_drain() } else { Duration::ZERO };
        self.workload.stop_timeout.min(UNPROVEN_STOP).saturating_add(START + drain).saturating_add(gate)
    }

    /// The least time that a switch needs, with what it needs to go back.
    pub fn shortest_switch(&self) -> Duration {
        let gates = if self.swap.is_start_first() { 2 } else { 1 };
        let gates = self.health.shortest().saturating_mul(gates);
        self.workload.stop_timeout.saturating_add(gates).saturating_add(self.reserve())
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
        self.sum(Process::reserve)
    }

    /// The least time that a switch of all processes needs, with what it needs to go back.
    pub fn shortest_switch(&self) -> Duration {
        let starts_first = self.processes.values().any(|process| process.swap.is_start_first());
        let bake = if starts_first { self.bake } else { Duration::ZERO };
        self.sum(Process::shortest_switch).saturating_add(bake)
    }

    /// The least time that the last gate of all processes needs, with what it needs to go back.
    pub fn shortest_end(&self) -> Duration {
        self.sum(|process| process.health.shortest().saturating_add(process.reserve()))
    }

    fn sum(&self, of: impl Fn(&Process) -> Duration) -> Duration {
        self.processes.values().map(of).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The same for a time when nobody sends requests: what does not say otherwise needs no candidate.
    pub fn without_clients(&mut self) {
        for process in self.processes.values_mut().filter(|process| process.swap.traffic == Traffic::Auto) {
            process.swap.traffic = Traffic::Drained;
        }
    }

    /// Validates a parsed file.
    pub(super) fn from_file(
        file: file::ConfigFile,
        named: NamedImages,
        files: &BundleFiles,
    ) -> Result<Self, Mistake> {
        let secrets = file
            .secret
            .into_iter()
            .map(|(name, secret)| {
                let source = resolve_secret(&name, secret.span(), secret.into_inner())?;
                Ok((name.into_inner(), source))
            })
            .collect::<Result<BTreeMap<_, _>, Mistake>>()?;
        let mut bundle = BTreeMap::new();
        let for_images = image::Known { secrets: &secrets, files, unpinned: file.unpinned };
        let images = resolve_images(file.image, named, &for_images, &mut bundle)?;
        let known = Known { secrets: &secrets, images: &images, files };
        let environment = known.variables(file.environment, &mut bundle)?;
        let rendered = rendered_files(file.file, &secrets, files)?;
        let span = file.process.span();
        let written = file.process.into_inner();
        if written.is_empty() {
            return Err(
                Mistake::at(span, "no process: there is nothing to deploy").help("add a table [process.web]")
            );
        }
        check_ports(&written)?;
        let mut after = After::default();
        let mut processes = BTreeMap::new();
        for (name, mut process) in written {
            let container = process.take_container();
            after.add(&name, &container.after);
            let workload = known.workload(container, &mut bundle)?;
            processes.insert(name.get_ref().clone(), resolve_process(process, workload)?);
        }
        let networks = processes.values().map(|process| process.workload.options.network.as_ref());
        check_vantage(asked_from_inside(&file.check), networks)?;
        let checks = resolve_checks(file.check, &secrets)?;
        let mut tasks = BTreeMap::new();
        for (name, mut task) in file.task {
            check_free(&name, "task", "process", &processes)?;
            let container = task.take_container();
            if let Some(process) =
                container.after.iter().find(|other| processes.contains_key(other.get_ref()))
            {
                let what =
                    format!("task '{}' cannot come after process '{}'", name.get_ref(), process.get_ref());
                return Err(Mistake::at(process.span(), what).help("tasks run before the switch: remove it"));
            }
            after.add(&name, &container.after);
            let workload = known.workload(container, &mut bundle)?;
            tasks.insert(name.get_ref().clone(), resolve_task(task, workload, &name, &checks)?);
        }
        let mut services = BTreeMap::new();
        for (name, mut service) in file.service {
            check_disposable(&name, file.disposable)?;
            check_free(&name, "service", "process", &processes)?;
            check_free(&name, "service", "task", &tasks)?;
            check_container(&name, &processes)?;
            let container = service.take_container();
            check_own(&container)?;
            let volumes = container.volumes.clone();
            let workload = Workload { stands_alone: true, ..known.workload(container, &mut bundle)? };
            services.insert(name.into_inner(), resolve_service(service, workload, &volumes)?);
        }
        let after = after.check(&services.keys().map(ProcessName::as_str).collect::<Vec<_>>())?;
        Ok(Self {
            app: file.app,
            disposable: file.disposable,
            images,
            secrets,
            environment,
            files: rendered,
            processes,
            tasks,
            services,
            after,
            checks,
            bundle,
            bake: resolve_bake(file.bake)?,
            keep_releases: resolve_keep(file.keep)?,
            refresh_window: resolve_refresh(file.refresh)?,
        })
    }

    /// What runs in containers of a release and beside it, by its name.
    pub fn workloads(&self) -> impl Iterator<Item = (&ProcessName, &Workload)> {
        let processes = self.processes.iter().map(|(name, process)| (name, &process.workload));
        let tasks = self.tasks.iter().map(|(name, task)| (name, &task.workload));
        let services = self.services.iter().map(|(name, service)| (name, &service.workload));
        processes.chain(tasks).chain(services)
    }

    /// Whether an image is only that of services, which are no part of a release.
    pub fn is_of_services(&self, image: &ImageName) -> bool {
        let is_of = |workload: &Workload| workload.image == *image;
        let processes = self.processes.values().map(|process| &process.workload);
        let mut of_release = processes.chain(self.tasks.values().map(|task| &task.workload));
        self.services.values().any(|service| is_of(&service.workload)) && !of_release.any(is_of)
    }

    /// What runs under this name.
    pub fn workload(&self, name: &ProcessName) -> Option<&Workload> {
        self.workloads().find_map(|(its, workload)| (its == name).then_some(workload))
    }

    /// The environment of a container: its own, and that of the app in which it does not replace a variable.
    pub fn environment_of<'a>(&'a self, workload: &'a Workload) -> BTreeMap<&'a str, &'a Value> {
        let of_app = self.environment.iter().filter(|_| !workload.stands_alone);
        of_app.chain(&workload.environment).map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// The files of a container, by their paths in it: its own, and those of the app in which it does not replace one.
    pub fn files_of<'a>(&'a self, workload: &'a Workload) -> BTreeMap<&'a str, &'a FileSource> {
        let of_app = self.files.iter().filter(|_| !workload.stands_alone);
        of_app.chain(&workload.files).map(|(path, file)| (path.as_str(), file)).collect()
    }

    /// Every template that a file is rendered from.
    pub fn templates(&self) -> impl Iterator<Item = &FileSource> {
        self.files.values().chain(self.workloads().flat_map(|(_, workload)| workload.files.values()))
    }

    /// The volumes that its containers share for as long as the release is there, by their names in the file.
    pub fn release_volumes(&self) -> impl Iterator<Item = &str> {
        let volumes = self.workloads().flat_map(|(_, workload)| &workload.options.volumes);
        volumes.filter_map(|volume| match &volume.source {
            Source::Release(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether its containers find each other by name, on a network of the release: nobody else is there for a single one
    /// without services.
    pub fn has_network(&self) -> bool {
        !self.services.is_empty()
            || self.processes.values().filter(|its| its.workload.options.network.is_none()).count() > 1
    }
}

/// Everything that runs in containers of an app has a name of its own: it is found by it.
fn check_free<T>(
    name: &Spanned<ProcessName>,
    kind: &str,
    other: &str,
    others: &BTreeMap<ProcessName, T>,
) -> Result<(), Mistake> {
    if !others.contains_key(name.get_ref()) {
        return Ok(());
    }
    let what = format!("there is a {other} '{}', too", name.get_ref());
    Err(Mistake::at(name.span(), what).help(format!("give the {kind} another name")))
}

/// A service's container has a name of its own, too.
fn check_container(
    name: &Spanned<ProcessName>,
    processes: &BTreeMap<ProcessName, Process>,
) -> Result<(), Mistake> {
    let in_containers = format!("service-{}", name.get_ref());
    if !processes.keys().any(|process| process.as_str() == in_containers) {
        return Ok(());
    }
    let what = format!("the same container would be that of process '{in_containers}'");
    Err(Mistake::at(name.span(), what).help("give the service another name"))
}

/// A process, without what it has in common with whatever else runs in a container.
fn resolve_process(mut process: file::Process, workload: Workload) -> Result<Process, Mistake> {
    let publish: Vec<Publish> = process.publish.iter().map(|p| *p.get_ref()).collect();
    check_twice(&process.publish)?;
    let network = workload.options.network.as_ref();
    if let (Some(network), Some(port)) = (network, process.publish.first())
        && !network.can_publish()
    {
        let what = format!(
            "network = \"{network}\" cannot be used with 'publish': the container has no ports of its own"
        );
        return Err(Mistake::at(port.span(), what).help("remove 'publish', or use a bridge network"));
    }
    let swap = resolve_swap(&mut process, &publish, network)?;
    let health = match process.health {
        Some(health) => {
            let span = health.span();
            let resolved = resolve_health(health.into_inner(), span.clone(), &publish)?;
            check_reach(&resolved.probe, network, span)?;
            resolved
        }
        None => Health::new(Probe::default_for(&publish)),
    };
    let replaces = process.replaces.map(container).transpose()?;
    Ok(Process { workload, publish, singleton: process.singleton, swap, replaces, health })
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
