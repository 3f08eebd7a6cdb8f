//! A small VPC with EC2 instances in it, out of Linux namespaces and real parts, for tests, demonstrations and
//! benchmarks. It needs root, and leaves nothing behind.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let lab = lab::Lab::up()?;
//! let digest = lab.registry().push_image(lab::names::REPOSITORY, "latest", &lab::ImageSpec::new("1"))?;
//! let instance = lab.instance("web-1")?;
//! let done = instance.command("handover").arg("--version").output()?;
//! instance.cut()?;
//! instance.boot()?;
//! let answer = lab.http_get(&format!("http://{}:8000/", instance.ip()))?;
//! # Ok(())
//! # }
//! ```

pub mod application;
mod aws;
mod base64;
mod certs;
mod cgroup;
mod cluster;
mod control;
mod docker;
mod engine;
mod front;
mod hardware;
pub mod http;
mod image;
pub mod imds;
pub mod init;
pub mod inside;
mod instance;
mod kept;
mod lab;
mod load;
mod mounts;
pub mod names;
mod namespace;
mod packed;
pub mod registry;
mod spec;
mod storage;
mod stripped;
mod systemd;
mod text;
mod tools;
mod vpc;
pub mod wait;

pub use crate::aws::{Aws, Call, Fault};
pub use crate::docker::Docker;
pub use crate::front::{RegistryFault, RegistryRequest};
pub use crate::hardware::Hardware;
pub use crate::image::{Healthcheck, INDEX_TYPE, ImageSpec, MANIFEST_TYPE};
pub use crate::imds::Metadata;
pub use crate::instance::Instance;
pub use crate::lab::{Lab, run_janitor};
pub use crate::load::Load;
pub use crate::registry::{Registry, registry_authorization};
pub use crate::stripped::stripped;
pub use crate::systemd::SystemdInstance;
pub use crate::wait::wait_until;
