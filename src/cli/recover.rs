//! `handover recover`.

use std::time::Instant;

use jiff::Timestamp;

use super::apps;
use super::ending::Ending;
use crate::deploy::foreign_state::put_aside;
use crate::deploy::{self, DeployError, OPERATORS_PATIENCE, Recovered, Revived};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::printer::Printer;
use crate::signal::Termination;
use crate::text::{chain, duration};

/// `handover recover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Also end a run that waits for a hook which does not come; and go back where a run cannot be finished
    #[arg(long)]
    abandon: bool,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(false);
    let ending = || Ending::of(&printer, "recover", start);
    let apps = match apps::named_or_all(&Paths::of_the_system(), args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => return ending().complain(&error, ExitStatus::Usage),
    };
    let (host, termination) = match (Host::of_the_system(), Termination::listen()) {
        (Ok(host), Ok(termination)) => (host, termination),
        (Err(error), _) => return ending().error(&error.into()).await,
        (_, Err(error)) => return ending().complain(&chain(&error), ExitStatus::Down),
    };
    crate::logging::start(&host.paths.log);
    // An image of another instance was started: Docker has started what it had, with the secrets of then.
    match termination.unless_requested(put_aside(&host, &printer, OPERATORS_PATIENCE)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return ending().error(&error).await,
        None => return asked_to_stop(&printer),
    }
    let apps: Vec<_> = apps.into_iter().filter(|app| host.paths.app(app).exists()).collect();
    match termination.unless_requested(deploy::revive(&apps, &host, &printer)).await {
        Some(Ok(Revived::Done)) => {}
        // As when another process is in charge: that is the next run of the unit.
        Some(Ok(Revived::AfterDocker)) => return ExitStatus::Busy,
        // What it means for an app is said there.
        Some(Err(error)) => tracing::warn!("nothing was started again: {}", chain(&error)),
        None => return asked_to_stop(&printer),
    }
    let mut worst = ExitStatus::Done;
    for app in apps {
        let recovered =
            Box::pin(deploy::recover(&app, &host, &printer, termination.clone(), args.abandon)).await;
        let ending = ending().about(&app);
        let status = match recovered {
            Ok(Recovered::Settled(report)) => ending.report(&report),
            Ok(Recovered::HandedOver(code)) => ExitStatus::of_code(code),
            Ok(Recovered::Nothing) => {
                let Some(down) = termination.unless_requested(apps::down(&host, &app)).await else {
                    return worst.worse(asked_to_stop(&printer));
                };
                if let Some((what, next)) = down {
                    ending.down(&format!("nothing was interrupted, but {what}"), &next)
                } else {
                    printer.line(&format!("handover: {app}: nothing was interrupted"));
                    for why in apps::sick(&host, &app) {
                        printer.line(&format!("note:  when it was last checked: {why}"));
                    }
                    ExitStatus::Done
                }
            }
            Ok(Recovered::Waiting { deployment, since }) => {
                let waited = Timestamp::now().duration_since(since).unsigned_abs();
                printer.line(&format!(
                    "handover: {app}: nothing was interrupted: deployment {deployment} has waited for CodeDeploy's next \
                     hook for {}",
                    duration(waited)
                ));
                printer.line("if CodeDeploy has given it up: handover recover --abandon");
                ExitStatus::Done
            }
            Err(DeployError::Interrupted) => return worst.worse(asked_to_stop(&printer)),
            Err(error) => ending.error(&error).await,
        };
        worst = worst.worse(status);
    }
    worst
}

/// Docker's restart ends the unit, and begins it anew after that; until then Docker's start waits for us.
fn asked_to_stop(printer: &Printer) -> ExitStatus {
    printer.line("handover: asked to stop while it waited: 'handover recover' does the rest, as systemd does after each start of Docker");
    ExitStatus::Busy
}
