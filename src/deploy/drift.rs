//! Drift: what differs between a release that serves and what is recorded of it. Somebody has changed it by hand, on the containers or in
//! the files that are kept; secrets that have changed elsewhere are `refresh`'s.

use std::collections::BTreeSet;

use super::network;
use crate::config::Settings;
use crate::config::settings::Process;
use crate::host::docker::{Container, RestartPolicy};
use crate::model::{ProcessName, Protocol, Publish};
use crate::state::{Record, Releases, fingerprint};

/// Each difference, for people. `live` are the containers of the release, by their processes; its run is over.
pub fn of<'c>(
    live: impl IntoIterator<Item = (&'c ProcessName, &'c Container)>,
    record: &Record,
    releases: &Releases,
) -> Vec<String> {
    let config = match releases.config(record.release) {
        Ok(Some(config)) => config,
        Ok(None) => return vec![format!("the configuration of {} is gone", record.release)],
        Err(_) => {
            return vec![format!("the configuration that is kept of {} cannot be read", record.release)];
        }
    };
    let settings = &config.settings;
    let mut found = vec![];
    let now = fingerprint(settings, &record.images, &record.secret_versions);
    if record.fingerprint.as_ref().is_some_and(|recorded| *recorded != now) {
        let folder = releases.folder(record.release);
        found.push(format!(
            "the configuration that is kept of {} was changed: {}",
            record.release,
            folder.display()
        ));
    }
    for (process, container) in live {
        let Some(its) = settings.processes.get(process) else { continue };
        let name = &container.name;
        found.extend(
            of_container(process, its, container, record, settings)
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    for file in releases.changed_files(record.release) {
        found.push(format!("file '{file}' is not as {} was given it", record.release));
    }
    found
}

fn of_container(
    process: &ProcessName,
    its: &Process,
    container: &Container,
    record: &Record,
    settings: &Settings,
) -> Vec<String> {
    let (workload, mut found) = (&its.workload, vec![]);
    if let Some(image) = record.images.get(&workload.image)
        && container.image != image.to_string()
    {
        found.push(format!("it runs image {}, and {} is {image}", container.image, record.release));
    }
    if container.restart_policy != RestartPolicy::UnlessStopped {
        found.push(format!(
            "at a boot it is '{}', and should be '{}'",
            container.restart_policy,
            RestartPolicy::UnlessStopped
        ));
    }
    let asked: BTreeSet<String> =
        its.publish.iter().filter_map(|port| Some(key(port.protocol, port.host?))).collect();
    let has: BTreeSet<String> = container.ports.iter().map(|port| key(port.protocol, port.port)).collect();
    if asked != has {
        found.push(format!("it publishes {}, and should publish {}", ports(&has), ports(&asked)));
    }
    if let Some(joined) = network::joined(settings, record.release, workload, Some(process))
        && container.running
        && !container.networks.contains(&joined.name)
    {
        found.push(format!("it is not on network '{}'", joined.name));
    }
    let limit = workload.memory.and_then(|limit| u64::try_from(limit.0).ok()).filter(|limit| *limit > 0);
    let has = container.memory.filter(|has| *has > 0);
    // A kernel that cannot limit memory has none for any.
    if has.is_some() && has != limit {
        let words = |limit: Option<u64>| {
            limit.map_or_else(|| "without a limit".to_owned(), |bytes| format!("limited to {bytes} bytes"))
        };
        found.push(format!("its memory is {}, and should be {}", words(container.memory), words(limit)));
    }
    found
}

fn key(protocol: Protocol, port: u16) -> String {
    Publish { address: None, host: None, container: port, protocol }.container_key()
}

fn ports(ports: &BTreeSet<String>) -> String {
    if ports.is_empty() {
        return "nothing".to_owned();
    }
    ports.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
