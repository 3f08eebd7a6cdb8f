//! `DELETE /images/{name}`.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Reply, refuse},
    images::tagged,
    reference::Reference,
    request::Request,
    world::World,
};

pub(crate) fn remove(world: &mut World, request: &Request, name: &str) -> Answer {
    request.flag("noprune")?;
    let force = request.flag("force")?;
    request.no_more_parameters()?;
    request.no_body()?;
    let Some(local) = world.local_image(name)?.cloned() else {
        return Err(refuse(404, format!("No such image: {}", tagged(name))));
    };
    let users = || world.containers.iter().filter(|c| c.image_id == local.id);
    let short = &local.id["sha256:".len()..][..12];
    let by_id = local.is_called_by_id(name);
    let names: Vec<String> = local.tags.iter().chain(&local.digests).cloned().collect();
    let single = is_single_reference(&names);
    let mut untagged = Vec::new();
    if by_id {
        if let Some(user) = users().find(|c| c.status.counts_as_running()) {
            return Err(refuse(
                409,
                format!(
                    "conflict: unable to delete {short} (cannot be forced) - image is being used by running \
                     container {}",
                    &user.id[..12]
                ),
            ));
        }
        if !single && !force {
            return Err(refuse(
                409,
                format!(
                    "conflict: unable to delete {short} (must be forced) - image is referenced in multiple \
                     repositories"
                ),
            ));
        }
        if let (Some(user), false) = (users().next(), force) {
            return Err(refuse(
                409,
                format!(
                    "conflict: unable to delete {short} (must be forced) - image is being used by stopped \
                     container {}",
                    &user.id[..12]
                ),
            ));
        }
        untagged.extend(names);
    } else {
        if let (Some(user), true, false) = (users().next(), single, force) {
            return Err(refuse(
                409,
                format!(
                    "conflict: unable to remove repository reference \"{name}\" (must force) - container {} \
                     is using its referenced image {short}",
                    &user.id[..12]
                ),
            ));
        }
        let wanted = tagged(name);
        // With the last tag of a repository go its digests.
        let repository = repository_of(&wanted);
        let in_repository = |other: &&String| repository_of(other) == repository && **other != wanted;
        let rest: Vec<_> = names.iter().filter(in_repository).cloned().collect();
        untagged.push(wanted.clone());
        if !wanted.contains('@') && rest.iter().all(|other| other.contains('@')) {
            untagged.extend(rest);
        }
    }
    let in_use = users().next().is_some();
    let at = world.local.iter().position(|other| other.id == local.id).expect("it was just found");
    let stored = &mut world.local[at];
    stored.tags.retain(|tag| !untagged.contains(tag));
    stored.digests.retain(|digest| !untagged.contains(digest));
    let mut answer: Vec<Value> = untagged.iter().map(|name| json!({ "Untagged": name })).collect();
    if stored.tags.is_empty() && stored.digests.is_empty() && !in_use {
        world.local.remove(at);
        answer.push(json!({ "Deleted": local.id }));
    }
    Ok(Reply::json(json!(answer)))
}

/// The Engine's idea of an image with one name: one tag at most, and digests of that repository only.
fn is_single_reference(names: &[String]) -> bool {
    let (digests, tags): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.contains('@'));
    let Some(first) = tags.first().or(digests.first()) else { return true };
    let repository = repository_of(first);
    names.len() == 1
        || (tags.len() <= 1
            && !digests.is_empty()
            && digests.iter().all(|digest| repository_of(digest) == repository))
}

fn repository_of(name: &str) -> Option<String> {
    Reference::parse(name).ok().map(|reference| reference.repository)
}
