//! One instance: a fake Engine, a fake AWS, a state folder, and handover at work on them.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_docker::{Behaviour, Call, ContainerView, FakeDocker, Fate, HostPort, Image};
use fake_iptables::{Tables, Which};
use futures_util::FutureExt as _;
use handover::config::{self, Config};
use handover::deploy::clock::Clock;
use handover::deploy::{self, DeployError, Recovered, Request};
use handover::host::docker::{Docker, Patience};
use handover::host::iptables::{self, Family, Table};
use handover::host::machine::disk::Space;
use handover::host::registry::size::ImageSizes;
use handover::host::{Host, LazyAws, Machine, Paths};
use handover::journal::Journal;
use handover::model::{Phase, Revision};
use handover::report::{Report, tail};
use handover::signal::Termination;
use jiff::{SignedDuration, Timestamp};

use crate::aws::FakeAws;
use crate::heard::Heard;

pub const REPOSITORY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page";
pub const SECRET: &str = "S3cr3t-canary/with#specials";
const FILE: &str = "/opt/app/configuration.py";
/// As it is, percent-encoded in three usual ways, and in Base64. The beginning alone is too much already.
const FORMS_OF_SECRET: [&str; 5] = [
    "S3cr3t-canary",
    "S3cr3t%2Dcanary",
    "canary%2Fwith",
    "canary/with",
    "UzNjcjN0LWNhbmFyeS93aXRoI3NwZWNpYWxz",
];

pub struct World {
    pub dir: tempfile::TempDir,
    pub engine: Arc<FakeDocker>,
    /// That of `_held`: the Engine's containers take it in turn.
    pub port: u16,
    _held: HostPort,
    /// The rules for packets.
    pub tables: Arc<Tables>,
    pub aws: FakeAws,
    /// What handover told people and wrote into its log.
    pub heard: Heard,
    /// How long a registry may take: next to no pauses.
    pub patience: Mutex<Patience>,
    /// Changes to the configuration: what stands in it, and what stands there instead.
    pub edits: Mutex<Vec<(String, String)>>,
    /// What is free on its disks.
    pub space: fn(&Path) -> std::io::Result<Space>,
}

/// Everything that a report says about why.
pub fn cause(report: &Report) -> String {
    let failure = report.failure.clone().unwrap_or_else(|| panic!("it says no cause: {report:?}"));
    let findings = failure.findings.iter().map(ToString::to_string);
    [failure.what.clone(), failure.fix.clone()].into_iter().chain(findings).collect::<Vec<_>>().join("; ")
}

/// As good as anything.
#[allow(clippy::unnecessary_wraps, reason = "the disk of another world may fail")]
fn plenty(_: &Path) -> std::io::Result<Space> {
    Ok(Space { device: 1, bytes: 1 << 40, files: None })
}

/// Where a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Before the effect of the nth call to Docker.
    BeforeCall(usize),
    /// After it, before the answer.
    AfterCall(usize),
    /// Before the nth entry of the journal is written.
    BeforeEntry(usize),
    /// After it is on the disk.
    AfterEntry(usize),
}

impl Site {
    /// All there are in these calls and so many entries. A call that only looks leaves the world as it was: a kill after
    /// it is one before whatever comes next.
    pub fn all(calls: &[Call], entries: usize) -> impl Iterator<Item = Self> {
        let of_calls = calls.iter().enumerate().flat_map(|(n, call)| {
            [Some(Self::BeforeCall(n)), call.mutating.then_some(Self::AfterCall(n))].into_iter().flatten()
        });
        of_calls.chain((0..entries).flat_map(|n| [Self::BeforeEntry(n), Self::AfterEntry(n)]))
    }
}

/// What became of a process.
#[derive(Debug)]
pub enum Run {
    /// It was killed at its site.
    Killed,
    /// It came to its own end.
    Ended,
}

