//! The fake, driven through bollard.

mod answers;
mod boots;
mod common;
mod crashes;
mod options;
mod probing;
mod wire;
