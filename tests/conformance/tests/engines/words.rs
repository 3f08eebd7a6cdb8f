//! What is different each time, and what Engines of different versions word differently: both are replaced, here and
//! nowhere else.

use regex_lite::Regex;

/// What differs from run to run: the order matters.
const CHANGING: &[(&str, &str)] = &[
    (r"\bsha256:[0-9a-f]{64}\b", "<sha256>"),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\breferenced image [0-9a-f]{12}\b", "referenced image <short id>"),
    (r"\b(2\d{3})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    // Of containers: 172.17.0.0/16 and those after it in an Engine, loopback in the fake.
    (r"\b172\.(1[7-9]|2\d|3[01])\.0\.\d+\b|\b127\.(1[2-9]\d|2\d\d)\.\d+\.\d+\b", "<address>"),
];

/// What is worded differently by version, and what is written down for it. Seen by this suite: 20.10.24, 26.1.5 and 28.5.2;
/// whoever runs it on another version adds what it finds.
const VERSIONS: &[(&str, &str)] = &[
    // The versions themselves, Debian's mark behind them included.
    (r#"(Version: )"[0-9.]+(\+dfsg\d+)?""#, "$1<version>"),
    ("(API version is )[0-9.]+", "$1<version>"),
    // 25 and later.
    (
        r#"cannot remove container "/([^"]+)": container is (\w+): stop the container before removing or force remove"#,
        "You cannot remove a $2 container <id of $1>. Stop the container before attempting removal or force remove",
    ),
    // 26 and later: begins with small letters, and names what it is about.
    (
        r"cannot kill container: ([^:]+): container (.+) is not running",
        "Cannot kill container: $1: Container $2 is not running",
    ),
    (r"cannot kill container: \w+: invalid signal: ", "Invalid signal: "),
    (r"cannot kill container: ", "Cannot kill container: "),
    (r"\binvalid signal: ", "Invalid signal: "),
    (r"\bcontainer (<id of [^>]+>) is not running", "Container $1 is not running"),
    (r"\bno command specified", "No command specified"),
    (r"\binvalid filter '", "Invalid filter '"),
    (r"repository name \([^)]+\) must be lowercase", "repository name must be lowercase"),
    (
        r"invalid restart policy: unknown policy '([^']+)'; use one of [^;]*'unless-stopped'",
        "invalid restart policy '$1'",
    ),
    (
        "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        "maximum retry count cannot be used with restart policy 'always'",
    ),
    ("failed to create task for container: failed to create shim task", "failed to create shim task"),
    // 20.10 says it twice.
    (r"\bno such image: .+?: No such image: ", "No such image: "),
    // 20.10 has nothing for a container without a policy, later ones have its name.
    (r"HostConfig\.RestartPolicy: \{\}", r#"HostConfig.RestartPolicy: {Name: "no"}"#),
    // 26 and later say which ones, and what failed.
    (r"has active endpoints \([^)]*\)", "has active endpoints"),
    ("failed to set up container networking: ", ""),
    // 28 says "bridge" also for what was created without a network.
    (r#"NetworkMode: "bridge""#, r#"NetworkMode: "default""#),
];

/// Replaces what changes.
#[derive(Default)]
pub(crate) struct Words {
    names: Vec<(String, String)>,
    /// Of an Engine for `arm64`.
    is_arm: bool,
}

impl Words {
    /// For an Engine of this architecture.
    pub(crate) fn of(machine: &str) -> Self {
        Self { is_arm: machine == "arm64", ..Self::default() }
    }

    /// Gives something a name that is the same on every Engine.
    pub(crate) fn call(&mut self, what: &str, name: &str) {
        // The newest first: a name may be used again.
        self.names.insert(0, (what.to_owned(), name.to_owned()));
    }

    /// A text with everything replaced.
    pub(crate) fn put(&self, text: &str) -> String {
        let text = if self.is_arm {
            text.replace("arm64", "\0").replace("amd64", "arm64").replace('\0', "amd64")
        } else {
            text.to_owned()
        };
        let named = self.names.iter().fold(text, |text, (what, name)| text.replace(what, name));
        CHANGING.iter().chain(VERSIONS).fold(named, |text, (pattern, instead)| {
            Regex::new(pattern).expect("a pattern").replace_all(&text, *instead).into_owned()
        })
    }
}
