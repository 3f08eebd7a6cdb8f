//! One instance: a fake Engine, a fake AWS at the level of HTTP, a state folder, and handover at work on them.

use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use fake_docker::{Behaviour, ContainerView, FakeDocker, Fate, Image};
use futures_util::FutureExt as _;
use handover::config::{self, Config};
use handover::deploy::run::Clock;
use handover::deploy::step::Phase;
use handover::deploy::{self, DeployError, Request};
use handover::host::aws::Aws;
use handover::host::docker::Docker;
use handover::host::{Host, LazyAws, Paths};
use handover::printer::Silent;
use handover::report::Report;
use handover::signal::Termination;

pub const REPOSITORY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page";
pub const SECRET: &str = "S3cr3t-canary/with#specials";

pub struct World {
    pub dir: tempfile::TempDir,
    pub engine: FakeDocker,
    pub port: u16,
    pub aws_calls: Arc<Mutex<Vec<String>>>,
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
        let dir = tempfile::tempdir().unwrap();
        for folder in ["state", "lock", "log"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let engine = FakeDocker::start(dir.path()).await.unwrap();
        engine.host_ports_are_real(true);
        for (tag, behaviour) in [
            ("v1", Behaviour::Healthy),
            ("v2", Behaviour::Healthy),
            ("v3", Behaviour::Healthy),
            ("crash", Behaviour::ExitsAtOnce(1)),
            ("error", Behaviour::Answers(500)),
            ("silent", Behaviour::NeverListens),
            ("late", Behaviour::ExitsAfterProbes(4, 1)),
        ] {
            let image = Image::new(REPOSITORY, tag, &Image::digest_of(tag)).behaving(behaviour);
            engine.add_image(image.guarded("AWS", "canary-token"));
        }
        // Bound and let go: the Engine's containers take it in turn.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { dir, engine, port, aws_calls: Arc::default() }
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
        let docker = Docker::at(self.engine.socket()).unwrap();
        Host { docker, aws: LazyAws::ready(self.aws()), paths }
    }

    fn aws(&self) -> Aws {
        let calls = Arc::clone(&self.aws_calls);
        let client = infallible_client_fn(move |request: http::Request<SdkBody>| {
            let target =
                request.headers().get("x-amz-target").and_then(|t| t.to_str().ok()).unwrap_or_default();
            let action = target.rsplit('.').next().unwrap_or_default().to_owned();
            assert!(request.headers().contains_key("authorization"), "{action} is not signed");
            calls.lock().unwrap().push(action.clone());
            let body = match action.as_str() {
                // AWS:canary-token
                "GetAuthorizationToken" => {
                    r#"{"authorizationData":[{"authorizationToken":"QVdTOmNhbmFyeS10b2tlbg==","expiresAt":4102444800}]}"#.to_owned()
                }
                "GetSecretValue" => serde_json::json!({
                    "Name": "prod/database",
                    "VersionId": "11111111-2222-3333-4444-555555555555",
                    "SecretString": serde_json::json!({"username": "sp", "password": SECRET, "port": 5432}).to_string(),
                })
                .to_string(),
                other => panic!("AWS was asked to {other}"),
            };
            http::Response::builder()
                .header("content-type", "application/x-amz-json-1.1")
                .body(SdkBody::from(body))
                .unwrap()
        });
        Aws::with_client(client, SharedCredentialsProvider::new(Credentials::for_tests()))
    }

    pub fn config(&self, tag: &str) -> Config {
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
        Config { settings: config::parse(&text, "handover.toml").unwrap(), text }
    }

    pub fn request(&self, id: &str, tag: &str) -> Request {
        Request {
            config: self.config(tag),
            deployment: id.parse().unwrap(),
            group: Some("test".to_owned()),
            until: Phase::Finish,
            command: "test".to_owned(),
            hook: true,
            lock_patience: Duration::ZERO,
            clock: Clock::unlimited(),
            termination: Termination::never(),
        }
    }

    pub async fn deploy(&self, id: &str, tag: &str) -> Result<Report, DeployError> {
        deploy::run(self.request(id, tag), &self.host(), &Silent).await
    }

    pub async fn recover(&self) -> Result<Option<Report>, DeployError> {
        let app = "status-page".parse().unwrap();
        deploy::recover(&app, &self.host(), &Silent, Termination::never()).await
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

    pub fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state/status-page")
    }

    /// The tag of the one release that serves at the port.
    pub fn serving(&self) -> Option<String> {
        let serving = self.engine.serving();
        assert!(serving.len() <= 1, "several serve: {serving:?}");
        serving.first().map(|s| self.tag_of(&s.container))
    }

    fn tag_of(&self, container: &ContainerView) -> String {
        let known = ["v1", "v2", "v3", "crash", "error", "silent", "late"];
        let found = known.iter().find(|tag| container.image.contains(&Image::digest_of(tag)));
        (*found.unwrap_or_else(|| panic!("{container:?} is of no known image"))).to_owned()
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
