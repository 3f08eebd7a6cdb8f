//! Services: made once and left alone, so what the configuration says of them now may not be what there is.

use super::Found;
use crate::config::Settings;
use crate::config::settings::Service;
use crate::deploy::services::made_of;
use crate::environment::{self, Secrets};
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, Listed};
use crate::model::{ProcessName, container_name};

pub(super) fn check(
    settings: &Settings,
    services: &[Container],
    containers: &[Listed],
    secrets: Option<&Secrets>,
    found: &mut Found,
) {
    for (name, service) in &settings.services {
        let called = container_name::service(&settings.app, name);
        let is_ours = |container: &Listed| {
            container.labels.as_ref().is_some_and(|labels| {
                labels.app == settings.app && labels.kind == Kind::Service && labels.process == *name
            })
        };
        if containers.iter().any(|container| container.name == called && !is_ours(container)) {
            found.finding(
                format!("somebody else's container has the name that service '{name}' needs, '{called}'"),
                format!("docker rename {called} {called}-old, or remove it"),
            );
        }
        let there = services.iter().find(|container| container.name == called);
        if there.is_some_and(|there| there.made_of.as_ref() != Some(&made_of(settings, service))) {
            found.note(format!(
                "service '{name}' is left as it was made, though its configuration has changed since. To have it made anew, \
                 with its named volumes: docker rm -f {called}, then deploy again"
            ));
        } else if let (Some(there), Some(secrets)) = (there, secrets) {
            check_secrets(settings, name, service, there, secrets, found);
        }
    }
    let of_none = |container: &&Container| {
        let labels = container.labels.as_ref();
        labels.is_some_and(|labels| !settings.services.contains_key(&labels.process))
    };
    for left in services.iter().filter(of_none) {
        let name = &left.name;
        found.note(format!(
            "{name} is of a service that the configuration no longer has, and is left as it is: docker rm -f {name}, when nobody needs it"
        ));
    }
}

/// The containers of the app are given a new password, and the server still wants the old one: that would only show as a login
/// that fails.
fn check_secrets(
    settings: &Settings,
    name: &ProcessName,
    service: &Service,
    there: &Container,
    secrets: &Secrets,
    found: &mut Found,
) {
    let changed = environment::changed(settings, &service.workload, secrets, &there.environment);
    if changed.is_empty() {
        return;
    }
    let called = &there.name;
    let volumes: Vec<&str> = there
        .mounts
        .iter()
        .filter(|mount| !mount.source.starts_with('/'))
        .map(|mount| mount.source.as_str())
        .collect();
    let without = if volumes.is_empty() {
        String::new()
    } else {
        format!(
            " Or lose what it keeps: docker rm -f {called} && docker volume rm {}, then deploy again",
            volumes.join(" ")
        )
    };
    found.note(format!(
        "service '{name}' was made with another secret than it has now ({}). Most servers take a password only when their volume \
         is new: set it in the server itself (PostgreSQL: ALTER ROLE ... PASSWORD ...), and have its container made anew, with \
         its named volumes: docker rm -f {called}, then deploy again.{without}",
        changed.join(", ")
    ));
}
