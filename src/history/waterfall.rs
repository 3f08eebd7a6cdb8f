//! Where the time went, drawn: each span at its place in the whole. Plain characters, at most 80 columns.

use std::time::Duration;

use jiff::Timestamp;

use super::spans::{How, Span};
use crate::text::{clean, duration, shorten};

const LABEL: usize = 37;
const BARS: usize = 26;

/// What takes less than this part of the whole is counted together, unless something was wrong with it.
const LEAST: u32 = 200;

/// The lines of a drawing of what happened between two moments.
pub(super) fn draw(spans: &[Span], from: Timestamp, to: Timestamp) -> Vec<String> {
    let whole = between(from, to);
    let (mut lines, mut short, mut sum) = (vec![], 0, Duration::ZERO);
    for span in spans {
        let ended = span.ended.unwrap_or(to);
        let took = between(span.began, ended);
        let is_short = took < whole / LEAST;
        if is_short && matches!(span.how, How::Done | How::Undone | How::Rest) {
            short += 1;
            sum += took;
            continue;
        }
        let bar = bar(between(from, span.began), took, whole, mark(span.how));
        let what = shorten(&clean(&span.what), LABEL);
        lines.push(format!("  {what:<LABEL$} |{bar:<BARS$}| {:>9}", duration(took)) + note(span.how));
    }
    if short > 0 {
        let what = format!("{short} more, each less than {}", duration(whole / LEAST));
        lines.push(format!("  {what:<LABEL$} |{:<BARS$}| {:>9}", "", duration(sum)));
    }
    lines
}

fn bar(before: Duration, took: Duration, whole: Duration, mark: char) -> String {
    let part = |time: Duration| {
        let columns = time.as_micros() * BARS as u128 / whole.as_micros().max(1);
        usize::try_from(columns).unwrap_or(BARS)
    };
    let start = part(before).min(BARS - 1);
    let end = part(before.saturating_add(took)).clamp(start + 1, BARS);
    " ".repeat(start) + &mark.to_string().repeat(end - start)
}

fn mark(how: How) -> char {
    match how {
        How::Done => '#',
        How::Failed | How::CutOff | How::UndoFailed => '!',
        How::Undone => '<',
        How::Rest => '.',
    }
}

/// What a mark alone does not say.
fn note(how: How) -> &'static str {
    match how {
        How::Failed | How::UndoFailed => " X",
        How::CutOff => " ?",
        How::Done | How::Undone | How::Rest => "",
    }
}

/// What the marks mean that are there.
pub(super) fn legend(spans: &[Span]) -> String {
    let has = |hows: &[How]| spans.iter().any(|span| hows.contains(&span.how));
    let all = [
        ("# done", has(&[How::Done])),
        ("! failed (X) or cut off (?)", has(&[How::Failed, How::CutOff, How::UndoFailed])),
        ("< taken back", has(&[How::Undone])),
        (". nothing done", has(&[How::Rest])),
    ];
    all.iter().filter(|(_, there)| *there).map(|(words, _)| *words).collect::<Vec<_>>().join("   ")
}

/// A clock that was set back in between makes no time.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
