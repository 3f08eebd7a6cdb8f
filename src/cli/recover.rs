//! `handover recover`.

use std::time::Instant;

use super::apps;
use super::deploy::{complain, conclude};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;
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
    let (host, termination) = match (Host::of_the_system(), Termination::listen()) {
        (Ok(host), Ok(termination)) => (host, termination),
        (Err(error), _) => return complain(&printer, &error.to_string(), "recover", ExitStatus::Down, start),
        (_, Err(error)) => return complain(&printer, &error.to_string(), "recover", ExitStatus::Down, start),
    };
    crate::logging::start(&host.paths.log);
    let apps = match &args.app {
        Some(_) => match apps::the_one(&host.paths, args.app.as_deref()) {
            Ok(app) => vec![app],
            Err(error) => return complain(&printer, &error, "recover", ExitStatus::Usage, start),
        },
        None => apps::known(&host.paths),
    };
    let mut worst = ExitStatus::Done;
    for app in apps {
        let status = match Box::pin(crate::deploy::recover(&app, &host, &printer, termination.clone())).await
        {
            Ok(None) => {
                printer.line(&format!("handover: {app}: nothing was interrupted"));
                ExitStatus::Done
            }
            Ok(Some(report)) => conclude(&printer, Ok(report), "recover", start).await,
            Err(error) => conclude(&printer, Err(error), "recover", start).await,
        };
        if status.code() > worst.code() {
            worst = status;
        }
    }
    worst
}
