//! The keys of `[process.NAME]` that say what its container is made of, apart from its image, command and environment.

mod log;
mod values;
mod written;

use std::collections::BTreeSet;

use super::diagnostic::Mistake;
use super::file;
use crate::model::container::{ContainerOptions, Network, Tmpfs, Volume};
use written::{parse, parse_text_or_number};

/// Checks the keys and gives them their types. Whether they fit the health check is checked elsewhere.
pub(super) fn resolve_options(process: &file::Process) -> Result<ContainerOptions, Mistake> {
    let network = process.network.as_ref().map(parse::<Network>).transpose()?;
    if let (Some(network), Some(port)) = (&network, process.publish.first())
        && !network.can_publish()
    {
        let what = format!(
            "network = \"{network}\" cannot be used with 'publish': the container has no ports of its own"
        );
        return Err(Mistake::at(port.span(), what).help("remove 'publish', or use a bridge network"));
    }
    let capabilities = process.capabilities.as_ref();
    let options = ContainerOptions {
        stop_signal: process.stop_signal.as_ref().map(parse_text_or_number).transpose()?,
        log: process.log.as_ref().map(log::resolve_log).transpose()?,
        cpus: process.cpus.as_ref().map(values::parse_cpus).transpose()?,
        user: process.user.as_ref().map(parse_text_or_number).transpose()?,
        read_only: process.read_only,
        tmpfs: process.tmpfs.iter().map(parse).collect::<Result<_, _>>()?,
        volumes: process.volumes.iter().map(parse).collect::<Result<_, _>>()?,
        extra_hosts: process.extra_hosts.iter().map(parse).collect::<Result<_, _>>()?,
        network,
        cap_add: values::parse_capabilities(capabilities.map(|c| c.add.as_slice()))?,
        cap_drop: values::parse_capabilities(capabilities.map(|c| c.drop.as_slice()))?,
        ulimits: values::parse_ulimits(&process.ulimits)?,
        shm_size: process.shm_size,
        init: process.init,
        no_new_privileges: process.no_new_privileges,
        labels: values::parse_labels(&process.labels)?,
        hostname: process.hostname.as_ref().map(parse).transpose()?,
        entrypoint: process.entrypoint.as_ref().map(|entrypoint| entrypoint.get_ref().clone()),
        working_dir: process.working_dir.as_ref().map(values::parse_working_dir).transpose()?,
        devices: process.devices.iter().map(parse).collect::<Result<_, _>>()?,
        dns: process.dns.iter().map(values::parse_dns).collect::<Result<_, _>>()?,
        pids_limit: process.pids_limit.as_ref().map(values::parse_pids_limit).transpose()?,
        security_opt: process.security_opt.iter().map(parse).collect::<Result<_, _>>()?,
        gpus: process.gpus.as_ref().map(parse_text_or_number).transpose()?,
    };
    check_targets(&options.volumes, &options.tmpfs, process)?;
    Ok(options)
}

/// Docker refuses two mounts at one place, but only when the container is created.
fn check_targets(volumes: &[Volume], tmpfs: &[Tmpfs], process: &file::Process) -> Result<(), Mistake> {
    let volumes = process.volumes.iter().zip(volumes.iter().map(|v| &v.target));
    let tmpfs = process.tmpfs.iter().zip(tmpfs.iter().map(|t| &t.target));
    let mut taken = BTreeSet::new();
    for (written, target) in volumes.chain(tmpfs) {
        if !taken.insert(target.trim_end_matches('/')) {
            let what = format!("two things are mounted at '{target}'");
            return Err(Mistake::at(written.span(), what).help("keep one of them"));
        }
    }
    Ok(())
}
