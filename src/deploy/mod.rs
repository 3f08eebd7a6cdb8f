//! The story of a deployment.
//!
//! ```text
//! prepare   preflight (the host, the registry, the secrets), compare with live, pull, create the container
//! switch    protect live (a reboot brings it back), stop it, start the new container, gate it
//! ---------- commit: until here everything is undone on failure, from here an interrupted run is finished ----------
//! settle    the new container comes back at a reboot, the old one rests, is parked, the new one gets the live name
//! finish    gate once more on the published port, record the release, prune
//! ```
//!
//! [`run()`] tells it. [`mod@plan`] has the steps in order, [`mod@next`] decides from the journal which is next, and [`driver`]
//! makes it; [`steps`] are what is done to the host.

pub mod driver;
pub mod epoch;
pub mod gate;
pub mod live;
pub mod next;
pub mod plan;
mod preflight;
pub mod preview;
pub mod registry;
pub mod retention;
pub mod run;
pub mod secrets;
pub mod step;
pub mod steps;

use std::time::Duration;

use crate::config::Config;
use crate::fs::FsError;
use crate::host::Host;
use crate::host::docker::DockerError;
use crate::install;
use crate::journal::{Ended, Journal, JournalError, Lock, LockError, Who};
use crate::printer::Talk;
use crate::release::{AppName, DeploymentId};
use crate::report::Report;
use crate::signal::Termination;
use crate::state::StateError;
use driver::{Outcome, drive};
use retention::Pruned;
use run::{Clock, Run};
use step::Phase;

/// How long the Engine may take to come up: at a first boot it starts beside us.
pub const DOCKER_PATIENCE: Duration = Duration::from_mins(2);

/// How long an operator's command waits for the lock. Who holds it is told at once; `handover status` holds it for an
/// instant, too.
pub const OPERATORS_PATIENCE: Duration = Duration::from_millis(300);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to deploy.
    pub config: Config,
    /// Which deployment it is.
    pub deployment: DeploymentId,
    /// The deployment group, where `CodeDeploy` named one.
    pub group: Option<String>,
    /// Up to which phase this process may go.
    pub until: Phase,
    /// What this process was called as.
    pub command: String,
    /// Whether `CodeDeploy` runs it.
    pub hook: bool,
    /// How long to wait for the lock.
    pub lock_patience: Duration,
    /// How much time there is.
    pub clock: Clock,
    /// Whether to stop.
    pub termination: Termination,
}

/// Why a run did not come to its steps.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The lock is not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal does not begin with what it is about.
    #[error("the journal has no first line")]
    NoHeader,
    /// Nothing says what the app is made of.
    #[error(
        "no configuration is kept that could tell how to finish or undo deployment {deployment}: deploy a bundle"
    )]
    NoConfig {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// What is kept cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The Engine does not do its part.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// This process was asked to stop before it began.
    #[error("handover was asked to stop while it waited for its turn")]
    Interrupted,
    /// A hook of a deployment that is over.
    #[error("deployment {deployment} is over: deployment {by} took its place")]
    Retired {
        /// The late one.
        deployment: DeploymentId,
        /// The one that is in charge.
        by: DeploymentId,
    },
    /// A run of a version that this one cannot resume.
    #[error(
        "deployment {deployment} was begun by handover {version}, whose steps this version cannot resume: finish it with that version"
    )]
    ForeignRun {
        /// The deployment.
        deployment: DeploymentId,
        /// The version that began it.
        version: String,
    },
    /// An interrupted run that could not be brought to its end.
    #[error("the interrupted deployment {deployment} could not be brought to its end: {}", left_over.join("; "))]
    Unsettled {
        /// The deployment.
        deployment: DeploymentId,
        /// What is left.
        left_over: Vec<String>,
    },
}

