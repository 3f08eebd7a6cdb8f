//! What must not change: the live container, down to the last field that Docker knows, and what else is on the instance.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use world::World;

/// The instance before something goes wrong.
#[derive(Debug)]
pub struct Before {
    live: Value,
    containers: BTreeSet<String>,
    files: BTreeSet<String>,
}

/// What a refused release may leave: what tells of it. Its image stays too, it is likely to be tried again.
const EVIDENCE: [&str; 4] = ["record.json", "journal.jsonl", "handover.toml", ".log"];

fn is_evidence(file: &str) -> bool {
    // releases/N/templates/... belong to its configuration.
    let is_template = file.split('/').nth(2) == Some("templates");
    file.starts_with("releases/") && (is_template || EVIDENCE.iter().any(|kept| file.ends_with(kept)))
}

impl Before {
    pub fn of(world: &World) -> Result<Self> {
        Ok(Self { live: live(world)?, containers: containers(world)?, files: files(world)? })
    }

    /// Not a field of live is another one: P1. A look at a container changes nothing in it, so nothing is left out.
    pub fn assert_untouched(&self, world: &World) -> Result<()> {
        let now = live(world)?;
        ensure!(hash(&now) == hash(&self.live), "live was touched: {}", difference(&self.live, &now));
        self.assert_nothing_left(world)
    }

    /// Live was stopped and started again, and is the same in everything else: as good as P1 gets when the fault only
    /// shows after the switch has begun and the order is stop-first.
    pub fn assert_the_same_but_for_a_restart(&self, world: &World) -> Result<()> {
        let (was, now) =
            (without_what_a_start_changes(&self.live), without_what_a_start_changes(&live(world)?));
        ensure!(hash(&was) == hash(&now), "live is another one: {}", difference(&was, &now));
        self.assert_nothing_left(world)
    }

    fn assert_nothing_left(&self, world: &World) -> Result<()> {
        let containers: Vec<_> = containers(world)?.difference(&self.containers).cloned().collect();
        ensure!(containers.is_empty(), "containers were left: {containers:?}");
        let files = files(world)?;
        let left: Vec<_> = files.difference(&self.files).filter(|file| !is_evidence(file)).collect();
        ensure!(left.is_empty(), "files were left: {left:?}");
        ensure!(world.release_that_comes_up()? == "v1", "v1 does not answer");
        Ok(())
    }
}

fn live(world: &World) -> Result<Value> {
    world.web.docker()?.inspect("status-page-web")?.context("nothing is live")
}

fn hash(value: &Value) -> String {
    format!("{:x}", Sha256::digest(value.to_string()))
}

/// When it runs since, as which process, and at which place of the network: a start gives each of them anew.
fn without_what_a_start_changes(live: &Value) -> Value {
    let mut live = live.clone();
    for field in ["StartedAt", "FinishedAt", "Pid"] {
        live["State"][field].take();
    }
    live["NetworkSettings"].take();
    live
}

/// Without services: they are no part of a release, and stay whatever becomes of one.
fn containers(world: &World) -> Result<BTreeSet<String>> {
    let containers = world.web.docker()?.containers()?;
    let of_releases = containers.iter().filter(|container| container["Labels"]["handover.kind"] != "service");
    Ok(of_releases.map(|container| format!("{} {}", container["Names"], container["Id"])).collect())
}

/// What handover keeps.
fn files(world: &World) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let top = world.web.path("/var/lib/handover/status-page");
    walk(&top, &top, &mut files)?;
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(top, &path, files)?;
        } else {
            files.insert(path.strip_prefix(top)?.display().to_string());
        }
    }
    Ok(())
}

/// The first field that is another one.
fn difference(was: &Value, now: &Value) -> String {
    match (was, now) {
        (Value::Object(was_fields), Value::Object(now_fields)) => was_fields
            .keys()
            .chain(now_fields.keys())
            .find(|key| was_fields.get(*key) != now_fields.get(*key))
            .map(|key| format!("{key}.{}", difference(&was[key], &now[key])))
            .unwrap_or_default(),
        _ => format!(" was {was}, is {now}"),
    }
}
