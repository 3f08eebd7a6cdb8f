//! `handover deploy`, and what it shares with the hooks: one code path.

use std::time::{Duration, Instant};

use super::bundle::{Chosen, Refusal, Which};
use super::ending::Ending;
use crate::config::Settings;
use crate::deploy::foreign_state::put_aside;
use crate::deploy::{DeployError, Request, docker_patience};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;
use crate::signal::Termination;

/// `handover deploy`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    without: Without,
}

/// What is left out in a bad night.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Without {
    /// Make none of the checks of what the app needs of others: for a night when one of them is wrong
    #[arg(long)]
    no_checks: bool,
    /// Do not watch the candidate under traffic before live is stopped: for a night when every minute counts
    #[arg(long)]
    no_bake: bool,
}

impl Without {
    /// Leaves it out of a deployment. What is kept with the release has it all the same.
    pub(super) fn leave_out(&self, settings: &mut Settings) {
        if self.no_checks {
            settings.checks.clear();
        }
        if self.no_bake {
            settings.bake = Duration::ZERO;
        }
    }

    /// Says what is left out.
    pub(super) fn say(&self, printer: &Printer) {
        if self.no_checks {
            printer.line("note:  no check of what the app needs of others is made (--no-checks)");
        }
        if self.no_bake {
            printer.line("note:  the candidate is not watched under traffic (--no-bake)");
        }
    }
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(false);
    let ending = Ending::of(&printer, "deploy", start);
    match prepare(&args) {
        Ok(request) => {
            args.without.say(&printer);
            execute(request, ending).await
        }
        Err(refusal) => ending.refuse(&refusal),
    }
}

fn prepare(args: &Args) -> Result<Request, Refusal> {
    let Chosen { mut config, group } = args.which.chosen()?;
    args.without.leave_out(&mut config.settings);
    let termination = Termination::listen().map_err(|e| format!("failed to listen for signals: {e}"))?;
    Ok(Request::of_operator(config, group, "deploy", termination))
}

/// Deploys on this instance, and says how it went.
pub(super) async fn execute(request: Request, ending: Ending<'_>) -> ExitStatus {
    let ending = ending.about_request(&request);
    let termination = request.termination.clone();
    let found = termination.unless_requested(Host::of_the_system_within(docker_patience(&request.clock)));
    let host = match found.await {
        Some(Ok(host)) => host,
        Some(Err(error)) => return ending.error(&error.into()).await,
        None => return ending.error(&DeployError::Interrupted).await,
    };
    crate::logging::start(&host.paths.log);
    tracing::info!(
        command = request.command,
        deployment = %request.deployment,
        app = %request.config.settings.app,
        version = env!("CARGO_PKG_VERSION"),
        "run begins",
    );
    let hook = request.hook;
    if let Err(error) = put_aside(&host, ending.printer, request.lock_patience).await {
        return ending.error(&error).await;
    }
    match crate::deploy::run(request, &host, ending.printer).await {
        Ok((report, cleanup)) => {
            let status = ending.report(&report);
            let notes = cleanup.run().await;
            // In a hook the verdict is the last line.
            for note in notes.iter().filter(|_| !hook) {
                ending.printer.line(&format!("note:  {note}"));
            }
            status
        }
        Err(error) => ending.error(&error).await,
    }
}
