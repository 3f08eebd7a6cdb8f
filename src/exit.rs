//! Exit codes: the only place where an outcome becomes a number.

use std::process::ExitCode;

/// How a run ended, as the shell and `CodeDeploy` see it. `CodeDeploy` knows only zero and non-zero; the rest is for people
/// and scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// What was asked for is done.
    Done = 0,
    /// It failed, and the old release is serving.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was touched.
    Usage = 2,
    /// It failed and nothing healthy is serving: an operator is needed.
    Down = 3,
    /// Another run holds the lock (`EX_TEMPFAIL` of sysexits.h).
    Busy = 75,
}

impl ExitStatus {
    /// What another one of our processes meant by its exit code.
    pub fn of_code(code: i32) -> Self {
        let known = [Self::Done, Self::Failed, Self::Usage, Self::Down, Self::Busy];
        known.into_iter().find(|status| i32::from(status.code()) == code).unwrap_or(Self::Failed)
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The graver one of two: a busy lock hides nothing that is down.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let gravity = |status| match status {
            Self::Done => 0,
            Self::Busy => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Down => 4,
        };
        if gravity(other) > gravity(self) { other } else { self }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
