//! `handover deploy`, and what it shares with the hooks: one code path.

use std::time::{Duration, Instant};

use super::apps::{self, Which};
use crate::deploy::run::Clock;
use crate::deploy::step::Phase;
use crate::deploy::{DeployError, Request};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::host::docker::DockerError;
use crate::journal::{JournalError, LockError};
use crate::printer::Printer;
use crate::release::DeploymentId;
use crate::report::runs::RunLine;
use crate::report::{Report, milliseconds, tail, text};
use crate::signal::Termination;

/// `handover deploy`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(false);
    let request = match prepare(&args) {
        Ok(request) => request,
        Err(error) => return complain(&printer, &error, "deploy", ExitStatus::Usage, start),
    };
    let result = execute(request, &printer).await;
    conclude(&printer, result, "deploy", start).await
}

fn prepare(args: &Args) -> Result<Request, String> {
    let config = args.which.config()?;
    Ok(Request {
        config,
        deployment: DeploymentId::for_operator(jiff::Timestamp::now()),
        group: None,
        until: Phase::Finish,
        command: "deploy".to_owned(),
        hook: false,
        lock_patience: Duration::ZERO,
        clock: Clock::unlimited(),
        termination: Termination::listen().map_err(|e| format!("failed to listen for signals: {e}"))?,
    })
}

/// Deploys on this instance.
pub(super) async fn execute(request: Request, printer: &Printer) -> Result<Report, DeployError> {
    let host = Host::of_the_system()?;
    crate::logging::start(&host.paths.log);
    tracing::info!(
        command = request.command,
        deployment = %request.deployment,
        app = %request.config.settings.app,
        version = env!("CARGO_PKG_VERSION"),
        "run begins",
    );
    crate::deploy::run(request, &host, printer).await
}

/// Tells how a run went, and turns it into an exit code.
pub(super) async fn conclude(
    printer: &Printer,
    result: Result<Report, DeployError>,
    command: &str,
    start: Instant,
) -> ExitStatus {
    let error = match result {
        Ok(report) => {
            let line = RunLine::of(&report, command, milliseconds(start.elapsed()));
            write(&line, printer);
            for line in tail::of(&report) {
                printer.line(&line);
            }
            return report.exit();
        }
        Err(error) => error,
    };
    let end = match &error {
        DeployError::Unsettled { .. }
        | DeployError::Journal(JournalError::File(_) | JournalError::Refused(_)) => tail::End::Unfinished,
        _ => tail::End::NotBegun,
    };
    let status = match &error {
        DeployError::Lock(LockError::Busy(_)) => ExitStatus::Busy,
        DeployError::Retired { .. } => ExitStatus::Failed,
        _ => match Host::of_the_system() {
            Ok(host) if apps::something_serves(&host).await => ExitStatus::Failed,
            _ => ExitStatus::Down,
        },
    };
    complain_with(printer, &chain(&error), next(&error), end, command, status, start)
}

/// The next command to type.
fn next(error: &DeployError) -> Option<&'static str> {
    match error {
        DeployError::Lock(LockError::Busy(_)) => Some("wait for it, or see 'handover status'"),
        DeployError::Docker(DockerError::Unreachable { .. }) => {
            Some("systemctl start docker, then deploy again")
        }
        DeployError::Unsettled { .. } => Some("handover recover"),
        DeployError::Journal(JournalError::File(_)) => {
            Some("see to the disk of /var/lib/handover, then: handover recover")
        }
        DeployError::Retired { .. } => None,
        _ => Some("handover status"),
    }
}

/// Tells why nothing was begun.
pub(super) fn complain(
    printer: &Printer,
    error: &str,
    command: &str,
    status: ExitStatus,
    start: Instant,
) -> ExitStatus {
    complain_with(printer, error, None, tail::End::NotBegun, command, status, start)
}

fn complain_with(
    printer: &Printer,
    error: &str,
    next: Option<&str>,
    end: tail::End,
    command: &str,
    status: ExitStatus,
    start: Instant,
) -> ExitStatus {
    write(&RunLine::of_error(error, command, status, milliseconds(start.elapsed())), printer);
    for line in tail::of_error(error, next, end, status) {
        printer.line(&line);
    }
    status
}

fn write(line: &RunLine<'_>, printer: &Printer) {
    if let Err(error) = line.write(&crate::host::Paths::of_the_system().log) {
        printer.line(&format!("note:  {}", text::chain(&error)));
    }
}

/// An error and its causes, one a line.
fn chain(error: &DeployError) -> String {
    let mut lines = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let line = error.to_string();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        cause = error.source();
    }
    lines.join("\n -> ")
}
