//! `handover hook [EVENT]`, and `handover` as `CodeDeploy` calls it.

use std::time::{Duration, Instant};

use super::bundle::Refusal;
use super::deploy::execute;
use super::ending::Ending;
use crate::codedeploy::appspec::{AppSpec, AppSpecError};
use crate::codedeploy::{Duty, Invocation};
use crate::config::{self, RequestedGroup};
use crate::deploy::Request;
use crate::deploy::clock::Clock;
use crate::exit::ExitStatus;
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
    let named =
        args.event.clone().or_else(|| std::env::var(crate::codedeploy::invocation::EVENT_VARIABLE).ok());
    if must_not_fail(named.as_deref()) {
        return nothing_to_do(&printer);
    }
    let command = named.unwrap_or_else(|| "hook".to_owned());
    let ending = Ending::of(&printer, &command, start);
    match prepare(&args, start) {
        Ok(Some(request)) => execute(request, ending).await,
        Ok(None) => nothing_to_do(&printer),
        Err(refusal) => ending.refuse(&refusal),
    }
}

/// Whether an event is one in which the OLD bundle's binary runs: it is left before anything that could fail.
pub(super) fn must_not_fail(event: Option<&str>) -> bool {
    let event = event.and_then(|event| event.parse().ok());
    event.map(crate::codedeploy::LifecycleEvent::duty) == Some(Duty::Never)
}

pub(super) fn nothing_to_do(printer: &Printer) -> ExitStatus {
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
    let config = config::load(&hook.bundle, RequestedGroup::Hook(hook.group.as_deref()))
        .map_err(|error| Refusal::of_config(&error, &hook.bundle))?;
    let refuse = |error| Refusal::of_appspec(&error, &hook.bundle);
    let spec = AppSpec::read(&hook.bundle, &hook.location).map_err(refuse)?;
    let Some(until) = spec.until(hook.event) else { return Ok(None) };
    spec.check_timeouts(&config.settings).map_err(|error| refuse(AppSpecError::Wrong(error)))?;
    let timeout = spec.timeout(hook.event);
    Ok(Some(Request {
        config,
        deployment: hook.deployment,
        group: hook.group,
        until,
        command: hook.event.to_string(),
        hook: true,
        lock_patience: LOCK_PATIENCE.min(timeout / 2),
        clock: Clock::until(start, timeout),
        termination: Termination::listen().map_err(|e| format!("failed to listen for signals: {e}"))?,
    }))
}
