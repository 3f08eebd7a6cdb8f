//! The end of a command that may have changed something: its closing lines, its line for machines, its exit code.

use std::time::{Duration, Instant};

use super::apps;
use super::bundle::Refusal;
use crate::deploy::{DeployError, Request, serving};
use crate::exit::ExitStatus;
use crate::host::docker::DockerError;
use crate::host::{Host, Paths};
use crate::journal::{JournalError, LockError};
use crate::model::{AppName, DeploymentId, Explain};
use crate::printer::Printer;
use crate::report::runs::RunLine;
use crate::report::tail::{self, End};
use crate::report::{Report, milliseconds};
use crate::text;

/// How long Docker may take to say what serves.
const LONG: Duration = Duration::from_secs(30);
/// The same when this process was asked to stop: it is killed soon.
const SHORT: Duration = Duration::from_secs(1);

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

    /// Says how a run went.
    pub(super) fn report(&self, report: &Report) -> ExitStatus {
        self.write(&RunLine::of(report, self.command, milliseconds(self.start.elapsed())));
        self.close(&tail::of(report));
        report.exit()
    }

    /// Says why a run did not come to its steps, or not to its end.
    pub(super) async fn error(&self, error: &DeployError) -> ExitStatus {
        let end = match error {
            DeployError::Unsettled { .. }
            | DeployError::ConfigLost { .. }
            | DeployError::ForeignRun { .. }
            | DeployError::Journal(JournalError::File(_) | JournalError::Refused(_)) => End::Unfinished,
            _ => End::NotBegun,
        };
        let status = match error {
            DeployError::Lock(LockError::Busy(_)) => ExitStatus::Busy,
            DeployError::Retired { .. } => ExitStatus::Failed,
            DeployError::Interrupted => self.exit_by_what_serves(SHORT).await,
            _ => self.exit_by_what_serves(LONG).await,
        };
        self.fail(&text::causes(error), error.fix().as_deref(), next(error), end, status)
    }

    /// Says why nothing was begun.
    pub(super) fn complain(&self, error: &str, status: ExitStatus) -> ExitStatus {
        self.fail(error, None, None, End::NotBegun, status)
    }

    /// Says what keeps the command from beginning, and what to do about it.
    pub(super) fn cannot(&self, error: &(impl Explain + 'static)) -> ExitStatus {
        self.fail(&text::causes(error), error.fix().as_deref(), None, End::NotBegun, ExitStatus::Usage)
    }

    /// Says why nothing could be done; what serves is not touched.
    pub(super) fn failed(&self, error: &(impl Explain + 'static)) -> ExitStatus {
        self.fail(&text::causes(error), error.fix().as_deref(), None, End::NotBegun, ExitStatus::Failed)
    }

    /// Says that nothing was to be done, and that nothing serves all the same.
    pub(super) fn down(&self, what: &str, next: &str) -> ExitStatus {
        self.fail(what, None, Some(next), End::NotBegun, ExitStatus::Down)
    }

    /// Says that the bundle or the command line is wrong.
    pub(super) fn refuse(&self, refusal: &Refusal) -> ExitStatus {
        self.fail(&refusal.why, None, refusal.next.as_deref(), End::NotBegun, ExitStatus::Usage)
    }

    fn fail(
        &self,
        error: &str,
        fix: Option<&str>,
        next: Option<&str>,
        end: End,
        status: ExitStatus,
    ) -> ExitStatus {
        let mut line = RunLine::of_error(error, self.command, status, milliseconds(self.start.elapsed()));
        line.fix = fix;
        line.app = self.app.as_ref().map(AppName::as_str);
        line.deployment = self.deployment.as_ref().map(DeploymentId::as_str);
        self.write(&line);
        self.close(&tail::of_error(error, fix, next, end, status));
        status
    }

    fn close(&self, lines: &[String]) {
        for line in lines {
            // Whoever runs us may have closed its end by now, as an agent does when the hook's time is over.
            tracing::info!("{line}");
            self.printer.line(line);
        }
    }

    /// What a failure means for the app, as far as Docker says within this time.
    async fn exit_by_what_serves(&self, patience: Duration) -> ExitStatus {
        let serves = async {
            let (app, host) = (self.app.as_ref()?, Host::of_the_system().ok()?);
            Some(serving::something_runs(&apps::containers(&host, app).await?))
        };
        match tokio::time::timeout(patience, serves).await {
            Ok(Some(true)) => ExitStatus::Failed,
            _ => ExitStatus::Down,
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
