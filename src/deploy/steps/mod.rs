//! What each step does. Two questions are asked of a step: what would take it back ([`inverse`], an observation), and
//! then to do it ([`perform`]).

pub(super) mod image;
mod preflight;
pub(super) mod secrets;
mod settle;
mod switch;
pub mod undo;
mod verify;

use super::gate::GateError;
use super::run::Run;
use super::step::Step;
use crate::host::aws::AwsError;
use crate::host::docker::DockerError;
use crate::journal::{Fact, Finding, Inverse};
use crate::report::text::chain;
use crate::state::StateError;

/// How a step did not succeed.
#[derive(Debug)]
pub enum StepError {
    /// It failed.
    Failed {
        /// Why, for people; may contain what a container printed.
        cause: String,
        /// What was seen.
        evidence: Vec<String>,
        /// Whether it says that the release is bad. Only a gate can say that; that Docker did not answer, or that there
        /// was no time, says nothing about a release.
        verdict: bool,
    },
    /// Something has to be mended first, and this is all of it.
    Found(Vec<Finding>),
    /// This process was asked to stop.
    Interrupted,
}

impl StepError {
    /// A failure without evidence.
    pub fn because(cause: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), evidence: vec![], verdict: false }
    }

    /// What is wrong, a sentence each.
    pub fn into_failures(self) -> Vec<String> {
        match self {
            Self::Failed { cause, .. } => vec![cause],
            Self::Found(findings) => findings.iter().map(ToString::to_string).collect(),
            Self::Interrupted => vec!["handover was asked to stop".to_owned()],
        }
    }
}

macro_rules! failed_by {
    ($($error:ty),*) => {$(
        impl From<$error> for StepError {
            fn from(error: $error) -> Self {
                Self::because(chain(&error))
            }
        }
    )*};
}
failed_by!(DockerError, AwsError, StateError);

impl From<GateError> for StepError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Interrupted => Self::Interrupted,
            error => Self::because(chain(&error)),
        }
    }
}

/// What would take a step back, seen before it is made.
pub async fn inverse(step: &Step, run: &Run<'_>) -> Result<Vec<Inverse>, StepError> {
    match step {
        Step::Preflight
        | Step::Compare
        | Step::PullImage
        | Step::WriteFiles
        | Step::Gate(_)
        | Step::Verify(_)
        | Step::Record => Ok(vec![]),
        Step::Create(process) => Ok(vec![Inverse::RemoveContainer {
            name: run.new_name(process),
            deployment: run.header().deployment.clone(),
        }]),
        Step::ProtectLive(process) => switch::inverse_of_protect(run, process).await,
        Step::StopLive(process) => switch::inverse_of_stop(run, process).await,
        Step::StartNew(process) => switch::inverse_of_start(run, process),
        Step::KeepNew(process) => settle::inverse_of_keep(run, process).await,
        Step::ReleaseOld(process) => settle::inverse_of_release(run, process).await,
        Step::ParkOld(process) => settle::inverse_of_park(run, process).await,
        Step::Promote(process) => settle::inverse_of_promote(run, process),
    }
}

/// Makes a step. It may have been made before, in whole or in part.
pub async fn perform(step: &Step, run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    // On the heap: the state of all the clients that are called is large, and deep.
    Box::pin(perform_here(step, run)).await
}

async fn perform_here(step: &Step, run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    match step {
        Step::Preflight => preflight::look(run).await,
        Step::Compare => verify::compare(run).await,
        Step::PullImage => image::pull(run).await,
        Step::WriteFiles => secrets::write_files(run).await,
        Step::Create(process) => switch::create(run, process).await,
        Step::ProtectLive(process) => switch::protect(run, process).await,
        Step::StopLive(process) => switch::stop(run, process).await,
        Step::StartNew(process) => switch::start(run, process).await,
        Step::Gate(process) => verify::gate(run, process).await,
        Step::KeepNew(process) => settle::keep(run, process).await,
        Step::ReleaseOld(process) => settle::release(run, process).await,
        Step::ParkOld(process) => settle::park(run, process).await,
        Step::Promote(process) => settle::promote(run, process).await,
        Step::Verify(process) => verify::verify(run, process).await,
        Step::Record => verify::record(run),
    }
}
