//! One Docker call refused.
