//! Failures as plain data: what is wrong and what to do about it stay apart from the adapter that saw it to the line
//! that is printed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::chain;

/// Something that would make a deployment fail, and the fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong: it names the place.
    pub what: String,
    /// What to do about it; empty where what is wrong says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl Finding {
    /// What is wrong, and what to do about it.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// From an error, with its causes.
    pub fn of(error: &impl Explain) -> Self {
        Self::new(chain(error), error.fix().unwrap_or_default())
    }
}

/// In one sentence.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fix.is_empty() { f.write_str(&self.what) } else { write!(f, "{}; {}", self.what, self.fix) }
    }
}

/// An error that knows what to do about it.
pub trait Explain: std::error::Error + Sized + 'static {
    /// What to do about it, where that is known.
    fn fix(&self) -> Option<String> {
        None
    }

    /// Whether it may be otherwise in a moment, as when the Engine restarts.
    fn is_passing(&self) -> bool {
        false
    }
}

/// What a failure says about the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It may be otherwise in a moment.
    Passing,
    /// Somebody refused, or something is not as it has to be.
    Refused,
    /// A container is not healthy. Only this turns a committed run back: that Docker did not answer, or that there was no
    /// time, says nothing about a release.
    Verdict,
    /// This process was asked to stop.
    Interrupted,
    /// Several things have to be fixed first, and these are all of them.
    Findings,
    /// What another version calls otherwise.
    #[serde(other)]
    Unknown,
}

/// How a step did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it says about the run.
    pub kind: FailureKind,
    /// What is wrong, for people; may contain what a container printed.
    pub what: String,
    /// What to do about it; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// What was seen, such as a container's last lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Everything that has to be fixed, where the step looked for more than one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Failure {
    /// Something is not as it has to be.
    pub fn because(what: impl Into<String>) -> Self {
        Self::of_kind(FailureKind::Refused, what)
    }

    /// The same, with what to do about it.
    pub fn with_fix(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..Self::because(what) }
    }

    /// A container is not healthy.
    pub fn verdict(what: impl Into<String>, evidence: Vec<String>) -> Self {
        Self { evidence, ..Self::of_kind(FailureKind::Verdict, what) }
    }

    /// This process was asked to stop; `doing` follows "while it".
    pub fn interrupted(doing: &str) -> Self {
        Self::of_kind(FailureKind::Interrupted, format!("handover was asked to stop while it {doing}"))
    }

    /// Findings: the only one itself, or how many there are.
    pub fn found(findings: Vec<Finding>) -> Self {
        let (what, fix) = match findings.as_slice() {
            [only] => (only.what.clone(), only.fix.clone()),
            several => (format!("{} findings", several.len()), String::new()),
        };
        Self { kind: FailureKind::Findings, what, fix, evidence: vec![], findings }
    }

    /// The same, of errors.
    pub fn of_all(errors: &[impl Explain]) -> Self {
        Self::found(errors.iter().map(Finding::of).collect())
    }

    fn of_kind(kind: FailureKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), fix: String::new(), evidence: vec![], findings: vec![] }
    }

    /// Every single thing that is wrong.
    pub fn into_findings(self) -> Vec<Finding> {
        if self.findings.is_empty() { vec![Finding::new(self.what, self.fix)] } else { self.findings }
    }

    /// The same with every text changed, as by a redactor.
    #[must_use]
    pub fn map(self, text: impl Fn(&str) -> String, line: impl Fn(&str) -> String) -> Self {
        Self {
            kind: self.kind,
            what: text(&self.what),
            fix: text(&self.fix),
            evidence: self.evidence.iter().map(|seen| line(seen)).collect(),
            findings: self.findings.iter().map(|f| Finding::new(text(&f.what), text(&f.fix))).collect(),
        }
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let kind = if error.is_passing() { FailureKind::Passing } else { FailureKind::Refused };
        Self { fix: error.fix().unwrap_or_default(), ..Self::of_kind(kind, chain(&error)) }
    }
}

/// What is wrong.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Full;

    impl Explain for Full {
        fn fix(&self) -> Option<String> {
            Some("make room".to_owned())
        }
        fn is_passing(&self) -> bool {
            true
        }
    }

    #[test]
    fn an_error_keeps_its_fix_and_its_kind() {
        let failure = Failure::from(Full);
        assert_eq!((failure.kind, failure.what.as_str()), (FailureKind::Passing, "the disk is full"));
        assert_eq!(failure.into_findings(), [Finding::new("the disk is full", "make room")]);
    }

    #[test]
    fn a_failure_keeps_what_it_was_given() {
        let failure = Failure::with_fix("no time", "raise the timeout");
        assert_eq!(failure.into_findings(), [Finding::new("no time", "raise the timeout")]);
        let sick = Failure::verdict("it is sick", vec!["its last line".to_owned()]);
        assert_eq!((sick.kind, sick.evidence), (FailureKind::Verdict, vec!["its last line".to_owned()]));
    }

    #[test]
    fn one_finding_is_the_failure_itself() {
        let one = Finding::new("port 8000 is taken", "stop it");
        let failure = Failure::found(vec![one.clone()]);
        assert_eq!((failure.what.as_str(), failure.fix.as_str()), ("port 8000 is taken", "stop it"));
        assert_eq!(Failure::found(vec![one.clone(), one]).what, "2 findings");
    }

    #[test]
    fn a_kind_of_another_version_is_read_as_unknown() {
        let failure: Failure = serde_json::from_str(r#"{"kind":"haunted","what":"x"}"#).unwrap();
        assert_eq!(failure.kind, FailureKind::Unknown);
    }
}
