//! What another instance has left here: the image of an instance that was deployed to was started as a new one. Its images are of use, its
//! journal and its records are put aside, and its containers go, which Docker has started with the secrets of then: nothing of it
//! serves until it is deployed here.

use super::{DOCKER_PATIENCE, DeployError, OPERATORS_PATIENCE};
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::journal::{Lock, Who};
use crate::printer::Talk;
use crate::state::Home;

/// Sees to it that what is kept here is this instance's own. It may be called at any time, and any number of times.
pub async fn put_aside(host: &Host, talk: &dyn Talk) -> Result<(), DeployError> {
    let Some(id) = host.paths.instance_id() else { return Ok(()) };
    let home = Home::of(&host.paths.state);
    let owner = match home.owner()? {
        Some(owner) if owner == id => return Ok(()),
        Some(owner) => owner,
        None => return Ok(home.belongs_to(&id)?),
    };
    let apps = host.paths.apps();
    let mut locks = vec![];
    for app in &apps {
        let who = Who { deployment: None, command: "recover".to_owned(), hook: false };
        locks.push(Lock::take(&host.paths.lock, app, &who, OPERATORS_PATIENCE).await?);
    }
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
