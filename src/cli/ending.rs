//! The end of a command that may have changed something: its closing lines, its line for machines, its exit code.

use std::time::Instant;

use super::apps;
use super::bundle::Refusal;
use crate::deploy::{DeployError, Request};
use crate::exit::ExitStatus;
use crate::host::docker::DockerError;
use crate::host::{Host, Paths};
use crate::journal::{JournalError, LockError};
use crate::printer::Printer;
use crate::release::{AppName, DeploymentId};
use crate::report::runs::RunLine;
use crate::report::tail::{self, End};
use crate::report::{Report, milliseconds, text};

/// What is known of a command when it ends.
pub(super) struct Ending<'a> {
    pub(super) printer: &'a Printer,
    pub(super) command: &'a str,
    pub(super) start: Instant,
    app: Option<AppName>,
    deployment: Option<DeploymentId>,
}

impl<'a> Ending<'a> {
    /// Of a command that is not about an app yet.
    pub(super) fn of(printer: &'a Printer, command: &'a str, start: Instant) -> Self {
        Self { printer, command, start, app: None, deployment: None }
    }

    /// It is about this app.
    pub(super) fn about(self, app: &AppName) -> Self {
        Self { app: Some(app.clone()), ..self }
    }

    /// It is about what was requested.
    pub(super) fn about_request(self, request: &Request) -> Self {
        Self { deployment: Some(request.deployment.clone()), ..self.about(&request.config.settings.app) }
    }

    /// Tells how a run went.
    pub(super) async fn tell(&self, result: Result<Report, DeployError>) -> ExitStatus {
        let error = match result {
            Ok(report) => {
                self.write(&RunLine::of(&report, self.command, milliseconds(self.start.elapsed())));
                self.close(&tail::of(&report));
                return report.exit();
            }
            Err(error) => error,
        };
        let end = match &error {
            DeployError::Unsettled { .. }
            | DeployError::Journal(JournalError::File(_) | JournalError::Refused(_)) => End::Unfinished,
            _ => End::NotBegun,
        };
        let status = match &error {
            DeployError::Lock(LockError::Busy(_)) => ExitStatus::Busy,
            DeployError::Retired { .. } => ExitStatus::Failed,
            _ if self.something_serves().await => ExitStatus::Failed,
            _ => ExitStatus::Down,
        };
        self.fail(&text::causes(&error), next(&error), end, status)
    }

    /// Tells why nothing was begun.
    pub(super) fn complain(&self, error: &str, status: ExitStatus) -> ExitStatus {
        self.fail(error, None, End::NotBegun, status)
    }

    /// Tells that the bundle or the command line is wrong.
    pub(super) fn refuse(&self, refusal: &Refusal) -> ExitStatus {
        self.fail(&refusal.why, refusal.next.as_deref(), End::NotBegun, ExitStatus::Usage)
    }

    fn fail(&self, error: &str, next: Option<&str>, end: End, status: ExitStatus) -> ExitStatus {
        let mut line = RunLine::of_error(error, self.command, status, milliseconds(self.start.elapsed()));
        line.app = self.app.as_ref().map(AppName::as_str);
        line.deployment = self.deployment.as_ref().map(DeploymentId::as_str);
        self.write(&line);
        self.close(&tail::of_error(error, next, end, status));
        status
    }

    fn close(&self, lines: &[String]) {
        for line in lines {
            self.printer.line(line);
        }
    }

    async fn something_serves(&self) -> bool {
        match (&self.app, Host::of_the_system()) {
            (Some(app), Ok(host)) => apps::something_serves(&host, app).await,
            _ => false,
        }
    }

    fn write(&self, line: &RunLine<'_>) {
        if let Err(error) = line.write(&Paths::of_the_system().log) {
            self.printer.line(&format!("note:  {}", text::chain(&error)));
        }
    }
}

/// The next command to type.
fn next(error: &DeployError) -> Option<&'static str> {
    match error {
        DeployError::Docker(DockerError::Unreachable { .. }) => Some("systemctl start docker"),
        DeployError::Unsettled { .. } => Some("handover recover"),
        DeployError::Journal(JournalError::File(_)) => Some("df -h /var/lib/handover"),
        DeployError::Retired { .. } => None,
        _ => Some("handover status"),
    }
}
