//! A container that served and is gone: made again from what is kept of its release.

use super::containers::{self, Release};
use super::context::{Context, Gathered};
use super::{images, secrets};
use crate::host::docker::RestartPolicy;
use crate::journal::Facts;
use crate::model::{Failure, container_name};

/// Makes the old container of this id again, under the name of live, and starts it: by its release's record, configuration
/// and files, with the secrets as they are now, because an old password is a dead one. One that an earlier process has
/// made again is started.
pub(super) async fn old_container(
    id: &str,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let gone = |why: &str| Failure::because(format!("the container that served was removed, and {why}"));
    let (process, old) = facts
        .live
        .iter()
        .find(|(_, live)| live.id == id)
        .ok_or_else(|| gone("the journal does not say which one it was"))?;
    let number = old.release.ok_or_else(|| {
        let fix = format!("start {} again the way it was started before handover", old.name);
        Failure { fix, ..gone("handover did not make it, so that it cannot make it again") }
    })?;
    let docker = &context.host.docker;
    let name = container_name::live(&context.header.app, process);
    let made = docker.inspect(&name).await?.filter(|container| {
        container
            .labels
            .as_ref()
            .is_some_and(|labels| labels.app == context.header.app && labels.release == number)
    });
    let id = if let Some(made) = made {
        made.id
    } else {
        let releases = &context.releases;
        let record = releases.record(number)?.ok_or_else(|| gone("the record of its release is lost"))?;
        let config =
            releases.config(number)?.ok_or_else(|| gone("the configuration of its release is lost"))?;
        let settings = &config.settings;
        let its = settings.processes.get(process).ok_or_else(|| gone("its release has no such process"))?;
        let image =
            record.images.get(&its.image).ok_or_else(|| gone("its record does not name its image"))?;
        context.talk.say(&format!("  {name} ({number}) was removed: it is made again from its record"));
        images::pull(context, settings, &its.image, image, gathered).await?;
        let current = std::collections::BTreeMap::new();
        let secrets = secrets::read(settings, &current, context.host, &mut gathered.redactor).await?.secrets;
        let release = Release { number, deployment: &record.deployment, config: &config, releases };
        let spec = containers::spec(&release, process, image, &secrets, name.clone())?;
        gathered
            .notes
            .push(format!("{name} ({number}) had been removed, and was made again from its record"));
        docker.create(&spec).await?
    };
    // It has passed a gate before: it may come back by itself.
    docker.set_restart_policy(&id, RestartPolicy::UnlessStopped).await?;
    docker.start(&id).await?;
    Ok(())
}
