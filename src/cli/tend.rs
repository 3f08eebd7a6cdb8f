//! `handover tend`: what systemd's timer calls. Silent where there is nothing to do.

use std::time::Instant;

use jiff::Timestamp;

use super::deploy::Without;
use super::ending::Ending;
use super::prune::prune_one;
use super::refresh::{By, refresh};
use crate::deploy::foreign_state::put_aside;
use crate::deploy::refresh::{is_our_turn, live_is_refused};
use crate::deploy::retention::Wanted;
use crate::deploy::{self, DeployError, OPERATORS_PATIENCE, Recovered, WAITS_TOO_LONG, serving};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::journal::{Journal, LockError};
use crate::model::AppName;
use crate::printer::Printer;
use crate::signal::Termination;
use crate::state::Releases;

pub(super) async fn run() -> ExitStatus {
    let printer = Printer::new(false);
    let paths = Paths::of_the_system();
    crate::logging::start(&paths.log);
    let mut worst = ExitStatus::Done;
    let ending = Ending::of(&printer, "tend", Instant::now());
    let host = match Host::of_the_system() {
        Ok(host) => host,
        Err(error) => return ending.error(&error.into()).await,
    };
    if let Err(error) = put_aside(&host, &printer, OPERATORS_PATIENCE).await {
        return ending.error(&error).await;
    }
    for app in paths.apps() {
        worst = worst.worse(Box::pin(tend(&app, &host, &printer)).await);
    }
    worst
}

async fn tend(app: &AppName, host: &Host, printer: &Printer) -> ExitStatus {
    match run_of(app, host) {
        Run::Over => {}
        Run::Waits => return ExitStatus::Done,
        Run::Abandoned { waited } => {
            let ending = Ending::of(printer, "tend", Instant::now()).about(app);
            let recovered = Box::pin(recover(app, host, printer, waited, ending)).await;
            if recovered != ExitStatus::Done {
                return recovered;
            }
        }
    }
    // What somebody has stopped stays stopped.
    let runs = host.docker.containers_of(app).await.is_ok_and(|all| serving::everything_runs(&all));
    let refreshed = if runs && (is_our_turn(app, host) || live_is_refused(app, host).await) {
        Box::pin(refresh(app, &Without::default(), printer, By::Timer)).await
    } else {
        ExitStatus::Done
    };
    refreshed.worse(prune_one(app, host, printer, Wanted::default(), true).await)
}

/// How an app's last run is.
enum Run {
    Over,
    /// Somebody is at work on it, or `CodeDeploy` runs its next hook.
    Waits,
    /// It is to be brought to its end: it was interrupted, or has waited too long for a hook.
    Abandoned {
        waited: bool,
    },
}

fn run_of(app: &AppName, host: &Host) -> Run {
    let history = Journal::read(Releases::of(&host.paths.app(app)).dir()).ok().flatten();
    let Some(history) = history.filter(|history| history.ended().is_none()) else { return Run::Over };
    match history.waiting_since() {
        None => Run::Abandoned { waited: false },
        Some(since) if Timestamp::now().duration_since(since).unsigned_abs() >= WAITS_TOO_LONG => {
            Run::Abandoned { waited: true }
        }
        Some(_) => Run::Waits,
    }
}

async fn recover(
    app: &AppName,
    host: &Host,
    printer: &Printer,
    abandon: bool,
    ending: Ending<'_>,
) -> ExitStatus {
    let Ok(termination) = Termination::listen() else {
        return ending.error(&DeployError::Interrupted).await;
    };
    match deploy::recover(app, host, printer, termination, abandon).await {
        Ok(Recovered::Settled(report)) => ending.report(&report),
        Ok(Recovered::HandedOver(code)) => ExitStatus::of_code(code),
        Ok(Recovered::Nothing | Recovered::Waiting { .. }) => ExitStatus::Done,
        // It is no abandoned one.
        Err(DeployError::Lock(LockError::Busy(_)) | DeployError::Interrupted) => ExitStatus::Busy,
        Err(error) => ending.error(&error).await,
    }
}
