//! Crash tests: handover is killed at every journal entry and at every call to Docker, on both sides of each, and then the
//! world has to settle with exactly one correct release. In-process, against a strict fake of the Engine.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod asked;
mod aws;
mod bundled;
mod checks;
mod container;
mod database;
mod drift;
mod durability;
mod failures;
mod files;
mod foreign_state;
mod forward;
mod handed_back;
mod heard;
mod hiccups;
mod history;
mod hooks;
mod install;
mod kills;
mod ledger;
mod local_image;
mod matrix;
mod origin;
mod outage;
mod parameters;
mod picked_ports;
mod preflight;
mod refresh;
mod refusals;
mod registry;
mod replaces;
mod returning;
mod revive;
mod rollback;
mod secrets;
mod seen;
mod services;
mod shared;
mod stall;
mod start_first;
mod state;
mod story;
mod tasks;
mod time;
mod together;
mod two;
mod versions;
mod whole;
mod world;
