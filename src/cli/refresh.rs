//! `handover refresh`.

use std::collections::BTreeMap;
use std::time::Instant;

use super::apps;
use super::deploy::{Without, execute};
use super::ending::Ending;
use crate::deploy::refresh::{Changed, Look, RefreshError, look};
use crate::deploy::{DOCKER_PATIENCE, DeployError, Request};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::journal::{Direction, Journal};
use crate::lock::GIVES_WAY;
use crate::model::AppName;
use crate::printer::Printer;
use crate::signal::Termination;
use crate::state::{Found, LastLook, Releases};
use crate::text::causes;

/// `handover refresh`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    without: Without,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let paths = Paths::of_the_system();
    let apps = match apps::named_or_all(&paths, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => {
            let ending = Ending::of(&printer, "refresh", Instant::now());
            return ending.complain(&error, ExitStatus::Usage);
        }
    };
    crate::logging::start(&paths.log);
    let mut worst = ExitStatus::Done;
    for app in apps {
        worst = worst.worse(Box::pin(refresh(&app, &args.without, &printer, By::Operator)).await);
    }
    worst
}

/// Who has asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Somebody who looks at what comes of it.
    Operator,
    /// Nobody does. What was refused once would be refused each time, and where live is stopped for it, that is an outage.
    Timer,
}

/// Looks at the secrets of an app, hands over if one has changed, and writes down what came of it.
pub(super) async fn refresh(app: &AppName, without: &Without, printer: &Printer, by: By) -> ExitStatus {
    let ending = Ending::of(printer, "refresh", Instant::now()).about(app);
    let paths = Paths::of_the_system();
    let last = LastLook::of(&paths.app(app)).read();
    let mut tried = BTreeMap::new();
    let (found, status) = match looked(app).await {
        Ok(Look::Same { live, asked }) => {
            let secrets = if asked == 1 { "the secret is" } else { "the secrets are" };
            if by == By::Operator {
                printer.line(&format!("handover: {app}: {secrets} as {live} was given: nothing to refresh"));
            }
            (Some(Found::Same), ExitStatus::Done)
        }
        Ok(Look::Changed(changed))
            if by == By::Timer && last.as_ref().is_some_and(|last| last.tried == changed.secrets) =>
        {
            tried = changed.secrets;
            (last.map(|last| last.found), ExitStatus::Done)
        }
        Ok(Look::Changed(changed)) => {
            let versions = changed.secrets.clone();
            let status = hand_over(app, *changed, without, printer, ending).await;
            let found = came_of_it(app, &paths, status);
            if matches!(found, Some(Found::Failed { .. })) {
                tried = versions;
            }
            (found, status)
        }
        Err(RefreshError::Underway { deployment, .. }) => {
            (None, Box::pin(ending.error(&DeployError::Underway { deployment })).await)
        }
        Err(RefreshError::Docker(error)) => (None, ending.error(&error.into()).await),
        Err(error) => (Some(Found::Failed { why: causes(&error) }), ending.failed(&error)),
    };
    let written = found.map(|found| LastLook::of(&paths.app(app)).write(found, tried));
    if let Some(Err(error)) = written {
        super::explain(printer, &error);
    }
    status
}

async fn looked(app: &AppName) -> Result<Look, RefreshError> {
    let host = Host::of_the_system_within(DOCKER_PATIENCE).await?;
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    look(app, &host).await
}

async fn hand_over(
    app: &AppName,
    changed: Changed,
    without: &Without,
    printer: &Printer,
    ending: Ending<'_>,
) -> ExitStatus {
    let Changed { mut config, group, rollback, secrets } = changed;
    let which = if secrets.len() == 1 { "secret" } else { "secrets" };
    printer.line(&format!(
        "handover: {app}: {which} {} changed since {} was given it: it is made again with what is there now",
        secrets.into_keys().collect::<Vec<_>>().join(", "),
        rollback.to
    ));
    without.leave_out(&mut config.settings);
    without.say(printer);
    let Ok(termination) = Termination::listen() else {
        return ending.error(&DeployError::Interrupted).await;
    };
    let request = Request::of_operator(config, group, GIVES_WAY, termination);
    execute(Request { rollback: Some(rollback), ..request }, ending).await
}

/// By what is recorded: nothing where another run is in charge, which has its own end.
fn came_of_it(app: &AppName, paths: &Paths, status: ExitStatus) -> Option<Found> {
    let releases = Releases::of(&paths.app(app));
    if status == ExitStatus::Busy {
        return None;
    }
    if status == ExitStatus::Done {
        return releases.last_good().map(|record| Found::Refreshed { release: record.release });
    }
    let history = Journal::read(releases.dir()).ok().flatten();
    let why = history.and_then(|history| match history.direction() {
        Direction::Backward(failure) => Some(failure.to_string()),
        Direction::Forward => history.stuck().map(ToString::to_string),
    });
    Some(Found::Failed { why: why.unwrap_or_else(|| "handover status says how it stands".to_owned()) })
}
