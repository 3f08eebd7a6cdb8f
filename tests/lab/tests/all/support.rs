//! What several tests need.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::names::REPOSITORY_URL;
use lab::{Instance, Lab, application, registry_authorization, wait_until};
use serde_json::{Value, json};

/// Long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The environment with which the application uses the database and Redis, as Docker takes it.
pub(crate) fn backends() -> Vec<String> {
    application::backends().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Pulls a tag of the repository and runs it, on port 8000 and come back after a cut.
pub(crate) fn run(instance: &Instance, name: &str, tag: &str, environment: &[String]) -> String {
    let image = format!("{REPOSITORY_URL}:{tag}");
    let docker = instance.docker().unwrap();
    docker.pull(&image, Some(&registry_authorization())).unwrap();
    let settings = json!({
        "Image": image, "Env": environment,
        "HostConfig": {
            "RestartPolicy": { "Name": "unless-stopped" },
            "PortBindings": { "8000/tcp": [{ "HostPort": "8000" }] },
        },
    });
    docker.run(name, &settings).unwrap()
}

/// Asks again until a client in the VPC gets 200 from the instance's port 8000, and says what it got.
pub(crate) fn answer(lab: &Lab, instance: &Instance, path: &str) -> Value {
    let url = format!("http://{}:8000{path}", instance.ip());
    let mut answer = Value::Null;
    wait_until(&url, SOON, || {
        let Ok(said) = lab.http_get(&url) else { return Ok(false) };
        answer = said.json().unwrap_or_default();
        Ok(said.status == 200)
    })
    .unwrap();
    answer
}

/// The state of a container.
pub(crate) fn state(instance: &Instance, name: &str) -> Value {
    instance.docker().unwrap().inspect(name).unwrap().unwrap()["State"].clone()
}

/// Waits until a container has ended, and says how.
pub(crate) fn end_of(instance: &Instance, name: &str) -> Value {
    wait_until(&format!("{name} ends"), SOON, || Ok(state(instance, name)["Status"] == "exited")).unwrap();
    state(instance, name)
}

/// The folders in `/proc` of the processes whose command line, or whose mounts, name this folder. By its own name, which is no
/// other lab's: mounts name what lies in a file system of its own, as `/dev/shm` is one, by the path in there.
fn found_by(folder: &Path) -> Vec<PathBuf> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    all.filter(|process| process.file_name().is_some_and(|pid| pid.to_string_lossy().parse::<u32>().is_ok()))
        .filter(|process| !process.ends_with(std::process::id().to_string()))
        .filter(|process| {
            ["cmdline", "mountinfo"].iter().any(|file| {
                String::from_utf8_lossy(&fs::read(process.join(file)).unwrap_or_default()).contains(&name)
            })
        })
        .collect()
}

/// The command lines of those processes.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let found = found_by(folder).into_iter();
    found.map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default()).collect()
}

/// The namespaces of a process: network cards, packet filters, mounts, processes, and shared memory each belong to one.
fn namespaces(process: &Path) -> Vec<String> {
    let links = ["mnt", "net", "pid", "uts", "ipc"].map(|kind| fs::read_link(process.join("ns").join(kind)));
    links.into_iter().flatten().map(|link| link.display().to_string()).collect()
}

/// Each process of this lab lives in namespaces that are not the machine's, and sees another `/dev/shm`: cards, rules of
/// the packet filter, mounts and shared memory that it makes end with the last process there. Those that hold the lab
/// from outside make nothing. The answer is the namespaces.
pub(crate) fn assert_apart(folder: &Path) -> BTreeSet<String> {
    let device = |root: &Path| fs::metadata(root.join("dev/shm")).map(|found| found.dev());
    let (machine, memory) = (namespaces(Path::new("/proc/self")), device(Path::new("/")).unwrap());
    let mut found = BTreeSet::new();
    for process in found_by(folder) {
        let (theirs, shared) = (namespaces(&process), device(&process.join("root")));
        let what = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        let outside = what.contains("janitor") || what.starts_with("unshare");
        // One that has just ended has none.
        if outside || theirs.len() < machine.len() || shared.is_err() {
            continue;
        }
        assert!(theirs.iter().all(|one| !machine.contains(one)), "{what}: {theirs:?}");
        assert_ne!(shared.unwrap(), memory, "{what}");
        found.extend(theirs);
    }
    found
}

/// Nothing is left of the lab that was in this folder.
pub(crate) fn assert_gone(folder: &Path) {
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert_eq!(processes_of(folder), Vec::<String>::new());
    assert_eq!(Lab::control_groups(folder), Vec::<std::path::PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*folder.file_name().unwrap().to_string_lossy()), "{mounts}");
}
