//! `[keep]` and `[refresh]`: what happens between deployments.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::Mistake;
use super::file;
use super::time_span::time_span_in;

/// How many good releases are kept when nobody says.
pub const KEPT: usize = 3;

/// One besides live: else there is no way back. And each is an image on the disk.
const RELEASES: RangeInclusive<u32> = 2..=50;

/// The timer comes every five minutes.
const WINDOW: RangeInclusive<Duration> = Duration::from_mins(5)..=Duration::from_hours(24);

/// How many good releases are kept.
pub(super) fn resolve_keep(written: Option<file::Keep>) -> Result<usize, Mistake> {
    let Some(releases) = written.and_then(|keep| keep.releases) else { return Ok(KEPT) };
    let (span, count) = (releases.span(), releases.into_inner());
    if !RELEASES.contains(&count) {
        let (least, most) = (RELEASES.start(), RELEASES.end());
        return Err(Mistake::at(span, format!("{count} releases cannot be kept"))
            .help(format!("from {least}, which is live and one to go back to, to {most}")));
    }
    Ok(usize::try_from(count).unwrap_or(KEPT))
}

/// Within what time every instance looks for changed secrets once; none where the timer does not.
pub(super) fn resolve_refresh(written: Option<file::Refresh>) -> Result<Option<Duration>, Mistake> {
    const DEFAULT: Duration = Duration::from_hours(1);
    let (timer, window) = written.map_or((None, None), |refresh| (refresh.timer, refresh.window));
    let window = time_span_in(window, WINDOW, DEFAULT)?;
    Ok((timer != Some(false)).then_some(window))
}
