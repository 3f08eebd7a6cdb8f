//! The keys of `[process.NAME]` that say what its container is made of, apart from its image, command and environment.

mod log;
mod values;
mod written;

use std::collections::BTreeSet;

use super::diagnostic::Mistake;
use super::file;
use crate::model::container::{ContainerOptions, Network, Tmpfs, Volume};
use written::{parse, parse_text_or_number};

/// Checks the keys and gives them their types. Whether they fit the ports and the health check is checked elsewhere.
pub(super) fn resolve_options(written: &file::Container) -> Result<ContainerOptions, Mistake> {
    let network = written.network.as_ref().map(parse::<Network>).transpose()?;
    let capabilities = written.capabilities.as_ref();
    let options = ContainerOptions {
        stop_signal: written.stop_signal.as_ref().map(parse_text_or_number).transpose()?,
        log: written.log.as_ref().map(log::resolve_log).transpose()?,
        cpus: written.cpus.as_ref().map(values::parse_cpus).transpose()?,
        user: written.user.as_ref().map(parse_text_or_number).transpose()?,
        read_only: written.read_only,
        tmpfs: written.tmpfs.iter().map(parse).collect::<Result<_, _>>()?,
        volumes: written.volumes.iter().map(parse).collect::<Result<_, _>>()?,
        extra_hosts: written.extra_hosts.iter().map(parse).collect::<Result<_, _>>()?,
        network,
        cap_add: values::parse_capabilities(capabilities.map(|c| c.add.as_slice()))?,
        cap_drop: values::parse_capabilities(capabilities.map(|c| c.drop.as_slice()))?,
        ulimits: values::parse_ulimits(&written.ulimits)?,
        shm_size: written.shm_size,
        init: written.init,
        no_new_privileges: written.no_new_privileges,
        labels: values::parse_labels(&written.labels)?,
        hostname: written.hostname.as_ref().map(parse).transpose()?,
        entrypoint: written.entrypoint.as_ref().map(|entrypoint| entrypoint.get_ref().clone()),
        working_dir: written.working_dir.as_ref().map(values::parse_working_dir).transpose()?,
        devices: written.devices.iter().map(parse).collect::<Result<_, _>>()?,
        dns: written.dns.iter().map(values::parse_dns).collect::<Result<_, _>>()?,
        pids_limit: written.pids_limit.as_ref().map(values::parse_pids_limit).transpose()?,
        security_opt: written.security_opt.iter().map(parse).collect::<Result<_, _>>()?,
        gpus: written.gpus.as_ref().map(parse_text_or_number).transpose()?,
    };
    check_targets(&options.volumes, &options.tmpfs, written)?;
    Ok(options)
}

/// Docker refuses two mounts at one place, but only when the container is created.
fn check_targets(volumes: &[Volume], tmpfs: &[Tmpfs], written: &file::Container) -> Result<(), Mistake> {
    let volumes = written.volumes.iter().zip(volumes.iter().map(|v| &v.target));
    let tmpfs = written.tmpfs.iter().zip(tmpfs.iter().map(|t| &t.target));
    let mut taken = BTreeSet::new();
    for (place, target) in volumes.chain(tmpfs) {
        if !taken.insert(target.trim_end_matches('/')) {
            let what = format!("two things are mounted at '{target}'");
            return Err(Mistake::at(place.span(), what).help("keep one of them"));
        }
    }
    Ok(())
}
