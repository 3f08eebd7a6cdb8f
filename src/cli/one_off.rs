//! `handover run`.

use std::process::ExitCode;

use super::apps;
use crate::deploy::one_off::{self, Asked};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::model::ReleaseNumber;
use crate::printer::Printer;
use crate::signal::Termination;
use crate::text::chain;

/// `handover run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which app, when several are deployed here
    #[arg(long)]
    app: Option<String>,
    /// Which process's image and options, when there are several
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Which release: 12 or r12; by default the one that serves, or else the newest, also when it was refused
    #[arg(long, value_name = "N", value_parser = release)]
    release: Option<ReleaseNumber>,
    /// The command and its arguments
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

fn release(text: &str) -> Result<ReleaseNumber, String> {
    let number = text.strip_prefix('r').unwrap_or(text).parse();
    number.map(ReleaseNumber).map_err(|_| format!("'{text}' is not a release: write 12 or r12"))
}

/// Ends as the command ends: with its exit code.
pub(super) async fn run(args: Args) -> ExitCode {
    let printer = Printer::new(false);
    let app = match apps::the_one(&Paths::of_the_system(), args.app.as_deref()) {
        Ok(app) => app,
        Err(error) => return refuse(&printer, &error),
    };
    let process = match args.process.as_deref().map(str::parse).transpose() {
        Ok(process) => process,
        Err(error) => return refuse(&printer, &chain(&error)),
    };
    let (host, termination) = match (Host::of_the_system(), Termination::listen()) {
        (Ok(host), Ok(termination)) => (host, termination),
        (Err(error), _) => {
            super::explain(&printer, &error);
            return ExitStatus::Failed.into();
        }
        (_, Err(error)) => {
            printer.line(&format!("handover: {}", chain(&error)));
            return ExitStatus::Failed.into();
        }
    };
    crate::logging::start(&host.paths.log);
    let asked = Asked { app, process, release: args.release, command: args.command };
    match one_off::run(&asked, &host, &printer, &termination).await {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(failure) => {
            for finding in failure.into_findings() {
                printer.line(&format!("handover: {}", finding.what));
                if !finding.fix.is_empty() {
                    printer.line(&format!("fix:   {}", finding.fix));
                }
            }
            ExitStatus::Failed.into()
        }
    }
}

fn refuse(printer: &Printer, why: &str) -> ExitCode {
    printer.line(&format!("handover: {why}"));
    ExitStatus::Usage.into()
}
