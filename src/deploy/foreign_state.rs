//! What another instance has left here: the image of an instance that was deployed to was started as a new one. Its images are of use, its
//! journal and its records are put aside, and its containers go, which Docker has started with the secrets of then: nothing of it
//! serves until it is deployed here.

use std::time::Duration;

use super::{DOCKER_PATIENCE, DeployError};
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::journal::{Lock, Who};
use crate::printer::Talk;
use crate::state::Home;

/// Sees to it that what is kept here is this instance's own. It may be called at any time, and any number of times.
/// Whoever is at it already is waited for as long as `patience`.
pub async fn put_aside(host: &Host, talk: &dyn Talk, patience: Duration) -> Result<(), DeployError> {
    let Some(id) = host.paths.instance_id() else { return Ok(()) };
    let home = Home::of(&host.paths.state);
    let foreign = || match home.owner()? {
        Some(owner) => Ok::<_, DeployError>(Some(owner).filter(|owner| *owner != id)),
        None => home.belongs_to(&id).map(|()| None).map_err(DeployError::from),
    };
    if foreign()?.is_none() {
        return Ok(());
    }
    let who = Who { deployment: None, command: "recover".to_owned(), hook: false };
    let _locks = Lock::take_all(&host.paths.lock, &host.paths.apps(), &who, patience).await?;
    // Who held them may have done it.
    let Some(owner) = foreign()? else { return Ok(()) };
    let apps = host.paths.apps();
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    talk.say(&format!("handover: what is here is that of instance {owner}, and this is {id}: an image of that one was started"));
    remove_containers(host, talk).await?;
    for app in &apps {
        let to = home.put_aside(app, &owner)?;
        talk.say(&format!("  {app}: journal and records are put aside: {}", to.display()));
    }
    // Last: whoever is interrupted does it again.
    Ok(home.belongs_to(&id)?)
}

/// Services keep what they have.
async fn remove_containers(host: &Host, talk: &dyn Talk) -> Result<(), DeployError> {
    for container in host.docker.all_ours().await? {
        if container.labels.as_ref().is_none_or(|labels| labels.kind == Kind::Service) {
            continue;
        }
        if container.running {
            host.docker.stop(&container.id, container.stop_timeout).await?;
        }
        // What is in its volumes may be wanted.
        host.docker.remove_but_its_volumes(&container.id).await?;
        talk.say(&format!("  container {} is removed, which had the secrets of then", container.name));
    }
    Ok(())
}
