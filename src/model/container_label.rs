//! The names of labels that are handover's own.

/// What they begin with.
pub const PREFIX: &str = "handover.";

/// Whether a label is one of handover's own, which nobody else may set.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}
