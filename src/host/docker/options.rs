//! The options of a container, as the Engine's API takes them.

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, ResourcesUlimits,
};

use super::labels::ReleaseLabels;
use crate::model::container::{
    Bundled, ContainerOptions, Device, Gpus, Log, LogDriver, SecurityOption, Source, Volume,
};

/// Adds the options to the request. `log` is the log to use; `release` is what a volume of the release is labelled with if
/// the Engine has to make it.
pub(super) fn apply(
    options: &ContainerOptions,
    log: &Log,
    release: &ReleaseLabels,
    body: &mut ContainerCreateBody,
) {
    body.stop_signal = options.stop_signal.as_ref().map(ToString::to_string);
    body.user = options.user.as_ref().map(ToString::to_string);
    body.hostname = options.hostname.as_ref().map(ToString::to_string);
    body.entrypoint.clone_from(&options.entrypoint);
    body.working_dir.clone_from(&options.working_dir);
    let shown = options.security_opt.iter().any(SecurityOption::shows_system_paths);
    let host = body.host_config.get_or_insert_default();
    *host = HostConfig {
        log_config: log_config(log),
        nano_cpus: options.cpus.map(|cpus| cpus.0),
        readonly_rootfs: options.read_only.then_some(true),
        tmpfs: some(options.tmpfs.iter().map(|t| (t.target.clone(), t.options.clone())).collect()),
        extra_hosts: texts(&options.extra_hosts),
        network_mode: options.network.as_ref().map(ToString::to_string),
        cap_add: texts(&options.cap_add),
        cap_drop: texts(&options.cap_drop),
        ulimits: some(ulimits(options)),
        shm_size: options.shm_size.map(|size| size.0),
        init: options.init.then_some(true),
        security_opt: some(security_opt(options)),
        masked_paths: shown.then(Vec::new),
        readonly_paths: shown.then(Vec::new),
        devices: some(options.devices.iter().map(device).collect()),
        device_requests: options.gpus.as_ref().map(|gpus| vec![gpu_request(gpus)]),
        dns: texts(&options.dns),
        pids_limit: options.pids_limit,
        ..std::mem::take(host)
    };
    host.mounts.get_or_insert_default().extend(options.volumes.iter().map(|volume| mount(volume, release)));
}

/// Without a name, the Engine takes its own driver, and adds its own options to those that are given.
fn log_config(log: &Log) -> Option<HostConfigLogConfig> {
    let typ = match &log.driver {
        LogDriver::Engine | LogDriver::Default => None,
        LogDriver::Named(driver) => Some(driver.clone()),
    };
    let says = typ.is_some() || !log.options.is_empty();
    says.then(|| HostConfigLogConfig { typ, config: Some(log.options.clone().into_iter().collect()) })
}

/// As a mount, not as a bind: for a bind the Engine creates a folder for a missing path.
fn mount(volume: &Volume, release: &ReleaseLabels) -> Mount {
    let (typ, source) = match &volume.source {
        // Where a part of the bundle is kept is for whoever asks to say.
        Source::Host(path) | Source::Bundle(Bundled { path, .. }) => (MountType::BIND, path),
        // So is what one of the release is called.
        Source::Volume(name) | Source::Release(name) => (MountType::VOLUME, name),
    };
    let labels = matches!(volume.source, Source::Release(_)).then(|| release.to_map());
    Mount {
        typ: Some(typ),
        source: Some(source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        volume_options: labels
            .map(|labels| MountVolumeOptions { labels: Some(labels), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

fn ulimits(options: &ContainerOptions) -> Vec<ResourcesUlimits> {
    let limits = options.ulimits.iter();
    limits
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })
        .collect()
}

fn security_opt(options: &ContainerOptions) -> Vec<String> {
    let own = options.no_new_privileges.then(|| "no-new-privileges:true".to_owned());
    let others = options.security_opt.iter().filter(|option| !option.shows_system_paths());
    own.into_iter().chain(others.map(ToString::to_string)).collect()
}

fn device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.host.clone()),
        path_in_container: Some(device.container.clone()),
        cgroup_permissions: Some(device.access.clone()),
    }
}

/// As docker's client asks for GPUs.
fn gpu_request(gpus: &Gpus) -> DeviceRequest {
    let (count, devices) = match gpus {
        Gpus::All => (Some(-1), None),
        Gpus::Count(count) => (Some(*count), None),
        Gpus::Device(devices) => (None, Some(devices.clone())),
    };
    DeviceRequest {
        count,
        device_ids: devices,
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

fn texts<T: ToString>(values: &[T]) -> Option<Vec<String>> {
    some(values.iter().map(ToString::to_string).collect())
}

/// Empty values are left out, so that the Engine's own default applies.
fn some<T: IntoIterator + Default + PartialEq>(all: T) -> Option<T> {
    (all != T::default()).then_some(all)
}