/// Deploys, as far as this process may go: takes the lock, brings an interrupted run to its end, takes up or begins its
/// own, drives it, prunes, reports.
pub async fn run(request: Request, host: &Host, talk: &dyn Talk) -> Result<Report, DeployError> {
    let app = request.config.settings.app.clone();
    let who = Who {
        deployment: Some(request.deployment.clone()),
        command: request.command.clone(),
        hook: request.hook,
    };
    let (until, patience, hook) = (request.until, request.lock_patience, request.hook);
    let termination = request.termination.clone();
    let lock = tokio::select! {
        lock = ready(&app, &who, patience, request.clock, host) => lock?,
        () = termination.requested() => return Err(DeployError::Interrupted),
    };
    // On the heap, like every large part of a run: see `steps::perform`.
    let mut run = Box::pin(epoch::enter(&lock, request, host, talk)).await?;
    let mut notes = Vec::new();
    if hook && run.journal.history().taken().is_empty() {
        // Before the first step: what recovers a deployment at a boot has to be there before it can be interrupted.
        tokio::select! {
            told = install::before_a_deployment(&host.paths) => notes = told,
            () = termination.requested() => {}
        }
    }
    let outcome = drive(&mut run, until).await?;
    if hook && matches!(outcome, Outcome::Over(Ended::Deployed | Ended::Unchanged)) {
        notes = install::after_a_good_deployment(&host.paths).await;
    }
    conclude(run, outcome, notes).await
}

/// How long this process may wait for the Engine: not so long that a hook is killed over it and cannot say why.
pub fn docker_patience(clock: &Clock) -> Duration {
    clock.left(Duration::ZERO).map_or(DOCKER_PATIENCE, |left| DOCKER_PATIENCE.min(left / 2))
}

/// The lock, and an Engine that answers: both may be waited for.
async fn ready(
    app: &AppName,
    who: &Who,
    patience: Duration,
    clock: Clock,
    host: &Host,
) -> Result<Lock, DeployError> {
    let lock = Lock::take(&host.paths.lock, app, who, patience).await?;
    host.docker.wait_until_up(docker_patience(&clock)).await?;
    Ok(lock)
}

/// Finishes or undoes the interrupted run of an app. `None` when there is nothing to do.
pub async fn recover(
    app: &AppName,
    host: &Host,
    talk: &dyn Talk,
    termination: Termination,
) -> Result<Option<Report>, DeployError> {
    let who = Who { deployment: None, command: "recover".to_owned(), hook: false };
    let lock = Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?;
    let state = host.paths.app(app);
    let Some(journal) = Journal::open(&lock, &state)? else { return Ok(None) };
    let history = journal.history();
    if history.ended().is_some() || history.is_waiting() {
        return Ok(None);
    }
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    let header = history.header().cloned().ok_or(DeployError::NoHeader)?;
    let releases = crate::state::Releases::of(&state);
    // Undoing needs little of it, so another release's will do.
    let kept = |release| releases.config(release).ok().flatten();
    let config = kept(header.release)
        .or_else(|| kept(releases.last_good()?.release))
        .ok_or_else(|| DeployError::NoConfig { deployment: header.deployment.clone() })?;
    let mut run = epoch::resume(journal, &config, host, talk, termination, "recover")?;
    let ended = epoch::settle(&mut run, "it was interrupted").await?;
    let report = conclude(run, Outcome::Over(ended), vec![]).await?;
    Ok(Some(Report { recovered: true, ..report }))
}

/// What comes after the last entry: none of it can fail the deployment any more. `notes` is what went wrong beside it.
async fn conclude(run: Run<'_>, outcome: Outcome, notes: Vec<String>) -> Result<Report, DeployError> {
    let mut warnings = notes;
    if let Outcome::Over(_) = &outcome {
        warnings.extend(retention::prune(run.host, &run.config.settings.app, run.release()).await.warnings);
    }
    Ok(Report::of(&run, outcome, warnings).await)
}

/// Removes what is not kept of an app. `None` when a run of it is not over: it will prune itself.
pub async fn prune(app: &AppName, host: &Host) -> Result<Option<Pruned>, DeployError> {
    let who = Who { deployment: None, command: "prune".to_owned(), hook: false };
    let lock = Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?;
    let Some(journal) = Journal::open(&lock, &host.paths.app(app))? else {
        return Ok(Some(Pruned::default()));
    };
    if journal.history().ended().is_none() {
        return Ok(None);
    }
    let at = journal.history().header().ok_or(DeployError::NoHeader)?.release;
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    Ok(Some(retention::prune(host, app, at).await))
}
