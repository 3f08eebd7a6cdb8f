//! A simulator of the AWS `CodeDeploy` agent on one host: what it gives a hook, what it expects back and what it
//! leaves on disk, for both agents that exist (v1 in Ruby, v2 in Rust). No AWS is involved.
//!
//! The rules are those of `aws/aws-codedeploy-agent` 1.8.1 and 2.1.0 as collected in the project's contract
//! page; comments cite its sections ("contract 1.5"). Where the two agents differ, [`Version`] decides.
//!
//! ```no_run
//! use codedeploy::{Agent, Deployment, Version, lifecycle};
//!
//! let agent = Agent::new(Version::V1, "/opt/codedeploy-agent/deployment-root");
//! let deployment = Deployment::of_bundle("/srv/bundle").id("d-ABCDEF123");
//! let report = agent.deploy(&deployment, &lifecycle::in_place(false), &mut |_| {})?;
//! assert!(report.succeeded());
//! # anyhow::Ok(())
//! ```

mod agent;
mod appspec;
mod bundle;
mod cwd;
mod deployment;
mod hook;
mod install;
mod layout;
pub mod lifecycle;
mod process;
mod reader;
mod report;
mod script_log;
mod tail;
mod tracking;

pub use agent::{Agent, Version};
pub use cwd::WorkingDirectory;
pub use deployment::{Creator, Deployment, DeploymentKind, Revision, generated_id, group_id_of};
pub use install::FileExists;
pub use layout::Layout;
pub use report::{DeploymentReport, ErrorCode, EventReport, ScriptReport, Status};
