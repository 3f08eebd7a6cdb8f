//! The real binary, as a shell or an agent runs it: exit codes, stdout, stderr.
//!
//! It runs with an empty environment and, where the tests run as root, as `nobody`: so it cannot touch the state, the log
//! or the Engine of the machine that it is tested on.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::too_many_lines
)]

mod agents;
mod bundle;
mod commands;
mod configuration;
mod container;
mod contract;
mod groups;
mod hook;
mod lint;
mod pin;
mod proxy;
