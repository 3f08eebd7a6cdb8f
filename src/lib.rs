//! handover hands an EC2 instance's traffic from the old containers to the new ones, as `CodeDeploy`'s lifecycle hook.
//!
//! Read it in this order: [`deploy`] is the story, [`journal`] is what makes it safe to interrupt, [`host`] is the world
//! it acts on, [`config`] is what it is asked for, [`codedeploy`] is who asks, [`report`] is what it answers.

#[macro_use]
pub mod crash_point;

pub mod cli;
pub mod codedeploy;
pub mod config;
pub mod deploy;
pub mod digest;
pub mod environment;
pub mod escape;
pub mod exit;
pub mod fs;
pub mod history;
pub mod host;
pub mod install;
pub mod journal;
pub mod lint;
pub mod lock;
pub mod logging;
pub mod model;
pub mod pin;
pub mod printer;
pub mod redact;
pub mod report;
pub mod signal;
pub mod state;
pub mod status;
pub mod suggest;
pub mod template;
pub mod terminal;
pub mod text;
