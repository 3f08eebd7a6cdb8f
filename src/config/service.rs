//! `[service.NAME]`, checked: a server that stands in for one which only production has.

use serde::Serialize;
use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use super::health::resolve_health;
use super::workload::Workload;
use crate::model::container::Source;
use crate::model::{Health, Probe, ProcessName};

/// A server beside the app, such as the database of a test environment. It is made once, outlives releases, and gets
/// nothing of the app but what its own table says.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// What it runs and is made of.
    #[serde(flatten)]
    pub workload: Workload,
    /// When it counts as healthy. What is said here makes no other container.
    #[serde(skip)]
    pub health: Health,
}

/// What would be lost in production is nothing that a deployment should make on the side.
pub(super) fn check_disposable(name: &Spanned<ProcessName>, disposable: bool) -> Result<(), Mistake> {
    if disposable {
        return Ok(());
    }
    let what = format!("service '{}' is only for a group with nothing to lose", name.get_ref());
    Err(Mistake::at(name.span(), what).help(
        "write it in a [group.NAME] with disposable = true, or use a server that outlives the instance",
    ))
}

/// What comes and goes with a release is nothing for a container that outlives it.
pub(super) fn check_own(written: &file::Container) -> Result<(), Mistake> {
    if let Some(path) = written.file.keys().next() {
        return Err(Mistake::at(path.span(), "a service has no 'file': files go with their release")
            .help("mount a path of the host with 'volumes', or use its environment"));
    }
    if let Some(other) = written.after.first() {
        return Err(Mistake::at(other.span(), "a service has no 'after': all of them start before any task")
            .help("remove it"));
    }
    if let Some(network) = &written.network {
        return Err(Mistake::at(network.span(), "a service has no 'network': it is on that of each release")
            .help("remove it"));
    }
    Ok(())
}

/// A service, without what it has in common with whatever else runs in a container.
pub(super) fn resolve_service(
    service: file::Service,
    workload: Workload,
    volumes: &[Spanned<String>],
) -> Result<Service, Mistake> {
    for (volume, place) in workload.options.volumes.iter().zip(volumes) {
        if matches!(volume.source, Source::Release(_) | Source::Bundle(_)) {
            let what = "a service outlives releases, and this goes with one";
            return Err(Mistake::at(place.span(), what)
                .help("write a volume of Docker's (\"NAME:/PATH\") or a path of the host"));
        }
    }
    let health = match service.health {
        Some(health) => {
            let span = health.span();
            resolve_health(health.into_inner(), span, &[])?
        }
        None => Health::new(Probe::Running),
    };
    Ok(Service { workload, health })
}

#[cfg(test)]
mod tests {
    use crate::config::{Settings, parse};

    fn parsed(lines: &str) -> Result<Settings, String> {
        let text = format!(
            "app = 'a'\ndisposable = true\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\n{lines}"
        );
        parse(&text, "handover.toml").map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn a_service_gets_nothing_of_the_app_but_what_it_says() {
        let text = "[environment]\nA = '1'\n[service.db]\nenvironment = { B = '2' }\nhealth.tcp = true\nhealth.port = 5432\n";
        let settings = parsed(text).unwrap();
        let service = settings.services.values().next().unwrap();
        let environment: Vec<&str> = settings.environment_of(&service.workload).into_keys().collect();
        assert_eq!(environment, ["B"]);
        assert!(settings.has_network(), "nobody would find it");
    }

    #[test]
    fn what_is_no_service_is_refused_where_it_stands() {
        for (lines, words) in [
            ("[service.db]\nfile = { '/x' = { template = 'templates/x' } }", "has no 'file'"),
            ("[service.db]\nafter = ['web']", "has no 'after'"),
            ("[service.db]\nnetwork = 'host'", "has no 'network'"),
            ("[service.db]\nvolumes = ['@static:/x']", "this goes with one"),
            ("[service.db]\npublish = ['5432:5432']", "unknown key 'publish'"),
            ("[service.db]\nimage = 'postgres'", "there is no image 'postgres'"),
            ("[service.db]\nhealth.tcp = true", "which port to probe"),
            ("[service.web]", "there is a process 'web', too"),
            ("[task.db]\ncommand = ['x']\n[service.db]", "there is a task 'db', too"),
            ("[process.service-db]\n[service.db]", "the same container"),
        ] {
            let mistake = parsed(lines).unwrap_err();
            assert!(mistake.contains(words) && mistake.contains("handover.toml:"), "{lines}: {mistake}");
        }
    }
}
