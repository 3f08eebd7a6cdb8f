//! The time that a process has.

use std::time::{Duration, Instant};

/// Kept of a hook's time for its last lines and its end.
pub const TO_END: Duration = Duration::from_secs(5);

/// How much time there is. A hook that is still at work at its timeout is killed, so what it may have to put back has to
/// fit in before.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    deadline: Option<Instant>,
}

impl Clock {
    /// As much as is needed: an operator watches.
    pub fn unlimited() -> Self {
        Self { deadline: None }
    }

    /// Until `timeout` after `start`.
    pub fn until(start: Instant, timeout: Duration) -> Self {
        Self { deadline: start.checked_add(timeout) }
    }

    /// What is left, if `reserve` is kept for putting the old release back. Nothing when there is no limit.
    pub fn left(&self, reserve: Duration) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()).saturating_sub(reserve))
    }
}
