//! A container that served and is gone: made again from what is kept of its release.

use std::collections::BTreeMap;

use super::containers::{self, Release};
use super::context::{Context, Gathered};
use super::{images, network, secrets, volumes};
use crate::host::docker::RestartPolicy;
use crate::host::docker::labels::Kind;
use crate::journal::{Facts, LiveContainer};
use crate::model::{Failure, ProcessName, ReleaseNumber};

/// Makes the old container of this id again, under the name of live, and starts it: by its release's record, configuration
/// and files, with the secrets as they are now, because an old password is a dead one. Whatever stands in its place is
/// started: an earlier process of ours may have made it again, or somebody by hand; or only its network was gone.
pub(super) async fn old_container(
    id: &str,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let (process, old) = facts
        .live
        .iter()
        .find(|(_, live)| live.id == id)
        .ok_or_else(|| gone("the journal does not say which one it was"))?;
    let docker = &context.host.docker;
    let id = match (in_its_place(context, process, old).await?, old.release) {
        (Some(there), _) => there,
        (None, Some(number)) => make_again(context, process, number, gathered).await?,
        (None, None) => {
            let fix = format!(
                "start it again under its name, {}, the way it was started before, then: handover recover",
                old.name
            );
            return Err(Failure { fix, ..gone("handover did not make it, so it cannot make it again") });
        }
    };
    // It has passed a gate before: it may come back by itself.
    docker.set_restart_policy(&id, RestartPolicy::UnlessStopped).await?;
    match docker.start(&id).await {
        Err(error) if error.is_not_found() && network::mend(docker, &context.releases, &id).await? => {
            Ok(docker.start(&id).await?)
        }
        answer => Ok(answer?),
    }
}

fn gone(why: &str) -> Failure {
    Failure::because(format!("the container that served was removed, and {why}"))
}

/// The container that has the name of live, or the name that the old one had.
async fn in_its_place(
    context: &Context<'_>,
    process: &ProcessName,
    old: &LiveContainer,
) -> Result<Option<String>, Failure> {
    for name in [&context.live_name(process), &old.name] {
        if let Some(there) = context.host.docker.inspect(name).await? {
            return Ok(Some(there.id));
        }
    }
    Ok(None)
}

async fn make_again(
    context: &Context<'_>,
    process: &ProcessName,
    number: ReleaseNumber,
    gathered: &mut Gathered,
) -> Result<String, Failure> {
    let (releases, name) = (&context.releases, context.live_name(process));
    let by_hand = |why: &str| {
        let fix = format!("start it again by hand under its name, {name}, then: handover recover");
        Failure { fix, ..gone(why) }
    };
    let record = releases.record(number)?.ok_or_else(|| by_hand("the record of its release is lost"))?;
    let config =
        releases.config(number)?.ok_or_else(|| by_hand("the configuration of its release is lost"))?;
    let settings = &config.settings;
    let its = settings.processes.get(process).ok_or_else(|| by_hand("its release has no such process"))?;
    let image = record
        .images
        .get(&its.workload.image)
        .ok_or_else(|| by_hand("its record does not name its image"))?;
    context.talk.say(&format!("  {name} ({number}) was removed: it is created again from its record"));
    images::pull(context, settings, number, &its.workload.image, image, gathered).await?;
    let current = BTreeMap::new();
    let secrets = secrets::read(settings, &current, context.host, &mut gathered.redactor).await?.secrets;
    if containers::check_files(settings, releases, number).is_err() {
        containers::write_files(settings, &secrets, releases, number)?;
    }
    let release =
        Release { number, deployment: &record.deployment, config: &config, releases, kept: releases };
    for lost in volumes::lost(&context.host.docker, settings, number).await? {
        gathered.notes.push(format!("volume {lost} of {number} had been removed: what was in it is lost"));
    }
    volumes::ensure(&context.host.docker, settings, number, &record.deployment).await?;
    let spec = containers::spec(&release, process, image, &secrets, name.clone(), Kind::Serve)?;
    // What removed the container may have removed its network, too.
    network::ensure(&context.host.docker, settings, number, &record.deployment).await?;
    let id = context.host.docker.create(&spec).await?;
    gathered.notes.push(format!("{name} ({number}) had been removed, and was created again from its record"));
    Ok(id)
}
