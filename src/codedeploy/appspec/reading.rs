//! How each of `CodeDeploy`'s two agents reads `appspec.yml`: what it makes of it, or why it refuses it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::malformed::Malformed;
use super::places::{BOM, ByteOrderMark};
use super::tree::{self, Kind, Node};
use super::{agent_1, agent_2};

/// An agent, by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agent {
    /// 1.8, in Ruby.
    V1,
    /// 2.x, in Rust.
    V2,
}

/// Both.
pub const AGENTS: [Agent; 2] = [Agent::V1, Agent::V2];

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "1.8",
            Self::V2 => "2.x",
        })
    }
}

/// What an agent makes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The scripts of each event, under whatever name it has.
    pub events: Vec<Event>,
    /// `files`.
    pub files: Vec<FileMapping>,
    /// `permissions`.
    pub permissions: Vec<Permission>,
    /// `file_exists_behavior`: `DISALLOW`, `OVERWRITE` or `RETAIN`.
    pub file_exists: Option<String>,
}

/// An event and its scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Where that is written.
    pub span: Range<usize>,
    /// Its scripts, in order.
    pub scripts: Vec<Script>,
}

/// A script of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its path, as it is written but for blanks around it.
    pub location: String,
    /// Where that is written.
    pub location_span: Range<usize>,
    /// How long it may take; an hour where nothing is written.
    pub timeout: Duration,
    /// Where that is written, if it is.
    pub timeout_span: Option<Range<usize>>,
    /// As which user it runs.
    pub runas: Option<String>,
    /// Where that is written.
    pub runas_span: Range<usize>,
    /// Whether it runs under sudo.
    pub sudo: bool,
    /// Where that is written.
    pub sudo_span: Range<usize>,
}

/// An entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// What is copied, below the bundle.
    pub source: String,
    /// The folder that it is copied to.
    pub destination: String,
}

/// An entry of `permissions`, as far as both agents can make something else of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What it is for.
    pub object: String,
    /// Its mode in octal digits.
    pub mode: Option<String>,
    /// Where that is written.
    pub mode_span: Range<usize>,
}

/// Why an agent refuses a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What of it: `this timeout`.
    pub thing: String,
    /// Why.
    pub why: String,
    /// What to write instead.
    pub fix: String,
    /// Where it stands.
    pub span: Range<usize>,
    /// The agent's own words, where they are known.
    pub words: String,
}

/// An agent's judgement on a file. Several refusals are in the order in which the agent would come to them: it says the first.
pub type Verdict = Result<Reading, Vec<Refusal>>;

/// What an agent makes of a file, as far as it can be read, and all that the agent refuses of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// None: it is no YAML.
    pub(crate) reading: Option<Reading>,
    pub(crate) refused: Vec<Refusal>,
}

/// The time of a script without a timeout, with both agents (`script_info.rb`, `hooks.rs`), and the longest that `CodeDeploy`
/// lets an event take (its documented limits).
pub const LONGEST: Duration = Duration::from_hours(1);

/// How an agent reads the bytes of a file.
pub fn read_as(agent: Agent, bytes: &[u8]) -> Verdict {
    let judgement = judge(agent, bytes);
    match judgement.reading {
        Some(reading) if judgement.refused.is_empty() => Ok(reading),
        _ => Err(judgement.refused),
    }
}

/// The same, with all that can be read of a file that is refused.
pub(crate) fn judge(agent: Agent, bytes: &[u8]) -> Judgement {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let bad = error.valid_up_to();
            let words = match agent {
                Agent::V1 => "(<unknown>): invalid leading UTF-8 octet",
                // It takes whatever it cannot read as UTF-8 for a file that is not there (`executor.rs`).
                Agent::V2 => "The CodeDeploy agent did not find an AppSpec file",
            };
            let refusal = Refusal::new(bad..bad + 1, "this file", "it is not UTF-8", "save it as UTF-8");
            return Judgement::unreadable(refusal.words(words));
        }
    };
    let judge = |mark| match agent {
        Agent::V1 => agent_1::judge(text, mark),
        Agent::V2 => agent_2::judge(text, mark),
    };
    let judgement = judge(ByteOrderMark::Counts);
    if !text.starts_with(BOM) || judgement.refused.is_empty() {
        return judgement;
    }
    // The mark is the first character of its line. So that line seems to be indented, and the next one ends the document; before a
    // comment or '{' it does no harm.
    let words = judgement.refused.into_iter().next().map(|first| first.words).unwrap_or_default();
    let mark = Refusal::new(
        0..BOM.len_utf8(),
        "the byte order mark that this file begins with",
        "it counts as a character of the first line",
        "save it as UTF-8 without one",
    );
    let mut without = judge(ByteOrderMark::Skipped);
    without.refused.insert(0, mark.words(words));
    without
}

impl Judgement {
    /// Of a file that cannot be read at all.
    pub(super) fn unreadable(refusal: Refusal) -> Self {
        Self { reading: None, refused: vec![refusal] }
    }
}

/// The events that a file has twice: the place of each that is not the first.
pub(crate) fn events_twice(text: &str) -> Vec<(String, Range<usize>)> {
    let Ok(document) = tree::parse(text, ByteOrderMark::Skipped) else { return vec![] };
    let pairs_of = |node: &Node| match node.resolved().map(|node| &node.kind) {
        Some(Kind::Map(pairs)) => pairs.clone(),
        _ => vec![],
    };
    let name_of = |node: &Node| match &node.kind {
        Kind::Scalar(scalar) => scalar.text.clone(),
        _ => String::new(),
    };
    let root = document.root.map(|root| pairs_of(&root)).unwrap_or_default();
    let hooks = root.iter().find(|(key, _)| name_of(key) == "hooks").map(|(_, hooks)| pairs_of(hooks));
    let mut seen = Vec::new();
    let mut twice = Vec::new();
    for (key, _) in hooks.unwrap_or_default() {
        let name = name_of(&key);
        if seen.contains(&name) {
            twice.push((name, key.place()));
        } else {
            seen.push(name);
        }
    }
    twice
}

impl Refusal {
    pub(super) fn new(
        span: Range<usize>,
        thing: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (thing, why) = (thing.into(), why.into());
        Self { words: format!("{thing}: {why}"), thing, why, fix: fix.into(), span }
    }

    pub(super) fn malformed(mistake: &Malformed) -> Self {
        Self::new(mistake.span.clone(), "this file", mistake.why.clone(), mistake.fix)
    }

    /// Adds the agent's own words.
    #[must_use]
    pub(super) fn words(mut self, words: impl Into<String>) -> Self {
        self.words = words.into();
        self
    }
}