impl World {
    /// An Engine without containers, and a registry with every variant of the image.
    pub async fn new() -> Self {
        // In memory: thousands of worlds sync their journals, and what that is good for is tested in durability.rs.
        let memory = Path::new("/dev/shm");
        let dir =
            tempfile::tempdir_in(if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() })
                .unwrap();
        for folder in ["state", "lock", "log", "bundle", "bundle/templates"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("handover"), "a binary").unwrap();
        let engine = FakeDocker::start(dir.path()).await.unwrap();
        engine.host_ports_are_real(true);
        for (tag, behaviour) in [
            ("v1", Behaviour::Healthy),
            ("v2", Behaviour::Healthy),
            ("v3", Behaviour::Healthy),
            ("v4", Behaviour::Healthy),
            ("crash", Behaviour::ExitsAtOnce(1)),
            ("error", Behaviour::Answers(500)),
            ("silent", Behaviour::NeverListens),
            ("late", Behaviour::ExitsAfterProbes(4, 1)),
        ] {
            let image = Image::new(REPOSITORY, tag, &Image::digest_of(tag)).behaving(behaviour);
            engine.add_image(image.guarded("AWS", "canary-token"));
        }
        let held = HostPort::take().unwrap();
        let (first_pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(2));
        let away = Duration::from_millis(500);
        let patience = Mutex::new(Patience { first_pause, longest_pause, away, ..Patience::default() });
        let (aws, heard) = (FakeAws::new(SECRET), Heard::new());
        let (port, edits) = (held.number(), Mutex::default());
        let (tables, engine) = (Arc::default(), Arc::new(engine));
        Self { dir, engine, port, _held: held, tables, aws, heard, patience, edits, space: plenty }
    }

    /// The number of the entry of an undisturbed update to `tag` that contains these words.
    pub async fn entry(words: &str, tag: &str) -> usize {
        let world = Self::with_v1().await;
        world.deploy("d-2", tag).await.unwrap();
        let journal = std::fs::read_to_string(world.state().join("releases/2/journal.jsonl")).unwrap();
        journal
            .lines()
            .position(|line| line.contains(words))
            .unwrap_or_else(|| panic!("no {words} in {journal}"))
    }

    /// Deploys as `d-2`, and is killed right after this entry.
    pub async fn killed_after(&self, words: &str, tag: &str) {
        let site = Site::AfterEntry(Self::entry(words, tag).await);
        assert!(matches!(self.deploy_killed(site, "d-2", tag).await, Run::Killed));
    }

    /// A deployment that is killed one entry later each time, until its journal has these words: by then it has `entries` at
    /// most.
    pub async fn killed_once_written(&self, words: &str, deployment: &str, tag: &str, entries: usize) {
        for n in 0.. {
            self.deploy_killed(Site::AfterEntry(n), deployment, tag).await;
            let journal = std::fs::read_to_string(self.journal()).unwrap();
            if journal.contains(words) {
                break;
            }
            assert!(n < entries, "there is no {words} in:\n{journal}");
        }
    }

    /// The same, with `v1` deployed.
    pub async fn with_v1() -> Self {
        let world = Self::new().await;
        let report = world.deploy("d-1", "v1").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        world.engine.forget_calls();
        world
    }

    pub fn host(&self) -> Host {
        let paths = Paths::below(self.dir.path());
        let docker = Docker::at(self.engine.socket()).unwrap().with_patience(*self.patience.lock().unwrap());
        let machine = Machine::pretended(&self.dir.path().join("proc"), self.space);
        let image_sizes = ImageSizes::Pretended(|_| Ok(50 << 20));
        let fake = Arc::clone(&self.tables);
        let tables = iptables::Tables::Pretended(Arc::new(move |table, family, verb, input| match table {
            Table::Nat => fake.answer(Which::Nat, family == Family::V6, verb, input),
            Table::Raw => fake.answer(Which::Raw, family == Family::V6, verb, input),
            // What is done to packets is seen with a real kernel: here nothing is there, and nothing is put there.
            Table::Mangle => Ok(String::new()),
        }));
        Host { docker, aws: LazyAws::ready(self.aws.connect()), image_sizes, machine, tables, paths }
    }

    /// Changes the configuration of what is deployed from now on.
    pub fn edit(&self, from: &str, to: &str) {
        assert!(self.config_text("v1").contains(from), "the configuration has no '{from}'");
        self.edits.lock().unwrap().push((from.to_owned(), to.to_owned()));
    }

    pub fn config(&self, tag: &str) -> Config {
        let text = self.config_text(tag);
        let settings = config::parse_in(&self.bundle(), &text, "handover.toml");
        Config { settings: settings.unwrap_or_else(|e| panic!("{e}")), text, bundle: None }
    }

    /// The folder of the bundle: only its templates are read.
    pub fn bundle(&self) -> std::path::PathBuf {
        self.dir.path().join("bundle")
    }

    fn config_text(&self, tag: &str) -> String {
        let text = format!(
            r#"
app = "status-page"
[image]
repository = "{REPOSITORY}"
tag = "{tag}"
[secret.database]
id = "prod/database"
fields = {{ host = "db.internal" }}
[environment]
DATABASE_HOST = {{ secret = "database.host" }}
DATABASE_PASSWORD = {{ secret = "database.password" }}
[process.web]
publish = ["127.0.0.1:{}:8000"]
order = "stop-first"
stop-timeout = "1s"
[process.web.health]
http = "/"
interval = "1ms"
timeout = "1s"
successes = 2
min-healthy = "0s"
deadline = "30s"
"#,
            self.port
        );
        self.edits.lock().unwrap().iter().fold(text, |text, (from, to)| text.replace(from, to))
    }

    pub fn request(&self, id: &str, tag: &str) -> Request {
        Request {
            config: self.config(tag),
            deployment: id.parse().unwrap(),
            group: Some("test".to_owned()),
            revision: Revision::default(),
            rollback: None,
            until: Phase::Finish,
            command: "test".to_owned(),
            hook: true,
            lock_patience: Duration::ZERO,
            clock: Clock::unlimited(),
            termination: Termination::never(),
        }
    }

    pub async fn deploy(&self, id: &str, tag: &str) -> Result<Report, DeployError> {
        self.run(self.request(id, tag)).await
    }

    /// One process of a deployment.
    pub async fn run(&self, request: Request) -> Result<Report, DeployError> {
        let host = self.host();
        let (mut report, cleanup) = deploy::run(request, &host, &self.heard).await?;
        report.notes.extend(cleanup.run().await);
        Ok(report)
    }

    /// One hook of a deployment, in a process of its own.
    pub async fn hook(&self, id: &str, tag: &str, until: Phase) -> Result<Report, DeployError> {
        self.run(Request { until, ..self.request(id, tag) }).await
    }

    /// From now on the nth call that changes something is refused: once, or whenever it is made again.
    pub fn refuse(&self, n: usize, again: bool) -> Arc<AtomicBool> {
        let (refused, count) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let (told, which) = (Arc::clone(&refused), Mutex::new(None));
        self.engine.on_call(Box::new(move |call| {
            if !call.mutating {
                return Fate::Proceed;
            }
            let mut which = which.lock().unwrap();
            let this = (call.method.clone(), call.path.clone());
            if count.fetch_add(1, Ordering::Relaxed) == n {
                *which = Some(this.clone());
            } else if !again {
                return Fate::Proceed;
            }
            if *which == Some(this) {
                told.store(true, Ordering::Relaxed);
                return Fate::Refuse(500, "no space left on device".to_owned());
            }
            Fate::Proceed
        }));
        refused
    }

    /// The report of a run that `recover` has brought to its end; nothing when there was none.
    pub async fn recover(&self) -> Result<Option<Report>, DeployError> {
        self.recovered(false).await.map(|recovered| match recovered {
            Recovered::Settled(report) => Some(*report),
            _ => None,
        })
    }

    pub async fn recovered(&self, abandon: bool) -> Result<Recovered, DeployError> {
        let app = "status-page".parse().unwrap();
        deploy::recover(&app, &self.host(), &self.heard, Termination::never(), abandon).await
    }

    /// Runs a deployment that is killed at `site`, if it gets there.
    pub async fn deploy_killed(&self, site: Site, id: &str, tag: &str) -> Run {
        self.killed(site, self.deploy(id, tag)).await
    }

    /// Drives a future until it ends or is killed: nothing of it runs afterwards, as after a SIGKILL.
    pub async fn killed(&self, site: Site, run: impl Future<Output = Result<Report, DeployError>>) -> Run {
        self.engine.forget_calls();
        let start = self.engine.calls_made();
        match site {
            Site::BeforeCall(n) | Site::AfterCall(n) => {
                let fate =
                    if matches!(site, Site::BeforeCall(_)) { Fate::CrashBefore } else { Fate::CrashAfter };
                self.engine.on_call(Box::new(
                    move |call| if call.n == start + n { fate.clone() } else { Fate::Proceed },
                ));
            }
            Site::BeforeEntry(n) => fail::cfg("journal-before-append", &format!("{n}*off->panic")).unwrap(),
            Site::AfterEntry(n) => fail::cfg("journal-after-append", &format!("{n}*off->panic")).unwrap(),
        }
        let outcome = tokio::select! {
            () = self.engine.crashed() => Run::Killed,
            ended = AssertUnwindSafe(run).catch_unwind() => ended.map_or(Run::Killed, |_| Run::Ended),
        };
        fail::remove("journal-before-append");
        fail::remove("journal-after-append");
        self.engine.let_all_proceed();
        outcome
    }

    /// Drives a future until it ends or a call of it is killed.
    pub async fn killed_by(
        &self,
        fate: Box<dyn Fn(&fake_docker::Call) -> Fate + Send>,
        run: impl Future<Output = Result<Report, DeployError>>,
    ) -> Run {
        self.engine.on_call(fate);
        let outcome = tokio::select! {
            () = self.engine.crashed() => Run::Killed,
            _ = run => Run::Ended,
        };
        self.engine.let_all_proceed();
        outcome
    }

    pub fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state/status-page")
    }

    /// The journal of the last run.
    pub fn journal(&self) -> std::path::PathBuf {
        Journal::last(&self.state().join("releases")).unwrap().expect("there was a run")
    }

    /// How many entries that journal has.
    pub fn entries(&self) -> usize {
        std::fs::read_to_string(self.journal()).unwrap().lines().count()
    }

    /// The tag of the release that a new connection to the published port reaches now.
    pub fn traffic(&self) -> Option<String> {
        reached(&self.engine, &self.tables, self.port, Timestamp::now())
    }

    /// The same in an hour, if nobody does anything.
    pub fn traffic_later(&self) -> Option<String> {
        reached(&self.engine, &self.tables, self.port, Timestamp::now() + SignedDuration::from_hours(1))
    }

    /// The names of the steps that the run in progress or the last one has begun, and its commit, in order.
    pub fn steps(&self) -> Vec<String> {
        let journal = std::fs::read_to_string(self.journal()).unwrap();
        let lines = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines
            .filter(|line| line["entry"] == "began" || line["entry"] == "committed")
            .map(|line| line["step"].as_str().unwrap_or("commit").to_owned())
            .collect()
    }

    /// Whether a connection to the published port waits, now and in an hour if nobody does anything.
    pub fn waits(&self) -> (bool, bool) {
        let now = Timestamp::now();
        let holds = |at| self.tables.holds(self.port, at);
        (holds(now), holds(now + SignedDuration::from_hours(1)))
    }

    /// From now on, before each call to the Engine a connection is made: whether one found nobody.
    pub fn connections_at_every_call(&self) -> Arc<AtomicBool> {
        let lost = Arc::new(AtomicBool::new(false));
        let (engine, tables, port, told) =
            (Arc::downgrade(&self.engine), Arc::clone(&self.tables), self.port, Arc::clone(&lost));
        self.engine.on_call(Box::new(move |call| {
            if engine
                .upgrade()
                .is_some_and(|engine| reached(&engine, &tables, port, Timestamp::now()).is_none())
            {
                eprintln!("nobody answers before {call:?}");
                told.store(true, Ordering::Relaxed);
            }
            Fate::Proceed
        }));
        lost
    }

    /// The tag of the one release that serves at the port.
    pub fn serving(&self) -> Option<String> {
        let mut serving = self.engine.serving();
        serving.retain(|serving| {
            serving.container.labels.get("handover.kind").is_none_or(|kind| kind != "bridge")
        });
        assert!(serving.len() <= 1, "several serve: {serving:?}");
        serving.first().map(|s| self.tag_of(&s.container))
    }

    #[allow(clippy::unused_self)]
    fn tag_of(&self, container: &ContainerView) -> String {
        tag_of(container)
    }

    /// Adds a file that is rendered from the secret, and returns where it is in the container.
    pub fn add_file(&self, template: &str) -> &'static str {
        std::fs::write(self.bundle().join("templates/configuration.py"), template).unwrap();
        let table =
            format!("[file.\"{FILE}\"]\ntemplate = \"templates/configuration.py\"\nmode = \"0440\"\n");
        self.edit("[environment]", &format!("{table}[environment]"));
        FILE
    }

    /// The rendered file of a release.
    pub fn file_of(&self, release: u64) -> std::path::PathBuf {
        self.state().join(format!("releases/{release}/files/web{FILE}"))
    }

    /// The hash of live's whole inspect.
    pub fn live_hash(&self) -> String {
        self.engine.inspect_hash("status-page-web").expect("something is live")
    }

    /// The secret is nowhere: not in the state folder, not in what was told or logged, not in the closing lines.
    pub fn assert_no_secret(&self, result: &Result<Report, DeployError>) {
        let mut texts =
            vec![("heard".to_owned(), self.heard.all()), ("result".to_owned(), format!("{result:?}"))];
        if let Ok(report) = result {
            texts.push(("closing lines".to_owned(), tail::of(report).join("\n")));
        }
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                // The rendered files are one of the three places where a secret may be (P6).
                let is_rendered = entry.file_name() == "files" && entry.path().starts_with(self.state());
                if is_rendered {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_type().unwrap().is_file() {
                    let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                    texts.push((entry.path().display().to_string(), text));
                }
            }
        }
        assert!(texts.iter().any(|(place, _)| place.ends_with("journal.jsonl")), "nothing was searched");
        for form in FORMS_OF_SECRET {
            for (place, text) in &texts {
                assert!(!text.contains(form), "'{form}' stands in {place}:\n{text}");
            }
        }
    }

    /// Steady state: the release of `tag` is live, by name, by restart policy and by serving; whatever else there is, is
    /// parked; and a reboot changes nothing of it.
    pub fn assert_settled(&self, tag: &str) {
        let containers = self.engine.containers();
        assert_eq!(self.serving().as_deref(), Some(tag), "{containers:?}");
        let live = self
            .engine
            .container("status-page-web")
            .unwrap_or_else(|| panic!("nothing is live: {containers:?}"));
        assert_eq!(self.tag_of(&live), tag);
        assert_eq!(live.restart_policy, "unless-stopped");
        for parked in containers.iter().filter(|c| c.id != live.id) {
            assert!(parked.name.contains(".r"), "{parked:?}");
            assert!(!parked.running, "{parked:?}");
            assert_eq!(parked.restart_policy, "no", "{parked:?}");
        }
        self.engine.assert_no_complaints();
    }
}

/// The tag of a container's image.
fn tag_of(container: &ContainerView) -> String {
    let known = ["v1", "v2", "v3", "v4", "crash", "error", "silent", "late"];
    let found = known.iter().find(|tag| container.digest == Image::digest_of(tag));
    (*found.unwrap_or_else(|| panic!("{container:?} is of no known image"))).to_owned()
}

/// The tag of the release that a new connection to a port of the host reaches: by the rules, or by itself; or that it waits.
fn reached(engine: &FakeDocker, tables: &Tables, port: u16, at: Timestamp) -> Option<String> {
    if tables.holds(port, at) {
        return Some("waits".to_owned());
    }
    let port = tables.way(port, at).map_or(port, |to| to.port());
    let serving = engine.serving();
    serving.iter().find(|serving| serving.host_port == port).map(|serving| tag_of(&serving.container))
}
