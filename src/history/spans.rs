//! Where the time of a run went: its journal as spans.

use jiff::Timestamp;
use serde::Serialize;

use crate::deploy::step;
use crate::journal::{Entry, Line};

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// What it was, for people.
    pub what: String,
    /// The step's name, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How it ended.
    pub how: How,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; nothing of what is under way, or was cut off in the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// As it should.
    Done,
    /// It failed.
    Failed,
    /// The process that was at it has come to its end in the middle of it, or is still at it.
    CutOff,
    /// It was taken back.
    Undone,
    /// It could not be taken back.
    UndoFailed,
    /// Nothing was done: the run waited for the next hook, or for somebody to take it up.
    Rest,
}

/// The spans of a run, in the order in which they began.
pub(super) fn of(lines: &[Line]) -> Vec<Span> {
    let mut spans: Vec<Span> = vec![];
    let mut before = lines.first().map(|line| line.at).unwrap_or_default();
    let mut waits = false;
    for Line { at, entry, .. } in lines {
        let at = *at;
        if waits {
            spans.push(Span { ended: Some(at), ..rest("wait for the next hook", before) });
            waits = false;
        } else if matches!(entry, Entry::Resumed { .. }) {
            // Whatever was under way ended with its process, nobody knows when.
            for open in spans.iter_mut().filter(|span| span.ended.is_none()) {
                open.ended = Some(before);
            }
            spans.push(Span { ended: Some(at), ..rest("nobody at work", before) });
        }
        match entry {
            Entry::Began { step, .. } => spans.push(of_step(step, How::CutOff, at)),
            Entry::Done { step, .. } => close(&mut spans, step, How::Done, before, at),
            Entry::Failed { step, .. } => close(&mut spans, step, How::Failed, before, at),
            Entry::Undone { step } => spans.push(undo(step, How::Undone, before, at)),
            Entry::UndoFailed { step, .. } => spans.push(undo(step, How::UndoFailed, before, at)),
            Entry::Regated { healthy, .. } => spans.push(Span {
                what: "check the release that serves".to_owned(),
                step: None,
                how: if *healthy { How::Done } else { How::Failed },
                began: before,
                ended: Some(at),
            }),
            Entry::Waiting => waits = true,
            _ => {}
        }
        before = at;
    }
    if waits {
        spans.push(rest("wait for the next hook", before));
    }
    spans
}

fn of_step(name: &str, how: How, began: Timestamp) -> Span {
    // One of another version is known by its name alone.
    let what = step::named(name).map_or_else(|| name.to_owned(), |step| step.label());
    Span { what, step: Some(name.to_owned()), how, began, ended: None }
}

fn close(spans: &mut Vec<Span>, name: &str, how: How, before: Timestamp, at: Timestamp) {
    let open = spans.iter_mut().rev().find(|s| s.ended.is_none() && s.step.as_deref() == Some(name));
    match open {
        Some(span) => (span.how, span.ended) = (how, Some(at)),
        // It could not even be begun.
        None => spans.push(Span { ended: Some(at), ..of_step(name, how, before) }),
    }
}

fn undo(name: &str, how: How, began: Timestamp, ended: Timestamp) -> Span {
    let span = of_step(name, how, began);
    Span { what: format!("undo {}", span.what), ended: Some(ended), ..span }
}

fn rest(what: &str, began: Timestamp) -> Span {
    Span { what: what.to_owned(), step: None, how: How::Rest, began, ended: None }
}
