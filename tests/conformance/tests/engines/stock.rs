//! The images in the registry, each as it is in the lab's registry and as the fake has it.

use std::time::Duration;

use fake_docker::{Behaviour, ExecOutcome, Image, ImageConfig, LogLine, Stream};
use lab::ImageSpec;
use lab::names::{REGISTRY_PASSWORD, REGISTRY_USER, REPOSITORY_URL};

/// The architecture of this machine, and so of a real Engine on it.
pub(crate) const MACHINE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The architecture that stands here for one of the list below, which is written for `amd64`.
fn other_way_round(machine: &str) -> &str {
    match (MACHINE, machine) {
        ("arm64", "amd64") => "arm64",
        ("arm64", "arm64") => "amd64",
        _ => machine,
    }
}

/// An image of the test application.
pub(crate) struct Stock {
    /// Its tag, and the release that it is.
    pub(crate) tag: &'static str,
    /// How the application behaves.
    variant: &'static str,
    /// What the fake makes of that.
    behaviour: Behaviour,
    /// Whether it has a HEALTHCHECK.
    checked: bool,
    /// Whether it says more about itself than it has to.
    talkative: bool,
    /// Whether it is for another machine; an index for two machines if this one is among them.
    machines: &'static [&'static str],
    /// Whether every case finds it pulled.
    pub(crate) here: bool,
}

/// Milliseconds between two health checks, and how many must fail.
const INTERVAL: u64 = 2_000;
const RETRIES: u32 = 2;

/// All of them.
pub(crate) fn all() -> Vec<Stock> {
    let of = |tag, variant, behaviour| Stock {
        tag,
        variant,
        behaviour,
        checked: false,
        talkative: false,
        machines: &[],
        here: true,
    };
    vec![
        of("good", "good", Behaviour::Healthy),
        of("deaf", "ignore-term", Behaviour::IgnoresTerm),
        of("hang", "hang", Behaviour::Hangs),
        of("eater", "eat-memory", Behaviour::Healthy),
        of("crash", "crash", Behaviour::ExitsAtOnce(1)),
        of("missing", "missing", Behaviour::EntrypointMissing),
        Stock { checked: true, ..of("checked", "good", Behaviour::Healthy) },
        Stock { checked: true, ..of("sick", "never-listens", Behaviour::NeverListens) },
        Stock { talkative: true, ..of("talkative", "good", Behaviour::Healthy) },
        Stock { here: false, ..of("pulled", "good", Behaviour::Healthy) },
        Stock { here: false, ..of("guarded", "good", Behaviour::Healthy) },
        Stock { here: false, ..of("removed", "good", Behaviour::Healthy) },
        Stock { here: false, machines: &["arm64"], ..of("foreign", "good", Behaviour::Healthy) },
        Stock { here: false, machines: &["arm64", "amd64"], ..of("index", "good", Behaviour::Healthy) },
        Stock { here: false, machines: &["arm64", "s390x"], ..of("nowhere", "good", Behaviour::Healthy) },
    ]
}

impl Stock {
    /// Puts it into the lab's registry; its digest.
    pub(crate) fn push(&self, registry: &lab::Registry) -> anyhow::Result<String> {
        let specs: Vec<_> =
            self.machines.iter().map(|machine| self.spec(Some(other_way_round(machine)))).collect();
        match specs.as_slice() {
            [] => registry.push_image(lab::names::REPOSITORY, self.tag, &self.spec(None)),
            [one] => registry.push_image(lab::names::REPOSITORY, self.tag, one),
            several => registry.push_index(lab::names::REPOSITORY, self.tag, several),
        }
    }

    fn spec(&self, machine: Option<&str>) -> ImageSpec {
        let mut spec = ImageSpec::new(self.tag).variant(self.variant);
        spec.without_application = self.behaviour == Behaviour::EntrypointMissing;
        if let Some(machine) = machine {
            machine.clone_into(&mut spec.architecture);
        }
        if self.checked {
            spec.healthcheck = Some(lab::Healthcheck {
                interval_ms: INTERVAL,
                retries: RETRIES.into(),
                timeout_ms: 0,
                ..lab::Healthcheck::default()
            });
        }
        if self.talkative {
            "1000:1000".clone_into(&mut spec.user);
            spec.stop_signal = Some("SIGINT".to_owned());
            spec.command = vec!["serve".to_owned()];
            spec.ports = vec![8000, 9000];
            spec.labels = [("from", "the image"), ("both", "the image")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        }
        spec
    }

    /// The same for the fake.
    pub(crate) fn fake(&self) -> Image {
        let spec = self.spec(None);
        let ports = spec.ports.iter().map(|port| format!("{port}/tcp"));
        let environment =
            ["PATH=/".to_owned(), format!("RELEASE={}", self.tag), format!("VARIANT={}", self.variant)];
        let config = ImageConfig {
            env: environment.into(),
            entrypoint: spec.entrypoint.clone(),
            cmd: spec.command.clone(),
            exposed_ports: ports.collect(),
            labels: spec.labels.into_iter().collect(),
            healthcheck: spec.healthcheck.map(|check| fake_docker::Healthcheck {
                test: check.test,
                interval: Duration::from_millis(check.interval_ms),
                retries: RETRIES,
            }),
            stop_signal: spec.stop_signal.unwrap_or_default(),
            user: spec.user,
        };
        let mut image = Image::new(REPOSITORY_URL, self.tag, &Image::digest_of(self.tag))
            .behaving(self.behaviour.clone())
            .guarded(REGISTRY_USER, REGISTRY_PASSWORD)
            .for_machines(self.machines)
            .command(&["exit", "0"], Behaviour::ExitsAtOnce(0))
            .command(&["exit", "3"], Behaviour::ExitsAtOnce(3));
        image.config = config;
        image.logs = self.logs();
        image.execs = execs();
        image
    }

    /// What the application writes.
    fn logs(&self) -> Vec<LogLine> {
        let line = |stream, text: String| LogLine { stream, bytes: text.into_bytes() };
        let starts = line(Stream::Stdout, format!("app {} starts as {}", self.tag, self.variant));
        let last = match self.variant {
            "crash" => line(Stream::Stderr, "app: crashing, as I was told".to_owned()),
            _ => line(Stream::Stdout, "app listens on 8000".to_owned()),
        };
        vec![starts, last]
    }
}

/// What the Engine itself writes when it cannot run a command.
const NO_PROGRAM: &str = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"/nope\": stat \
                          /nope: no such file or directory: unknown\r\n";

/// What comes of the commands that the suite runs in a container.
fn execs() -> Vec<(Vec<String>, ExecOutcome)> {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let outcome = |code, stdout: &str, stderr: &str| ExecOutcome {
        code,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    };
    vec![
        (words(&["/app", "check", "/ping"]), outcome(0, "HTTP/1.1 200 OK\n", "")),
        (words(&["/nope"]), outcome(126, NO_PROGRAM, "")),
        (words(&["/app", "exit", "3"]), outcome(3, "", "")),
        (
            words(&["/app", "check", "/nope"]),
            outcome(1, "HTTP/1.1 404 Error\n", "app: /nope: HTTP/1.1 404 Error\n"),
        ),
    ]
}
