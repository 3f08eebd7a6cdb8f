//! Timestamps in the Engine's form.

use jiff::Timestamp;

/// The Engine's way to say "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// A moment as the Engine writes it.
pub(crate) fn text(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}
