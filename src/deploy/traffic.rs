//! Where the clients of an app go: new connections to its published ports are given to the candidates, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpStream;

use super::context::Context;
use crate::host::Host;
use crate::host::iptables::{Iptables, IptablesError};
use crate::host::polite_close;
use crate::host::redirect::{Redirect, Route, Surroundings};
use crate::host::stall;
use crate::journal::Facts;
use crate::model::{AppName, Failure, ProcessName};
use crate::text::chain;

/// How long the kernel goes on redirecting while nobody renews it: if we are gone and live is warm, clients are back there
/// after this time at the latest.
pub(super) const LEASE: Duration = Duration::from_secs(20);

/// How long a connection through the redirect may take that is made to try it out.
const TRIAL: Duration = Duration::from_secs(5);

/// Whether everything that served when the switch began still runs: then clients can go back to it at once.
pub(super) async fn live_is_warm(context: &Context<'_>, facts: &Facts) -> Result<bool, Failure> {
    for live in facts.live.values().filter(|live| live.running) {
        if !context.host.docker.inspect(&live.id).await?.is_some_and(|live| live.running) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives new connections to the candidates. While live is `warm` the kernel ends it by itself, unless it is renewed.
pub(super) async fn give(context: &Context<'_>, facts: &Facts, warm: bool) -> Result<(), Failure> {
    let routes = routes(context, facts).await?;
    put(context, &routes, warm.then(end_of_lease)).await
}

fn end_of_lease() -> Timestamp {
    Timestamp::now().saturating_add(LEASE).unwrap_or(Timestamp::MAX)
}

/// Makes sure that connections can be redirected here, by way of a port that nobody uses. Its rules stay, for a while, until those of
/// the redirect take their place: for IPv6 they may be the first, with which the kernel begins to track connections.
pub(super) async fn try_out(context: &Context<'_>, facts: &Facts) -> Result<(), Failure> {
    // Where the rules are somewhere else, so are the ways that lead through them.
    if !context.host.tables.are_here() {
        return Ok(());
    }
    let routes = routes(context, facts).await?;
    let free = free_port().map_err(|error| Failure::because(format!("no port is free to try: {error}")))?;
    let tried: Vec<Route> = routes.iter().map(|route| Route { port: free, ..route.clone() }).collect();
    put(context, &tried, Some(end_of_lease())).await?;
    for route in &tried {
        let to = SocketAddr::new(reached_at(route.address), free);
        let why = match tokio::time::timeout(TRIAL, TcpStream::connect(to)).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", TRIAL.as_secs()),
        };
        remove(context).await?;
        return Err(Failure::with_fix(
            format!(
                "a redirect does not work on this host: a connection to {to} did not come to the candidate at {}: {why}",
                route.candidate
            ),
            "look at the rules of the firewall (iptables -t nat -S, iptables -S), or write order = \"stop-first\"",
        ));
    }
    Ok(())
}

/// New connections go where they went before. The rules by which established ones came stay until [`remove`].
pub(super) async fn take_back(context: &Context<'_>) -> Result<(), Failure> {
    let Some(iptables) = iptables(context).await? else { return Ok(()) };
    Ok(Redirect::of(&context.header.app, &iptables).unhook().await?)
}

/// Removes whatever there is of a redirect of the app.
pub(super) async fn remove(context: &Context<'_>) -> Result<(), Failure> {
    let Some(iptables) = iptables(context).await? else { return Ok(()) };
    Ok(remove_all(&context.header.app, &iptables).await?)
}

/// The rules of a redirect, and those of a polite close that nobody has ended.
async fn remove_all(app: &AppName, iptables: &Iptables) -> Result<(), IptablesError> {
    Redirect::of(app, iptables).remove().await?;
    if let Err(error) = polite_close::remove(app, iptables).await {
        // There may be no such table, and whatever is left in it lets everything through.
        tracing::warn!("failed to remove what a polite close has left: {}", chain(&error));
    }
    Ok(())
}

/// The same where no run is under way, and so nobody else would: the journal of the one that made it is lost.
pub(super) async fn sweep(host: &Host, app: &AppName) {
    if let Ok(iptables) = Iptables::any(&host.tables).await
        && let Err(error) = stall::remove(app, &iptables).await
    {
        tracing::warn!("failed to let clients in that were made to wait: {}", chain(&error));
    }
    let Ok(iptables) = Iptables::find(&host.tables).await else { return };
    if let Err(error) = remove_all(app, &iptables).await {
        tracing::warn!("failed to remove a redirect that is left: {}", chain(&error));
    }
}

/// The programs that change the rules; nothing where there are none, and so no rules of ours.
async fn iptables(context: &Context<'_>) -> Result<Option<Iptables>, Failure> {
    match Iptables::find(&context.host.tables).await {
        Ok(iptables) => Ok(Some(iptables)),
        Err(IptablesError::NoIptables | IptablesError::NotDockers) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn put(context: &Context<'_>, routes: &[Route], until: Option<Timestamp>) -> Result<(), Failure> {
    let iptables = Iptables::find(&context.host.tables).await?;
    let bridges = context.host.docker.bridges().await?;
    let redirect = Redirect::of(&context.header.app, &iptables);
    let surroundings = Surroundings { bridges, userland_proxy: iptables.has_userland_proxy() };
    Ok(redirect.put(routes, &surroundings, context.header.deployment.as_str(), until).await?)
}

/// One for each port of the host that leads to a process with a candidate, at each of its addresses.
async fn routes(context: &Context<'_>, facts: &Facts) -> Result<Vec<Route>, Failure> {
    let mut routes = vec![];
    for (process, id) in &facts.candidates {
        routes.extend(routes_to(context, process, id).await?);
    }
    Ok(routes)
}

async fn routes_to(context: &Context<'_>, process: &ProcessName, id: &str) -> Result<Vec<Route>, Failure> {
    let publish = &context.process(process)?.publish;
    let candidate = context.host.docker.inspect(id).await?.filter(|candidate| candidate.running);
    let gone = || Failure::verdict(format!("{} does not run", context.candidate_name(process)), vec![]);
    let candidate = candidate.ok_or_else(gone)?;
    let ip = candidate.ip.ok_or_else(gone)?;
    let mut routes = vec![];
    for port in publish {
        let Some(number) = port.host else { continue };
        let key = port.container_key();
        let asked =
            |address: IpAddr| port.address.is_none_or(|asked| asked == address || asked.is_unspecified());
        for bound in candidate.bound.iter().filter(|bound| bound.port == key && asked(bound.address)) {
            routes.push(Route {
                address: bound.address,
                port: number,
                candidate: SocketAddr::new(ip, port.container),
                picked: bound.host,
            });
        }
    }
    Ok(routes)
}

/// Where this host reaches a port that it publishes at an address.
fn reached_at(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}

/// A port of the host that nobody listens at.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}
