//! Settling: the new release becomes plain Docker, the old one is parked. By the ledger of restart policies a reboot
//! brings back a release that works at every line of this file.

use super::StepError;
use super::switch::{new_id, policy_as_it_is};
use crate::deploy::run::Run;
use crate::host::docker::RestartPolicy;
use crate::journal::{Fact, Inverse};
use crate::release::{ProcessName, ReleaseNumber, container_name};

async fn policy_of(run: &Run<'_>, id: &str) -> Result<Vec<Inverse>, StepError> {
    Ok(policy_as_it_is(run.host.docker.inspect(id).await?))
}

pub(super) async fn inverse_of_keep(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Inverse>, StepError> {
    policy_of(run, &new_id(run, process)?).await
}

/// First the new container comes back by itself …
pub(super) async fn keep(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let id = new_id(run, process)?;
    run.host.docker.set_restart_policy(&id, RestartPolicy::UnlessStopped).await?;
    Ok(vec![])
}

pub(super) async fn inverse_of_release(
    run: &Run<'_>,
    process: &ProcessName,
) -> Result<Vec<Inverse>, StepError> {
    match run.old(process) {
        Some((id, _)) => policy_of(run, &id).await,
        None => Ok(vec![]),
    }
}

/// … then the old one no longer does.
pub(super) async fn release(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    if let Some((old, _)) = run.old(process) {
        run.host.docker.set_restart_policy(&old, RestartPolicy::No).await?;
    }
    Ok(vec![])
}

pub(super) async fn inverse_of_park(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Inverse>, StepError> {
    let old = named_live(run, process).await?;
    Ok(old.map(|(id, _)| Inverse::Rename { id, to: run.live_name(process) }).into_iter().collect())
}

/// One that was made by somebody else under another name keeps it: its makers know it by that.
pub(super) async fn park(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    if let Some((id, release)) = named_live(run, process).await? {
        let parked = container_name::of_release(&run.config.settings.app, process, release);
        run.host.docker.rename(&id, &parked).await?;
    }
    Ok(vec![])
}

/// The old container, if it still has the live name.
async fn named_live(
    run: &Run<'_>,
    process: &ProcessName,
) -> Result<Option<(String, ReleaseNumber)>, StepError> {
    let Some((id, release)) = run.old(process) else { return Ok(None) };
    let old = run.host.docker.inspect(&id).await?;
    Ok(old.filter(|old| old.name == run.live_name(process)).map(|_| (id, release)))
}

pub(super) fn inverse_of_promote(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Inverse>, StepError> {
    Ok(vec![Inverse::Rename { id: new_id(run, process)?, to: run.new_name(process) }])
}

pub(super) async fn promote(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let id = new_id(run, process)?;
    run.host.docker.rename(&id, &run.live_name(process)).await?;
    Ok(vec![])
}
