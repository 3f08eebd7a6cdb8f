//! What was seen of a container that is not healthy.

/// In which way it is not: what fails in the same way twice may have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It answers with this status.
    Status(u16),
    /// Nobody takes the connection.
    Refused,
    /// Nothing that could be read came in time.
    NoAnswer,
    /// The command exits with this code.
    Exit(i64),
    /// The command does not end, or cannot be run.
    NoExit,
    /// It does not run, or not on.
    Down,
}

impl Way {
    /// Whether somebody answered, healthy or not.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Status(_) | Self::Exit(_) | Self::NoExit)
    }

    /// Whether the application itself says that it has an error.
    pub fn is_error_of_the_app(self) -> bool {
        matches!(self, Self::Status(500..=599))
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// In which way it is not healthy.
    pub way: Way,
    /// For people; of a probe a phrase that follows "the last one that failed".
    pub what: String,
    /// What to do about it; empty where that is not known.
    pub fix: String,
    /// What it answered, as it is: not masked yet.
    pub said: Option<String>,
}

impl Sight {
    /// Something that says nothing about what to do.
    pub fn of(way: Way, what: impl Into<String>) -> Self {
        Self { way, what: what.into(), fix: String::new(), said: None }
    }

    /// It does not run.
    pub fn down(what: impl Into<String>) -> Self {
        Self::of(Way::Down, what)
    }
}
