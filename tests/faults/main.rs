//! Everything that can go wrong, each for real in the lab: what is said about it, that live is left as it was, and that
//! the next deployment succeeds once the cause is mended. `docs/faults.md` is made of what these tests see.

#![allow(unreachable_pub, clippy::disallowed_methods, clippy::doc_markdown, clippy::needless_pass_by_value)]

mod application;
mod aws;
mod backends;
mod canary;
mod case;
mod checks;
mod configuration;
mod hooks;
mod host;
mod image;
mod interrupted;
mod live;
mod output;
mod page;
mod pooler;
mod registry;
mod tasks;
mod told;
