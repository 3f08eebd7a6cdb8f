//! The processes that commands of the lab run inside namespaces. `nsenter` starts them and waits: what the caller has
//! is only the way in, and a signal to it does not reach them.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::only_child;
use crate::wait::wait_until;

/// The process that a child, spawned from a command of the lab or of an instance, runs in the namespaces; as the
/// machine numbers it.
pub fn process_of(child: &Child) -> Result<u32> {
    Ok(inner(child)?.as_raw_nonzero().get().cast_unsigned())
}

/// Sends a signal (its number) to the process that a child of the lab or of an instance runs in the namespaces.
pub fn signal(child: &Child, signal: i32) -> Result<()> {
    let signal = Signal::from_named_raw(signal).context("no such signal")?;
    Ok(kill_process(inner(child)?, signal)?)
}

/// `nsenter` has just been started, perhaps: its child comes soon or never.
fn inner(child: &Child) -> Result<Pid> {
    let mut found = None;
    wait_until("the process inside", Duration::from_secs(2), || {
        found = only_child(child.id());
        Ok(found.is_some())
    })
    .context("the process has ended")?;
    found.context("the process has ended")
}
