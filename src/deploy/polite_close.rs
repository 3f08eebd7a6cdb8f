//! Keep-alive connections of a container that drains are closed politely, where that can be done; where not, it is a note: a
//! deployment does not fail for it.

use super::context::Context;
use crate::host::docker::Container;
use crate::host::iptables::Iptables;
use crate::host::polite_close::{PoliteClose, PoliteCloseError, Tally};
use crate::text::chain;

/// Begins to close the connections to the ports that a container publishes. Fails with a note.
pub(super) async fn begin(
    context: &Context<'_>,
    container: &Container,
) -> Result<Option<PoliteClose>, String> {
    let places = container.places();
    let Some(pid) = container.pid.filter(|_| !places.is_empty() && context.host.tables.are_here()) else {
        return Ok(None);
    };
    let (app, deployment) = (&context.header.app, context.header.deployment.as_str());
    let begun = async {
        let iptables = Iptables::find(&context.host.tables).await?;
        let process = (context.host.machine.proc(), pid);
        PoliteClose::begin(app, deployment, iptables, &places, process).await
    };
    begun.await.map(Some).map_err(|error: PoliteCloseError| {
        format!(
            "{}: connections that are kept alive are not closed politely, and their clients may lose a request: {}",
            container.name,
            chain(&error)
        )
    })
}

/// Ends it. What could not be closed is a note.
pub(super) async fn end(closing: PoliteClose, container: &Container) -> Option<String> {
    match closing.end().await {
        Ok(tally) => {
            tracing::info!(container = container.name, ?tally, "polite close");
            note(&container.name, &tally)
        }
        Err(error) => Some(format!("{}: rules for packets are left: {}", container.name, chain(&error))),
    }
}

/// What some of the connections are.
fn note(container: &str, tally: &Tally) -> Option<String> {
    let Tally { closed, closed_by_itself, unreadable, upgraded, no_room, unanswered } = *tally;
    let others = [
        (unreadable, "encrypted in the container, or HTTP/2"),
        (upgraded, "upgraded, such as a WebSocket"),
        (no_room, "without a line to spare in a response"),
        (unanswered, "without an answer of HTTP/1 in time"),
    ];
    let missed: usize = others.iter().map(|(count, _)| count).sum();
    if missed == 0 {
        return None;
    }
    let others = others.iter().filter(|(count, _)| *count > 0);
    let others: Vec<String> = others.map(|(count, what)| format!("{count} {what}")).collect();
    Some(format!(
        "{container}: {missed} of {} connections could not be told to close, and their clients may lose a request: {}",
        missed + closed + closed_by_itself,
        others.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_lose_a_request_is_worth_a_note() {
        let good = Tally { closed: 20, closed_by_itself: 4, ..Tally::default() };
        assert_eq!(note("web", &good), None);
        insta::assert_snapshot!(note("web", &Tally { unreadable: 2, upgraded: 1, ..good }).unwrap(), @"web: 3 of 27 connections could not be told to close, and their clients may lose a request: 2 encrypted in the container, or HTTP/2, 1 upgraded, such as a WebSocket");
    }
}
