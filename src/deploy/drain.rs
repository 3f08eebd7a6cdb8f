//! Draining: a container that has had traffic gets the time to finish what it has, before it is stopped.

use std::time::Duration;

use tokio::time::Instant;

use super::context::{Context, Gathered};
use super::polite_close;
use super::undo::stop_or_kill;
use crate::host::conntrack;
use crate::host::docker::Container;
use crate::host::polite_close::PoliteClose;
use crate::model::{Failure, ProcessName, Swap};

/// How often its connections are counted.
const LOOK: Duration = Duration::from_millis(100);

/// How often in a row there has to be none: a packet that was sent to it before the switch may still be on its way.
const NONE: u32 = 3;

/// Lets a container finish what its clients have begun, and stops it: new connections go elsewhere by now, and established ones
/// are closed politely until it has exited. Asked to stop ourselves, we do not wait for it.
pub(super) async fn drain_and_stop(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: Option<&ProcessName>,
    container: &Container,
    within: Duration,
) -> Result<(), Failure> {
    let drained = drain(context, gathered, process, container).await;
    drained.stop(context, gathered, container, within).await
}

/// A container whose clients have had their time, or that has none.
#[derive(Default)]
pub(super) struct Drained {
    closing: Option<PoliteClose>,
}

impl Drained {
    /// Stops it. What it answers until it has exited is closed politely, too.
    pub(super) async fn stop(
        self,
        context: &Context<'_>,
        gathered: &mut Gathered,
        container: &Container,
        within: Duration,
    ) -> Result<(), Failure> {
        forget_closed(context, container).await;
        let stopped = stop_or_kill(&context.host.docker, &container.id, within, &context.termination).await;
        if let Some(closing) = self.closing {
            gathered.notes.extend(polite_close::end(closing, container).await);
        }
        Ok(stopped?)
    }
}

/// Lets the kernel forget the connections to a container that are closed, before the Engine does so. Where it cannot, neither can the
/// Engine.
async fn forget_closed(context: &Context<'_>, container: &Container) {
    let places = container.places();
    if places.is_empty() || !container.running || !context.host.tables.are_here() {
        return;
    }
    match conntrack::forget_closed(places, proxied(container)).await {
        Ok(count) => tracing::info!(container = container.name, count, "forgot closed connections"),
        Err(error) => tracing::warn!("failed to forget closed connections to {}: {error}", container.name),
    }
}

/// The ports of the host that lead to it, of TCP: at the number of another one somebody else may serve.
fn proxied(container: &Container) -> Vec<u16> {
    container.bound.iter().filter(|bound| bound.tcp().is_some()).map(|bound| bound.host).collect()
}

/// Lets a container finish what its clients have begun.
pub(super) async fn drain(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: Option<&ProcessName>,
    container: &Container,
) -> Drained {
    let mut closing = None;
    if container.running {
        match polite_close::begin(context, container).await {
            Ok(begun) => closing = begun,
            Err(note) => gathered.notes.push(note),
        }
        // A client of this host may use its port again at once, and would come back by what the kernel still knows of it.
        forget_closed(context, container).await;
        let longest = process.and_then(|process| context.settings().processes.get(process));
        let longest = longest.map_or(Swap::DRAIN, |its| its.swap.longest_drain());
        let drained = no_connections(context, container, longest);
        let _ = context.termination.unless_requested(drained).await;
    }
    Drained { closing }
}

/// Waits until no client is connected to a container, or the time is over.
async fn no_connections(context: &Context<'_>, container: &Container, longest: Duration) {
    let Some(pid) = container.pid else { return };
    let proxied = proxied(container);
    let deadline = Instant::now() + longest;
    let mut none = 0;
    while Instant::now() < deadline {
        // Where they cannot be counted, they get the time.
        let connections = context.host.machine.connections_to(pid, &proxied);
        none = if connections == Some(0) { none + 1 } else { 0 };
        if none == NONE {
            return;
        }
        tokio::time::sleep(LOOK.min(deadline - Instant::now())).await;
    }
}
