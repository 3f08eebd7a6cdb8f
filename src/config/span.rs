//! Spans of time, and the limits that a configuration has to keep.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::diagnostic::Mistake;
use crate::model::Span;

/// The longest span that a configuration may hold: no deployment waits for longer.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// The longest for what is done again and again.
pub(super) const LONGEST_PROBE: Duration = Duration::from_hours(1);

/// A span between two limits.
pub(super) fn span_in(
    span: Option<Spanned<Span>>,
    limits: RangeInclusive<Duration>,
    default: Duration,
) -> Result<Duration, Mistake> {
    let Some(span) = span else { return Ok(default) };
    let wrong = |than: &str, limit: Duration| {
        Err(Mistake::at(span.span(), format!("this is {than} than {}", String::from(Span(limit)))))
    };
    match span.get_ref().0 {
        short if short < *limits.start() => wrong("less", *limits.start()),
        long if long > *limits.end() => wrong("more", *limits.end()),
        fine => Ok(fine),
    }
}
