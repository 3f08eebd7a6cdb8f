//! `handover recover`.

use std::time::Instant;

use super::apps;
use super::ending::Ending;
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::journal::Journal;
use crate::printer::Printer;
use crate::release::AppName;
use crate::report::text::chain;
use crate::signal::Termination;

/// `handover recover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(false);
    let ending = || Ending::of(&printer, "recover", start);
    let (host, termination) = match (Host::of_the_system(), Termination::listen()) {
        (Ok(host), Ok(termination)) => (host, termination),
        (Err(error), _) => return ending().complain(&error.to_string(), ExitStatus::Down),
        (_, Err(error)) => return ending().complain(&chain(&error), ExitStatus::Down),
    };
    crate::logging::start(&host.paths.log);
    let apps = match apps::named_or_all(&host.paths, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => return ending().complain(&error, ExitStatus::Usage),
    };
    let mut worst = ExitStatus::Done;
    for app in apps {
        let status = match Box::pin(crate::deploy::recover(&app, &host, &printer, termination.clone())).await
        {
            Ok(None) => {
                printer.line(&format!("handover: {app}: nothing was interrupted{}", waiting(&host, &app)));
                ExitStatus::Done
            }
            Ok(Some(report)) => ending().about(&app).tell(Ok(report)).await,
            Err(error) => ending().about(&app).tell(Err(error)).await,
        };
        worst = worst.worse(status);
    }
    worst
}

/// A run between two hooks is not touched: `CodeDeploy` goes on with it, or the next deployment ends it.
fn waiting(host: &Host, app: &AppName) -> String {
    match Journal::read(&host.paths.app(app)) {
        Ok(Some(history)) if history.is_waiting() => {
            let deployment = history.header().map(|header| header.deployment.to_string()).unwrap_or_default();
            format!(": deployment {deployment} waits for CodeDeploy's next hook")
        }
        _ => String::new(),
    }
}
