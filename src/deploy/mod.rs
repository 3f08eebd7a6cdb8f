//! The story of a deployment.
//!
//! ```text
//! prepare   preflight (the host, the registry, the secrets), compare with live, pull, create the container
//! switch    recheck, protect live (a reboot brings it back), stop it, start the new container, gate it
//! ---------- commit: until here everything is undone on failure, from here an interrupted run is finished ----------
//! settle    the new container comes back at a reboot, the old one rests, is parked, the new one gets the live name
//! finish    gate once more on the published port, record the release
//! ```
//!
//! [`run()`] tells it. [`mod@plan`] has the steps in order, [`mod@next`] decides from the journal which is next, [`driver`]
//! makes it; [`step`] is what is done to the host, and [`undo`] takes it back.

mod bake;
mod changes;
pub mod checks;
pub mod clock;
mod conclude;
mod containers;
pub mod context;
mod drain;
pub mod drift;
pub mod driver;
mod epoch;
mod evidence;
mod foreign_images;
pub mod foreign_state;
pub mod handoff;
pub mod health;
mod images;
mod kept;
mod network;
pub mod next;
pub mod one_off;
mod outage;
pub mod plan;
mod polite_close;
mod preflight;
pub mod preview;
pub mod refresh;
pub mod registry;
mod restore;
pub mod retention;
mod returning;
mod revive;
pub mod rollback;
mod secrets;
mod services;
pub mod serving;
mod stall;
pub mod step;
mod task;
mod traffic;
pub mod undo;
mod volumes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::exit::ExitStatus;
use crate::fs::FsError;
use crate::host::Host;
use crate::host::docker::DockerError;
use crate::install;
use crate::journal::{Header, Journal, JournalError, Lock, LockError, Rollback, Who};
use crate::model::{AppName, DeploymentId, Explain, Phase, ReleaseNumber, Revision};
use crate::printer::Talk;
use crate::report::{Outcome, Report};
use crate::signal::Termination;
use crate::state::{Releases, StateError};
use clock::{Clock, TO_END};
use conclude::conclude;
use driver::drive;
pub use foreign_images::{Foreign, prune_foreign};
use retention::{Pruned, Wanted};
pub use revive::{Revived, revive};

/// How long the Engine may take to come up: at a first boot it starts beside us.
pub const DOCKER_PATIENCE: Duration = Duration::from_mins(2);

/// How long an operator's command waits for the lock. Who holds it is said at once; `handover status` holds it for an
/// instant, too.
pub const OPERATORS_PATIENCE: Duration = Duration::from_millis(300);

/// A hook runs at most an hour, and `CodeDeploy` gives a deployment up when the next event is not picked up.
pub const WAITS_TOO_LONG: Duration = Duration::from_hours(1);

/// How long the clean-up after a deployment may take when nothing else limits it.
const CLEANUP: Duration = Duration::from_mins(5);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to deploy.
    pub config: Config,
    /// Which deployment it is.
    pub deployment: DeploymentId,
    /// The deployment group, where `CodeDeploy` named one.
    pub group: Option<String>,
    /// The bundle that `CodeDeploy` deploys, as far as it says.
    pub revision: Revision,
    /// The earlier release that is gone back to, if one is.
    pub rollback: Option<Rollback>,
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

impl Request {
    /// What an operator asks for by a command: all of it in one go, in whatever time it takes.
    pub fn of_operator(
        config: Config,
        group: Option<String>,
        command: &str,
        termination: Termination,
    ) -> Self {
        Self {
            config,
            deployment: DeploymentId::for_operator(jiff::Timestamp::now()),
            group,
            revision: Revision::default(),
            rollback: None,
            until: Phase::Finish,
            command: command.to_owned(),
            hook: false,
            lock_patience: OPERATORS_PATIENCE,
            clock: Clock::unlimited(),
            termination,
        }
    }

    /// Whether live is made again for the sake of its secrets. That gives way to every deployment.
    fn is_refresh(&self) -> bool {
        self.rollback.as_ref().is_some_and(|rollback| rollback.refresh)
    }
}

