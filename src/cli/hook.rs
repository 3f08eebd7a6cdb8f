//! `handover hook [EVENT]`, and `handover` as `CodeDeploy` calls it.

use std::time::{Duration, Instant};

use super::bundle::Refusal;
use super::deploy::execute;
use super::ending::Ending;
use crate::codedeploy::appspec::{AppSpec, AppSpecError};
use crate::codedeploy::invocation::{DEPLOYMENT_VARIABLE, EVENT_VARIABLE};
use crate::codedeploy::{Duty, Invocation, LifecycleEvent, blocked};
use crate::config::{self, RequestedGroup};
use crate::deploy::Request;
use crate::deploy::clock::Clock;
use crate::exit::ExitStatus;
use crate::host::Paths;
use crate::printer::Printer;
use crate::signal::Termination;
use crate::text::chain;

/// `handover hook`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The lifecycle event; LIFECYCLE_EVENT's by default
    pub(super) event: Option<String>,
}

/// The longest wait for another run's lock. It ends well before the hook's own timeout.
const LOCK_PATIENCE: Duration = Duration::from_mins(5);

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(true);
    // CodeDeploy's agents set no working directory; it may even have been deleted.
    let _ = std::env::set_current_dir("/");
    let named = args.event.clone().or_else(|| std::env::var(EVENT_VARIABLE).ok());
    if let Some(done) = at_once(named.as_deref()) {
        return done;
    }
    let command = named.unwrap_or_else(|| "hook".to_owned());
    let ending = Ending::of(&printer, &command, start);
    match prepare(&args, start) {
        Ok(Some(request)) => execute(request, ending).await,
        Ok(None) => nothing_to_do(&printer),
        Err(refusal) => ending.refuse(&refusal),
    }
}

/// An event in which the OLD bundle's binary runs is left before anything that could fail; all that is done is a note for the
/// hooks that follow.
pub(super) fn at_once(event: Option<&str>) -> Option<ExitStatus> {
    let event: LifecycleEvent = event?.parse().ok()?;
    if event.duty() != Duty::Never {
        return None;
    }
    if matches!(event, LifecycleEvent::BeforeBlockTraffic | LifecycleEvent::AfterBlockTraffic) {
        note_that_traffic_is_blocked();
    }
    Some(nothing_to_do(&Printer::new(true)))
}

fn note_that_traffic_is_blocked() {
    if let Some(deployment) = std::env::var(DEPLOYMENT_VARIABLE).ok().and_then(|id| id.parse().ok()) {
        let paths = Paths::of_the_system();
        blocked::remember(&paths.lock, &paths.state, &deployment);
    }
}

fn nothing_to_do(printer: &Printer) -> ExitStatus {
    printer.line("handover: done: nothing to do in this event");
    ExitStatus::Done
}

fn prepare(args: &Args, start: Instant) -> Result<Option<Request>, Refusal> {
    let exe = std::env::current_exe().map_err(|e| format!("failed to find this executable: {e}"))?;
    let hook = Invocation::read(|name| std::env::var(name).ok(), &exe, args.event.as_deref())
        .map_err(|e| chain(&e))?;
    if hook.event.duty() == Duty::Nothing {
        return Ok(None);
    }
    let mut config = config::load(&hook.bundle, RequestedGroup::Hook(hook.group.as_deref()))
        .map_err(|error| Refusal::of_config(&error, &hook.bundle))?;
    if blocked::is_blocked(&Paths::of_the_system().lock, &hook.deployment) {
        config.settings.without_clients();
    }
    let refuse = |error| Refusal::of_appspec(&error, &hook.bundle);
    let spec = AppSpec::read(&hook.bundle, &hook.location).map_err(refuse)?;
    let Some(until) = spec.until(hook.event) else { return Ok(None) };
    spec.check_timeouts(&config.settings).map_err(|error| refuse(AppSpecError::Wrong(error)))?;
    let timeout = spec.timeout(hook.event);
    Ok(Some(Request {
        config,
        deployment: hook.deployment,
        group: hook.group,
        revision: hook.revision,
        rollback: None,
        until,
        command: hook.event.to_string(),
        hook: true,
        lock_patience: LOCK_PATIENCE.min(timeout / 2),
        clock: Clock::until(start, timeout),
        termination: Termination::listen().map_err(|e| format!("failed to listen for signals: {e}"))?,
    }))
}
