//! A real Engine, on an instance of a lab.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use lab::{Instance, Lab, RegistryFault, wait_until};

use crate::host::Host;
use crate::stock;

const FOLDER: &str = "/tmp/files";

/// An instance with everything in its registry, and nothing pulled.
pub(crate) struct Real {
    instance: Instance,
    digests: BTreeMap<&'static str, String>,
    lab: Lab,
}

impl Real {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::up()?;
        let mut digests = BTreeMap::new();
        for stock in stock::all() {
            digests.insert(stock.tag, stock.push(&lab.registry())?);
        }
        lab.registry().set_faults(&[no_such_repository()])?;
        let instance = lab.instance("web-1")?;
        fs::create_dir(instance.path(FOLDER))?;
        Ok(Self { instance, digests, lab })
    }

    /// What the Engine wrote.
    pub(crate) fn log(&self) -> String {
        self.instance.docker_log().unwrap_or_default()
    }
}

/// What ECR says of a repository that it does not have; the lab's registry would only miss the tag.
fn no_such_repository() -> RegistryFault {
    let words = "The repository with name 'nope' does not exist in the registry";
    RegistryFault::error("/v2/nope/", 404, "NAME_UNKNOWN", words)
}

impl Host for Real {
    fn socket(&self) -> Result<PathBuf> {
        // What `lab::Docker` talks to.
        Ok(format!("/proc/{}/root/run/docker.sock", self.instance.pid()?).into())
    }

    fn digest(&self, tag: &str) -> String {
        self.digests[tag].clone()
    }

    fn folder(&self) -> (&Path, PathBuf) {
        (Path::new(FOLDER), self.instance.path(FOLDER))
    }

    fn cut(&mut self) -> Result<()> {
        self.instance.cut()
    }

    fn boot(&mut self) -> Result<()> {
        self.instance.boot()
    }

    fn restart_engine(&mut self) -> Result<()> {
        self.instance.restart_docker()
    }

    fn machine(&self) -> &'static str {
        stock::MACHINE
    }

    fn registry_says(&mut self, what: Option<(u16, &str, &'static str)>) -> Result<()> {
        let error = |(status, code, words): (u16, &str, &'static str)| {
            let message = words.split_once(": ").map_or(words, |(_, message)| message);
            RegistryFault::error(RegistryFault::MANIFESTS, status, code, message)
        };
        let faults: Vec<_> = what.map(error).into_iter().chain([no_such_repository()]).collect();
        self.lab.registry().set_faults(&faults)
    }

    fn runs_out_of_memory(&mut self, _container: &str) -> Result<()> {
        Ok(())
    }

    fn wait_for_stop(&self, container: &str, since: SystemTime) -> Result<()> {
        // The Engine writes this down right after it has written down that the container was stopped by hand.
        let filters = format!(r#"{{"container":["{container}"],"event":["kill"]}}"#);
        let filters: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let docker = self.instance.docker()?;
        let since = since.duration_since(UNIX_EPOCH)?.as_secs_f64();
        wait_until("the stop has begun", Duration::from_secs(30), || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
            let path = format!("/events?since={since}&until={now}&filters={filters}");
            let answer = docker.request("GET", &path, None)?;
            Ok(!answer.body.is_empty())
        })
    }
}