/// Why a run did not come to its steps.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The lock is taken, or cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing says what the app is made of.
    #[error("no configuration is kept that could tell how to undo deployment {deployment}")]
    NoConfig {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// A committed run has lost what it was begun with.
    #[error(
        "deployment {deployment} has passed its gate and cannot be finished without the configuration of {release}, in '{}': {why}",
        folder.display()
    )]
    ConfigLost {
        /// The deployment.
        deployment: DeploymentId,
        /// The release that it makes.
        release: ReleaseNumber,
        /// Where it should be.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
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
    /// A refresh takes nobody's place.
    #[error("deployment {deployment} is not over, and secrets are not refreshed beside it")]
    Underway {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// What was to be refreshed is not live any more.
    #[error("{of} is not live any more: another release has taken its place, with the secrets of then")]
    Overtaken {
        /// The release that was to be refreshed.
        of: ReleaseNumber,
    },
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
        "deployment {deployment} was begun by handover {version}, whose steps this version does not know"
    )]
    ForeignRun {
        /// The deployment.
        deployment: DeploymentId,
        /// The version that began it.
        version: String,
        /// The binary that began it.
        binary: Option<PathBuf>,
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

impl DeployError {
    fn foreign(header: &Header) -> Self {
        Self::ForeignRun {
            deployment: header.deployment.clone(),
            version: header.version.clone(),
            binary: header.binary.clone(),
        }
    }
}

impl Explain for DeployError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.fix(),
            Self::Docker(error) => error.fix(),
            Self::State(error) => error.fix(),
            Self::Journal(error) => error.fix(),
            Self::File(error) => error.fix(),
            Self::NoConfig { .. } => Some("deploy a bundle".to_owned()),
            Self::ConfigLost { .. } => Some(
                "put it back there; or give the deployment up and go back to the old release: handover recover --abandon".to_owned(),
            ),
            Self::ForeignRun { binary: Some(binary), .. } => {
                Some(format!("finish it with that version: {} recover", binary.display()))
            }
            Self::ForeignRun { version, .. } => {
                Some(format!("finish it with that version: the bin/handover of its bundle, handover {version}"))
            }
            Self::Underway { .. } => Some(
                "wait for its end; if CodeDeploy has given it up: handover recover --abandon".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Deploys, as far as this process may go: takes the lock, brings an interrupted run to its end, takes up or begins its
/// own, drives it, and says how it went. What remains to be done after that cannot change the verdict any more.
pub async fn run<'a>(
    request: Request,
    host: &'a Host,
    talk: &'a dyn Talk,
) -> Result<(Report, Cleanup<'a>), DeployError> {
    let app = request.config.settings.app.clone();
    let (until, hook, clock) = (request.until, request.hook, request.clock);
    let termination = request.termination.clone();
    let who = Who { deployment: Some(request.deployment.clone()), command: request.command.clone(), hook };
    let patience = request.lock_patience;
    let mut lock = ready(&app, &who, patience, clock, host, &termination).await?;
    if let Some((binary, waits)) = another_versions_run(&lock, host, &app, &request.deployment)? {
        drop(lock);
        hand_over(&binary, &app, waits, &termination, talk).await;
        lock = ready(&app, &who, patience, clock, host, &termination).await?;
    }
    // On the heap, like every large part of a run: see `driver`.
    let mut run = Box::pin(epoch::enter(&lock, request, host, talk)).await?;
    if hook && run.journal.history().steps().is_empty() {
        // Before the first step: what recovers a deployment at a boot has to be there before it can be interrupted.
        let installed = termination.unless_requested(install::before_a_deployment(&host.paths)).await;
        run.gathered.notes.extend(installed.into_iter().flatten());
    }
    let outcome = drive(&mut run, until).await?;
    let report = conclude(&run, outcome).await;
    let cleanup =
        Cleanup { _lock: lock, host, app, release: run.context.release(), outcome, hook, clock, termination };
    Ok((report, cleanup))
}

/// What is left to do when the verdict is out: none of it can change that, and none of it may hold up a hook.
pub struct Cleanup<'a> {
    _lock: Lock,
    host: &'a Host,
    app: AppName,
    release: ReleaseNumber,
    outcome: Outcome,
    hook: bool,
    clock: Clock,
    termination: Termination,
}

impl Cleanup<'_> {
    /// Cleans up in the time that is left. Returns what went wrong, which is in the log, too.
    pub async fn run(self) -> Vec<String> {
        if !self.outcome.is_over() {
            return vec![];
        }
        let time = self.clock.left(TO_END).unwrap_or(CLEANUP);
        let notes = tokio::select! {
            notes = Box::pin(self.all()) => notes,
            () = tokio::time::sleep(time) => vec!["there was no time left to clean up: handover prune does it".to_owned()],
            () = self.termination.requested() => {
                vec!["asked to stop while cleaning up: handover prune does it".to_owned()]
            }
        };
        for note in &notes {
            tracing::warn!("{note}");
        }
        notes
    }

    async fn all(&self) -> Vec<String> {
        let mut notes = vec![];
        if self.hook && self.outcome.is_good() {
            notes.extend(install::after_a_good_deployment(&self.host.paths).await);
        }
        let pruned = retention::prune(self.host, &self.app, self.release, Wanted::default()).await;
        notes.extend(pruned.kept);
        notes.extend(pruned.warnings);
        notes
    }
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
    termination: &Termination,
) -> Result<Lock, DeployError> {
    let waiting = async {
        let lock = Lock::take(&host.paths.lock, app, who, patience).await?;
        host.docker.wait_until_up(docker_patience(&clock)).await?;
        Ok(lock)
    };
    termination.unless_requested(waiting).await.unwrap_or(Err(DeployError::Interrupted))
}

