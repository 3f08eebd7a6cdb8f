//! A strict, in-process fake of the Docker Engine's HTTP API on a real Unix socket, for crash tests.
//!
//! It refuses what the Engine (20.10, API 1.41) refuses, with the Engine's status codes and texts, and it
//! refuses whatever it does not know: an unknown endpoint answers 501, an unknown query parameter or body field
//! 400, each with a message that begins with `fake:` and is kept in [`FakeDocker::complaints`].
//!
//! What it answers is compared with a real Engine's, call by call, in `tests/conformance`: what is added here has a
//! case there.
//!
//! Every call can be refused or interrupted ([`Fate`]), and the instance can lose its power
//! ([`FakeDocker::power_cut`]) and boot again ([`FakeDocker::boot`]). Running containers of a healthy image answer
//! HTTP on a loopback address of their own, so that a client's gate probes something real.
//!
//! # What is accepted and has no effect
//! These are checked for their type, kept and shown by inspect: every field of `Config` and `HostConfig` in
//! the tables of `schema.rs` that is not named here. These do something: `Image`, `Env`, `Cmd`, `Entrypoint`,
//! `Labels`, `ExposedPorts`, `Healthcheck`, `StopSignal`, `StopTimeout`; `RestartPolicy`, `PortBindings`, `NetworkMode`,
//! `Mounts` and `Binds` (a missing source), `Memory` (the Engine's minimum). Query parameters that carry only their
//! default (`platform=`, `size=false`, `link=false`, …) pass, other values are refused.

mod answer;
mod boot;
mod call;
mod clock;
mod container;
mod containers;
mod create;
mod engine;
mod events;
mod exec;
mod filters;
mod host_port;
mod http;
mod image;
mod image_removal;
mod images;
mod inspect;
mod lifecycle;
mod listing;
mod networks;
mod options;
mod ports;
mod query;
mod reference;
mod registry;
mod request;
mod route;
mod schema;
mod serving;
mod system;
mod view;
mod volumes;
mod world;

pub use boot::Race;
pub use call::{Call, Fate};
pub use engine::{FakeDocker, Kept};
pub use host_port::HostPort;
pub use image::{Behaviour, ExecOutcome, Healthcheck, Image, ImageConfig, LogLine, Stream};
pub use registry::Mood;
pub use view::{ContainerView, Serving};
