//! The binary on real instances: a Docker Engine, a registry, PostgreSQL, Redis, AWS and CodeDeploy's rules, in the lab.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::doc_markdown
)]

mod checks;
mod container;
mod fleet;
mod gates;
mod groups;
mod held;
mod hooks;
mod install;
mod interrupted;
mod moving_over;
mod of_the_instance;
mod one_off;
mod pin;
mod polite_close;
mod preflight;
mod prune;
mod redirect;
mod refresh;
mod registries;
mod rollback;
mod secrets;
mod stall;
mod start_first;
mod static_binary;
mod surroundings;
mod systemd;
mod terminal;
mod who_is_in_charge;
mod whole_app;
