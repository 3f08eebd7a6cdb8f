//! `handover tend`: what systemd's timer calls. Silent where there is nothing to do.

use std::time::Instant;

use jiff::Timestamp;

use super::deploy::Without;
use super::ending::Ending;
use super::prune::prune_one;
use super::refresh::refresh;
use crate::deploy::foreign_state::put_aside;
use crate::deploy::refresh::is_our_turn;
use crate::deploy::retention::Wanted;
use crate::deploy::{self, DeployError, Recovered, WAITS_TOO_LONG};
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
    match Host::of_the_system() {
        Ok(host) => {
            if let Err(error) = put_aside(&host, &printer).await {
                return Ending::of(&printer, "tend", Instant::now()).error(&error).await;
            }
        }
        Err(error) => return Ending::of(&printer, "tend", Instant::now()).error(&error.into()).await,
    }
    for app in paths.apps() {
        worst = worst.worse(Box::pin(tend(&app, &printer)).await);
    }
    worst
}

async fn tend(app: &AppName, printer: &Printer) -> ExitStatus {
    let ending = || Ending::of(printer, "tend", Instant::now()).about(app);
    let host = match Host::of_the_system() {
        Ok(host) => host,
        Err(error) => return ending().error(&error.into()).await,
    };
    let recovered = match abandoned(app, &host) {
        Some(is_over_for_codedeploy) => {
            Box::pin(recover(app, &host, printer, is_over_for_codedeploy, ending())).await
        }
        None => ExitStatus::Done,
    };
    if recovered != ExitStatus::Done {
        return recovered;
    }
    let refreshed = if is_our_turn(app, &host) {
        Box::pin(refresh(app, &Without::default(), printer)).await
    } else {
        ExitStatus::Done
    };
    refreshed.worse(prune_one(app, &host, printer, Wanted::default(), true).await)
}

/// Whether a run is to be brought to its end: one that was interrupted, or one that waits for a hook which does not come any more,
/// for which it is true.
fn abandoned(app: &AppName, host: &Host) -> Option<bool> {
    let history = Journal::read(Releases::of(&host.paths.app(app)).dir()).ok().flatten()?;
    if history.ended().is_some() {
        return None;
    }
    let Some(since) = history.waiting_since() else { return Some(false) };
    (Timestamp::now().duration_since(since).unsigned_abs() >= WAITS_TOO_LONG).then_some(true)
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
