//! The nouns of a deployment, which every other room uses: plain data that knows nothing of Docker, AWS or files.

mod failure;
mod nature;
mod release;

pub use failure::{Explain, Failure, FailureKind, Finding};
pub use nature::{AtBoot, Nature, Phase};
pub use release::{
    AppName, DeploymentId, ImageDigest, ImageName, ImageRef, Malformed, ProcessName, ReleaseNumber,
    container_name,
};
