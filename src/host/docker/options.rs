//! The options of a container, as the Engine's API takes them.

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};

use crate::model::container::{ContainerOptions, Log, LogDriver, Source, Volume};

/// Adds the options to the request. `log` is the log to use.
pub(super) fn apply(options: &ContainerOptions, log: &Log, body: &mut ContainerCreateBody) {
    body.stop_signal = options.stop_signal.as_ref().map(ToString::to_string);
    body.user = options.user.as_ref().map(ToString::to_string);
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
        security_opt: options.no_new_privileges.then(|| vec!["no-new-privileges:true".to_owned()]),
        ..std::mem::take(host)
    };
    host.mounts.get_or_insert_default().extend(options.volumes.iter().map(mount));
}

fn log_config(log: &Log) -> Option<HostConfigLogConfig> {
    match &log.driver {
        LogDriver::Engine => None,
        LogDriver::Named(driver) => Some(HostConfigLogConfig {
            typ: Some(driver.clone()),
            config: Some(log.options.clone().into_iter().collect()),
        }),
    }
}

/// As a mount, not as a bind: for a bind the Engine creates a folder for a missing path.
fn mount(volume: &Volume) -> Mount {
    let (typ, source) = match &volume.source {
        Source::Host(path) => (MountType::BIND, path),
        Source::Volume(name) => (MountType::VOLUME, name),
    };
    Mount {
        typ: Some(typ),
        source: Some(source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
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

fn texts<T: ToString>(values: &[T]) -> Option<Vec<String>> {
    some(values.iter().map(ToString::to_string).collect())
}

/// Empty values are left out, so that the Engine's own default applies.
fn some<T: IntoIterator + Default + PartialEq>(all: T) -> Option<T> {
    (all != T::default()).then_some(all)
}
