//! Stop-first without a refusal: while live gives way to the new container, new connections wait.

use std::time::Duration;

use jiff::Timestamp;

use super::context::{Context, Gathered};
use super::health::judge;
use crate::host::docker::HostPort;
use crate::host::iptables::{Iptables, IptablesError};
use crate::host::stall::Stall;
use crate::journal::{Facts, LiveContainer};
use crate::model::{Failure, ProcessName};
use crate::report::{Waited, milliseconds};

/// From now on, new connections to the ports that a process has and live publishes wait, at most as long as is configured.
pub(super) async fn begin(
    context: &Context<'_>,
    facts: &Facts,
    process: &ProcessName,
) -> Result<(), Failure> {
    let its = context.process(process)?;
    let (Some(longest), Some(live)) = (its.swap.stall, facts.live.get(process)) else { return Ok(()) };
    let Some(live) = context.host.docker.inspect(&live.id).await? else { return Ok(()) };
    let is_held = |port: &&HostPort| its.publish.iter().any(|own| port.is_tcp_of(own));
    let ports: Vec<HostPort> = live.ports.iter().filter(is_held).copied().collect();
    let iptables = Iptables::any(&context.host.tables).await?;
    let stall = Stall { iptables: &iptables, app: &context.header.app, process };
    let until = Timestamp::now().saturating_add(longest).unwrap_or(Timestamp::MAX);
    Ok(stall.put(&ports, context.header.deployment.as_str(), until).await?)
}

/// From now on they come through.
pub(super) async fn end(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
) -> Result<(), Failure> {
    let_in(context, gathered, process, None).await
}

/// The same on the way back: while there is time, they wait for what served before to answer again. Whether it is healthy is
/// judged when all is put back.
pub(super) async fn end_when_live_answers(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    process: &ProcessName,
) -> Result<(), Failure> {
    let_in(context, gathered, process, facts.live.get(process)).await
}

async fn let_in(
    context: &Context<'_>,
    gathered: &mut Gathered,
    process: &ProcessName,
    first: Option<&LiveContainer>,
) -> Result<(), Failure> {
    let iptables = match Iptables::any(&context.host.tables).await {
        // So there are no rules either.
        Err(IptablesError::NoIptables) => return Ok(()),
        found => found?,
    };
    let stall = Stall { iptables: &iptables, app: &context.header.app, process };
    let until = stall.until().await?;
    if let (Some(until), Some(live)) = (until, first)
        && let Ok(left) = Duration::try_from(until.duration_since(Timestamp::now()))
        && let Some(live) = context.host.docker.inspect(&live.id).await?.filter(|live| live.running)
    {
        let answers = judge::serves_again(context, gathered, process, &live);
        if let Ok(Err(failure)) = tokio::time::timeout(left, answers).await {
            tracing::info!("clients do not wait for it any more: {failure}");
        }
    }
    stall.end().await?;
    let longest = context.process(process).ok().and_then(|its| its.swap.stall);
    if let (Some(until), Some(longest)) = (until, longest) {
        gathered.waited(waited(until, longest, Timestamp::now()));
    }
    Ok(())
}

/// By the time at which the kernel would have ended it.
fn waited(until: Timestamp, longest: Duration, now: Timestamp) -> Waited {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Waited { longest_ms: milliseconds(longest.saturating_sub(left)), ran_out: now > until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_that_the_kernel_ended_has_run_out() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (until, longest) = (at(110), Duration::from_secs(10));
        let within = waited(until, longest, at(103));
        assert_eq!(within, Waited { longest_ms: 3000, ran_out: false });
        let over = waited(until, longest, at(140));
        assert_eq!(over, Waited { longest_ms: 10_000, ran_out: true });
        let mut gathered = Gathered::default();
        for one in [over, within] {
            gathered.waited(one);
        }
        assert_eq!(gathered.waited, Some(over));
    }
}
