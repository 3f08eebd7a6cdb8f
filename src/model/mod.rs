//! The nouns of a deployment, which every other room uses: plain data that knows nothing of Docker, AWS or files. A value
//! that is written as text parses itself.

mod bytes;
mod check;
pub mod container;
pub mod container_label;
mod failure;
mod health;
mod image;
mod nature;
mod release;
mod repository;
mod revision;
mod swap;
mod units;

pub use bytes::Bytes;
pub use check::{Check, Needed, Place, Postgres, Redis, TlsMode, Vantage, is_host};
pub use failure::{Explain, Failure, FailureKind, Finding};
pub use health::{Health, Probe};
pub use image::{Auth, ImageSource};
pub use nature::{AtBoot, Nature, Phase};
pub use release::{
    AppName, CheckName, DeploymentId, ImageDigest, ImageName, ImageRef, Malformed, ProcessName,
    ReleaseNumber, container_name, image_tag, network_name, volume_name,
};
pub use repository::{Repository, RepositoryName, is_account};
pub use revision::Revision;
pub use swap::{Swap, SwapOrder, Traffic};
pub use units::{Protocol, Publish, StatusRange, TimeSpan, is_docker_name};
