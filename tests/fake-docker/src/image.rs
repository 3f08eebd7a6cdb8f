//! What the fake registry holds, and how its containers behave.

use std::time::Duration;

/// How a container of an image behaves once started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Answers 200 on each exposed port and ends with 0 on TERM.
    #[default]
    Healthy,
    /// Answers 503 to the first n probes of each start, 200 from then on.
    HealthyAfterProbes(usize),
    /// Answers 200 to n probes of each start, then ends by itself with this code.
    ExitsAfterProbes(usize, i64),
    /// Ends by itself with this code as soon as it has started.
    ExitsAtOnce(i64),
    /// Runs, but listens on nothing.
    NeverListens,
    /// Accepts connections and never answers.
    Hangs,
    /// Answers with this status.
    Answers(u16),
    /// Healthy, but only KILL ends it (137): a stop takes all the time that it is given, in real time, and goes on when
    /// its client dies ([`Fate::CrashAfter`](crate::Fate::CrashAfter)).
    IgnoresTerm,
    /// Answers 200, but its own HEALTHCHECK fails.
    HealthcheckUnhealthy,
    /// Cannot be started at all: 400, exit code 127.
    EntrypointMissing,
}

/// What an exec of one command comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutcome {
    /// The exit code.
    pub code: i64,
    /// Written to stdout.
    pub stdout: String,
    /// Written to stderr.
    pub stderr: String,
}

/// Where a line of a container's log was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a container's log, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written to.
    pub stream: Stream,
    /// The bytes, which need not be UTF-8.
    pub bytes: Vec<u8>,
}

/// An image's HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// As in the image: `["CMD", …]`, `["CMD-SHELL", …]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between probes; zero stands for the Engine's 30 s.
    pub interval: Duration,
    /// Failures in a row until unhealthy; zero stands for the Engine's 3.
    pub retries: u32,
}

/// An image's own configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// `KEY=value`.
    pub env: Vec<String>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// EXPOSE, as `8000/tcp`.
    pub exposed_ports: Vec<String>,
    /// LABEL.
    pub labels: Vec<(String, String)>,
    /// HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
    /// STOPSIGNAL, empty for none.
    pub stop_signal: String,
    /// USER, empty for none.
    pub user: String,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            env: vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
            entrypoint: vec!["/app".to_owned()],
            cmd: Vec::new(),
            exposed_ports: vec!["8000/tcp".to_owned()],
            labels: Vec::new(),
            healthcheck: None,
            stop_signal: String::new(),
            user: String::new(),
        }
    }
}

/// One image in the fake registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Registry host and name, without tag or digest.
    pub repository: String,
    /// The tag that points at it now.
    pub tag: Option<String>,
    /// The manifest's digest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// User and password that the registry wants for it.
    pub auth: Option<(String, String)>,
    /// How its containers behave.
    pub behaviour: Behaviour,
    /// Other behaviours for containers with exactly this command (the container's `Cmd`, or its whole argv).
    pub commands: Vec<(Vec<String>, Behaviour)>,
    /// What an exec of exactly this command comes to. Others end with 0 in a healthy container, with 1 in another.
    pub execs: Vec<(Vec<String>, ExecOutcome)>,
    /// What a container of it logs at each start.
    pub logs: Vec<LogLine>,
    /// The image's own configuration.
    pub config: ImageConfig,
    /// When set, a pull answers 200 and fails with this message inside the stream.
    pub pull_fails: Option<String>,
    /// Size in bytes; zero stands for 10 MB.
    pub size: u64,
    /// The architectures that it is for; none stands for `amd64`. With several, the Engine takes its own if it is there.
    pub architectures: Vec<String>,
    /// Whether the registry keeps to itself what it is for.
    pub platform_untold: bool,
}

impl Image {
    /// A healthy image that needs no authentication.
    pub fn new(repository: &str, tag: &str, digest: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            tag: Some(tag.to_owned()),
            digest: digest.to_owned(),
            ..Self::default()
        }
    }

    /// The same, with a behaviour.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The same, needing this user and password.
    #[must_use]
    pub fn guarded(mut self, user: &str, password: &str) -> Self {
        self.auth = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The same, for machines of these architectures.
    #[must_use]
    pub fn for_machines(mut self, architectures: &[&str]) -> Self {
        self.architectures = architectures.iter().map(ToString::to_string).collect();
        self
    }

    /// The same, with another behaviour for one command.
    #[must_use]
    pub fn command(mut self, argv: &[&str], behaviour: Behaviour) -> Self {
        self.commands.push((argv.iter().map(ToString::to_string).collect(), behaviour));
        self
    }

    /// A well-formed digest made of a word: equal words, equal digests.
    pub fn digest_of(word: &str) -> String {
        format!("sha256:{}", crate::world::hex64(word))
    }
}
