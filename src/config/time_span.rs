//! Spans of time, and the limits within which a configuration has to stay.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::diagnostic::Mistake;
use crate::model::TimeSpan;
use crate::text::duration;

/// The longest span that a configuration may hold: no deployment waits for longer.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// The longest for one probe, and from one to the next.
pub(super) const LONGEST_PROBE: Duration = Duration::from_hours(1);

/// A span between two limits.
pub(super) fn time_span_in(
    span: Option<Spanned<TimeSpan>>,
    limits: RangeInclusive<Duration>,
    default: Duration,
) -> Result<Duration, Mistake> {
    let Some(span) = span else { return Ok(default) };
    let wrong = |than: &str, limit: Duration| {
        Err(Mistake::at(span.span(), format!("this is {than} than {}", duration(limit))))
    };
    match span.get_ref().0 {
        short if short < *limits.start() => wrong("less", *limits.start()),
        long if long > *limits.end() => wrong("more", *limits.end()),
        fine => Ok(fine),
    }
}
