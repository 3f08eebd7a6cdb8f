//! Images that handover has nothing to do with, on a machine whose disk they fill: a runner that builds and pushes all day. Only
//! when somebody asks for it, and only of the repository that is named.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::retention::Pruned;
use super::{DeployError, OPERATORS_PATIENCE};
use crate::host::Host;
use crate::host::docker::StoredImage;
use crate::journal::{Lock, Who};
use crate::model::image_tag;
use crate::text::chain;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The repository, as `docker image ls` writes it.
    pub repository: String,
    /// Younger ones stay: somebody may be about to push or to start them.
    pub older_than: Duration,
    /// Only to say what would go.
    pub dry_run: bool,
}

/// Takes the names of a repository away from its old images: what has no other name, and no container, is gone then. No deployment
/// runs meanwhile, which may have pulled an image that it has not named yet.
pub async fn prune_foreign(wanted: &Foreign, host: &Host) -> Result<Pruned, DeployError> {
    let who = Who { deployment: None, command: "prune".to_owned(), hook: false };
    let _locks = Lock::take_all(&host.paths.lock, &host.paths.apps(), &who, OPERATORS_PATIENCE).await?;
    let containers = host.docker.everything().await?;
    let in_use: BTreeSet<&str> = containers.iter().map(|listed| listed.image_id.as_str()).collect();
    let mut pruned = Pruned::default();
    for image in host.docker.images_of(&wanted.repository).await? {
        let age = Timestamp::now().duration_since(image.since);
        let is_young = Duration::try_from(age).map_or(true, |age| age < wanted.older_than);
        let names = names_to_take(&image, &wanted.repository);
        let is_ours = image.names.iter().any(|name| name.starts_with(image_tag::REPOSITORIES));
        if is_young || is_ours || in_use.contains(image.id.as_str()) {
            continue;
        }
        for name in names {
            let gone = if wanted.dry_run { Ok(()) } else { host.docker.remove_image_name(&name).await };
            match gone {
                Ok(()) => pruned.removed.push(format!("image {name}")),
                Err(error) => pruned.warnings.push(chain(&error)),
            }
        }
    }
    Ok(pruned)
}

/// Its tags in the repository; where it has none, its digest there. With its last tag the Engine removes a digest, too.
fn names_to_take(image: &StoredImage, repository: &str) -> Vec<String> {
    let of = |name: &&String, separator: char| {
        name.strip_prefix(repository).is_some_and(|rest| rest.starts_with(separator) && !rest.contains('/'))
    };
    let tags: Vec<String> = image.names.iter().filter(|name| of(name, ':')).cloned().collect();
    if tags.is_empty() { image.names.iter().filter(|name| of(name, '@')).cloned().collect() } else { tags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_repository_are_taken() {
        let named = |names: &[&str]| StoredImage {
            id: "sha256:1".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            since: Timestamp::UNIX_EPOCH,
        };
        let taken = |names: &[&str]| names_to_take(&named(names), "registry:5000/web");
        assert_eq!(
            taken(&["registry:5000/web:1", "registry:5000/web@sha256:0a", "web:1"]),
            ["registry:5000/web:1"]
        );
        assert_eq!(taken(&["registry:5000/web@sha256:0a"]), ["registry:5000/web@sha256:0a"]);
        assert_eq!(taken(&["registry:5000/web-front:1", "registry:5000/web/x:1", "web:1"]), [""; 0]);
    }
}
