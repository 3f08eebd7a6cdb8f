//! `order`, `traffic`, `drain` and `stall` of a process: how it gives way to its next release.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use super::time_span::{LONGEST_PROBE, time_span_in};
use crate::model::container::Network;
use crate::model::{Protocol, Publish, Swap, SwapOrder, TimeSpan, Traffic};
use crate::suggest::nearest;

/// Takes what a process says of it. Nothing said: start-first wherever that can be.
pub(super) fn resolve_swap(
    process: &mut file::Process,
    publish: &[Publish],
    network: Option<&Network>,
) -> Result<Swap, Mistake> {
    let obstacle = obstacle(publish, network, process.singleton);
    let order = match process.order.take() {
        None if obstacle.is_some() => SwapOrder::StopFirst,
        None => SwapOrder::StartFirst,
        Some(written) => match (written.get_ref().as_str(), obstacle) {
            ("stop-first", _) => SwapOrder::StopFirst,
            ("start-first", None) => SwapOrder::StartFirst,
            ("start-first", Some(why)) => {
                let what = format!("order = \"start-first\" cannot be had: {why}");
                return Err(Mistake::at(written.span(), what).help("write order = \"stop-first\""));
            }
            (other, _) => {
                let what = format!("'{other}' is not an order");
                let help = nearest(other, &["stop-first", "start-first"]);
                return Err(Mistake::at(written.span(), what).help(help));
            }
        },
    };
    let traffic = match process.traffic.take() {
        None => Traffic::Auto,
        Some(written) => match written.get_ref().as_str() {
            "auto" => Traffic::Auto,
            "live" => Traffic::Live,
            "drained" => Traffic::Drained,
            other => {
                let what = format!("'{other}' says nothing about traffic");
                let help = nearest(other, &["auto", "live", "drained"]);
                return Err(Mistake::at(written.span(), what).help(help));
            }
        },
    };
    let drain = time_span_in(process.drain.take(), Duration::ZERO..=LONGEST_PROBE, Swap::DRAIN)?;
    let stall = process.stall.take().map(|written| resolve_stall(&written, order, publish)).transpose()?;
    Ok(Swap { order, traffic, drain, stall })
}

/// Clients give up after a while; and what takes longer than this is no pause any more.
const STALL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(1);

fn resolve_stall(
    written: &Spanned<TimeSpan>,
    order: SwapOrder,
    publish: &[Publish],
) -> Result<Duration, Mistake> {
    let cannot = |why: &str, help: &str| {
        Err(Mistake::at(written.span(), format!("stall cannot be had: {why}")).help(help))
    };
    if order == SwapOrder::StartFirst {
        return cannot("under start-first nobody has to wait", "remove it, or write order = \"stop-first\"");
    }
    if !publish.iter().any(|port| port.protocol == Protocol::Tcp && port.host.is_some()) {
        return cannot("it publishes no port of TCP at which clients could be made to wait", "remove it");
    }
    time_span_in(Some(written.clone()), STALL, Duration::ZERO)
}

/// Why a process cannot be started beside the old one while clients are moved over.
fn obstacle(publish: &[Publish], network: Option<&Network>, singleton: bool) -> Option<&'static str> {
    if singleton {
        return Some("there are never two of a singleton");
    }
    if network.is_some_and(|network| !network.can_publish()) {
        return Some("on the host's network two cannot listen on one port");
    }
    if publish.is_empty() {
        return Some("it publishes no port, so there are no clients to move over");
    }
    if publish.iter().any(|port| port.protocol != Protocol::Tcp) {
        return Some("only connections of TCP can be moved over");
    }
    if publish.iter().any(|port| port.host.is_none()) {
        return Some("a port that Docker picks is another one for each container");
    }
    None
}

/// How long the candidate is watched under traffic before the old release is stopped.
pub(super) fn resolve_bake(written: Option<file::Bake>) -> Result<Duration, Mistake> {
    const DEFAULT: Duration = Duration::from_secs(30);
    let written = written.and_then(|bake| bake.duration);
    time_span_in(written, Duration::ZERO..=LONGEST_PROBE, DEFAULT)
}
