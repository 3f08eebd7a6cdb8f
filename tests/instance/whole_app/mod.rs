//! A whole application in one bundle: a front server with the static files of its release, a web server, a worker, a scheduler
//! of which there must never be two, and the tasks before the switch.

mod faults;
mod interrupted;
mod services;
mod start_first;
mod updates;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use codedeploy::DeploymentReport;
use lab::{ImageSpec, names, wait_until};
use serde_json::Value;

use world::{PATIENCE, World};

const CONFIGURATION: &str = include_str!("handover.toml");
const SITE: &str = include_str!("site.conf");
const PROCESSES: [&str; 4] = ["front", "scheduler", "web", "worker"];

/// A world with the images of the application's first releases, v1 to v3, and the front servers of each.
struct Whole {
    world: World,
}

/// What differs between two releases.
struct Release {
    tag: &'static str,
    edits: Vec<(String, String)>,
}

impl Release {
    fn of(tag: &'static str) -> Self {
        Self { tag, edits: vec![] }
    }

    /// The same with a variable of the environment changed.
    fn with(self, name: &str, value: &str) -> Self {
        let line = CONFIGURATION.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.expect("a variable that is there").to_owned();
        self.edit(&line, &format!("{name} = \"{value}\""))
    }

    /// The same with other words in one place.
    fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Without the table of a process.
    fn without(self, process: &str) -> Self {
        let tables = CONFIGURATION.split("\n\n");
        let of_it = tables.filter(|table| table.starts_with(&format!("[process.{process}")));
        of_it.fold(self, |release, table| release.edit(table, ""))
    }
}

impl Whole {
    fn up() -> Result<Self> {
        let whole = Self { world: World::up()? };
        whole.trust()?;
        for tag in ["v1", "v2", "v3"] {
            let front = ImageSpec::front(tag)?;
            let registry = whole.world.lab.registry();
            registry.push_image(names::REPOSITORY, &format!("front-{tag}"), &front)?;
        }
        Ok(whole)
    }

    /// Puts the database's CA onto the instance, which a power cut takes away.
    fn trust(&self) -> Result<()> {
        let ca = self.world.lab.dir().join("vpc/ca.pem");
        std::fs::copy(ca, self.world.web.path("/etc/ssl/rds.pem"))?;
        Ok(())
    }

    /// With release v1 deployed and serving.
    fn with_v1() -> Result<Self> {
        let whole = Self::up()?;
        let report = whole.deploy("d-000000001", Release::of("v1"))?;
        ensure!(report.succeeded(), "{report:?}");
        Ok(whole)
    }

    /// Writes the bundle of a release and returns its path on the instance.
    fn bundle(&self, release: &Release) -> Result<String> {
        let path = self.world.bundle(&world::Bundle::of(release.tag))?;
        let (front, tag) = (format!("\"front-{}\"", release.tag), release.tag);
        let mut files = [
            (
                "handover.toml",
                CONFIGURATION.replace("\"FRONT\"", &front).replace("\"TAG\"", &format!("{tag:?}")),
            ),
            ("templates/site.conf", SITE.replace("TAG", tag)),
            ("templates/status-page.conf", "database = {{ database.host }}\n".to_owned()),
        ];
        for (from, to) in &release.edits {
            ensure!(files.iter().any(|(_, text)| text.contains(from)), "there is no '{from}'");
            for (_, text) in &mut files {
                *text = text.replace(from, to);
            }
        }
        for (name, text) in files {
            let file = self.world.web.path(&format!("{path}/{name}"));
            std::fs::create_dir_all(file.parent().context("a file without a folder")?)?;
            std::fs::write(file, text)?;
        }
        Ok(path)
    }

    fn deploy(&self, id: &str, release: Release) -> Result<DeploymentReport> {
        self.world.deploy_folder(id, &self.bundle(&release)?)
    }

    /// The live containers: their ids, by process.
    fn live(&self) -> Result<BTreeMap<String, String>> {
        let docker = self.world.web.docker()?;
        let mut live = BTreeMap::new();
        for process in PROCESSES {
            let Some(one) = docker.inspect(&format!("status-page-{process}"))? else { continue };
            ensure!(one["State"]["Running"] == true, "{process}: {}", one["State"]);
            let policy = &one["HostConfig"]["RestartPolicy"]["Name"];
            ensure!(policy == "unless-stopped", "{process}: {policy}");
            live.insert(process.to_owned(), one["Id"].as_str().context("no id")?.to_owned());
        }
        Ok(live)
    }

    /// What a client gets: the release of the front server, of the web server behind it, and of the static files.
    fn seen(&self) -> Result<[String; 3]> {
        let url = format!("http://{}:8000", self.world.web.ip());
        let page = self.world.lab.http_get(&format!("{url}/"))?;
        ensure!(page.status == 200, "{}: {}", page.status, page.text());
        let front = page.header("x-front").context("not the front server")?.to_owned();
        let web = page.json()?["release"].as_str().context("no release")?.to_owned();
        let file = self.world.lab.http_get(&format!("{url}/static/release.txt"))?;
        ensure!(file.status == 200, "{}: {}", file.status, file.text());
        Ok([front, web, file.text().trim().to_owned()])
    }

    /// Steady state: all of a release serves, comes back at a boot, and nothing else runs.
    fn assert_settled(&self, tag: &str) -> Result<()> {
        wait_until("the application answers", PATIENCE, || Ok(self.seen().is_ok()))?;
        let seen = self.seen()?;
        ensure!(seen.iter().all(|release| release == tag), "{seen:?} is not {tag}");
        let live = self.live()?;
        for (name, (running, policy)) in self.world.containers()? {
            let process = name.strip_prefix("status-page-").unwrap_or_default();
            if !live.contains_key(process) {
                ensure!(!running && policy == "no", "{name}: {running}, {policy}");
            }
        }
        Ok(())
    }

    /// The networks and volumes that belong to releases, by name.
    fn shared(&self) -> Result<Vec<String>> {
        let docker = self.world.web.docker()?;
        let (networks, volumes) = (docker.get("/networks")?, docker.get("/volumes")?);
        let all = networks.as_array().into_iter().chain(volumes["Volumes"].as_array()).flatten();
        let ours = all.filter(|one| one["Labels"]["handover.app"] == "status-page");
        let mut names: Vec<_> = ours.filter_map(|one| one["Name"].as_str().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Waits until the counts of the application are as wished.
    fn counted(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut counts = Value::Null;
        let waited = wait_until(what, PATIENCE, || {
            counts = self.world.lab.counts()?;
            Ok(is(&counts))
        });
        waited.with_context(|| counts.to_string())?;
        Ok(counts)
    }

    /// How many migrations were begun.
    fn migrations(&self) -> Result<usize> {
        Ok(self.world.lab.counts()?["migrations"].as_array().map_or(0, Vec::len))
    }

    /// No scheduler ran beside another, and no migration did damage.
    fn assert_unharmed(&self) -> Result<()> {
        let counts = self.world.lab.counts()?;
        let harmed = ["overlaps", "damage", "lost"]
            .into_iter()
            .find(|what| counts[what].as_array().is_none_or(|list| !list.is_empty()));
        ensure!(harmed.is_none() && counts["duplicated"] == 0, "{counts}");
        Ok(())
    }
}