/// The binary of another version that began the unfinished run of another deployment, and whether that run waits for a
/// hook.
fn another_versions_run(
    lock: &Lock,
    host: &Host,
    app: &AppName,
    own: &DeploymentId,
) -> Result<Option<(PathBuf, bool)>, DeployError> {
    let journal = Journal::open(lock, Releases::of(&host.paths.app(app)).dir())?;
    let Some(journal) = journal.filter(|journal| journal.header().deployment != *own) else {
        return Ok(None);
    };
    let history = journal.history();
    Ok(handoff::other_binary(history).map(|binary| (binary, history.waiting_since().is_some())))
}

/// The exit code of the binary that a run was handed to; nothing when it could not be run, which is as good as gone.
async fn hand_over(
    binary: &Path,
    app: &AppName,
    abandon: bool,
    termination: &Termination,
    talk: &dyn Talk,
) -> Option<i32> {
    talk.say(&format!("  the unfinished run is handed to the version that began it: {}", binary.display()));
    match handoff::hand_over(binary, app, abandon, termination).await {
        Ok(code) => Some(code.unwrap_or(i32::from(ExitStatus::Failed.code()))),
        Err(error) => {
            talk.say(&format!("  it cannot be run ({error}): this version does what it can"));
            None
        }
    }
}

/// What became of an app that was to be recovered.
#[derive(Debug)]
pub enum Recovered {
    /// Nothing was interrupted.
    Nothing,
    /// A run rests until `CodeDeploy` runs the next hook of its deployment, since then.
    Waiting {
        /// The deployment.
        deployment: DeploymentId,
        /// Since when.
        since: jiff::Timestamp,
    },
    /// The run was brought to its end.
    Settled(Box<Report>),
    /// The binary of another version has brought it to its end, with this exit code.
    HandedOver(i32),
}

/// Finishes or undoes the interrupted run of an app. `abandon` also ends one that waits for a hook, and goes back where a
/// run cannot be finished.
pub async fn recover(
    app: &AppName,
    host: &Host,
    talk: &dyn Talk,
    termination: Termination,
    abandon: bool,
) -> Result<Recovered, DeployError> {
    let who = Who { deployment: None, command: "recover".to_owned(), hook: false };
    let mut lock = Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?;
    let releases = Releases::of(&host.paths.app(app));
    let open = Journal::open(&lock, releases.dir())?.filter(|journal| journal.history().ended().is_none());
    let Some(mut journal) = open else {
        traffic::sweep(host, app).await;
        return Ok(Recovered::Nothing);
    };
    let history = journal.history();
    if let Some(since) = history.waiting_since().filter(|_| !abandon) {
        return Ok(Recovered::Waiting { deployment: journal.header().deployment.clone(), since });
    }
    if let Some(binary) = handoff::other_binary(history) {
        drop((journal, lock));
        if let Some(code) = hand_over(&binary, app, abandon, &termination, talk).await {
            return Ok(Recovered::HandedOver(code));
        }
        lock = Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?;
        let Some(still_there) = Journal::open(&lock, releases.dir())? else { return Ok(Recovered::Nothing) };
        journal = still_there;
    }
    // While Docker comes up; or does not, because it waits for us to end first.
    let up = termination.unless_requested(host.docker.wait_until_up(DOCKER_PATIENCE)).await;
    up.ok_or(DeployError::Interrupted)??;
    let history = journal.history();
    let cause = if history.waiting_since().is_some() { "it was given up" } else { "it was interrupted" };
    let clock = Clock::unlimited();
    let taker = epoch::Taker { host, talk, termination, clock, command: "recover".to_owned() };
    let mut run = epoch::take_up(journal, None, &taker).await?;
    let outcome = epoch::settle(&mut run, cause, abandon).await?;
    let report = conclude(&run, outcome).await;
    Ok(Recovered::Settled(Box::new(Report { recovered: true, ..report })))
}

/// Removes what is not kept of an app. `None` when a run of it is not over: it will prune itself.
pub async fn prune(app: &AppName, host: &Host, wanted: Wanted) -> Result<Option<Pruned>, DeployError> {
    let who = Who { deployment: None, command: "prune".to_owned(), hook: false };
    let lock = Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?;
    let releases = Releases::of(&host.paths.app(app));
    let Some(journal) = Journal::open(&lock, releases.dir())? else { return Ok(Some(Pruned::default())) };
    if journal.history().ended().is_none() {
        return Ok(None);
    }
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    Ok(Some(retention::prune(host, app, journal.header().release, wanted).await))
}
