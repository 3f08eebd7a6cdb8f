//! What the tags of a bundle mean now, for `handover.pin`: asked where the bundle is made, without an Engine.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::config::pin::Pinned;
use crate::deploy::registry::Registry;
use crate::host::Host;
use crate::host::docker::Platform;
use crate::host::registry::meaning::{Meaning, meaning};
use crate::model::{Failure, ImageName, RepositoryName};
use crate::redact::Redactor;
use crate::text::clean;

/// What each tag means that a bundle names, in the repositories of all groups: one image has to be in all of them. Images that are
/// named by a digest, or are on the instance, are left out.
pub async fn pin(groups: &[(Option<String>, Settings)], host: &Host) -> Result<Vec<Pinned>, Failure> {
    let mut pins: BTreeMap<(ImageName, String), Found> = BTreeMap::new();
    for (group, settings) in groups {
        for (name, image) in &settings.images {
            if image.local.is_some() || image.pinned.is_some() {
                continue;
            }
            let key = (name.clone(), image.tag.clone());
            let known = pins.get(&key);
            let place = Place { group: group.as_deref(), settings, name, host };
            let found = place.find(&image.tag, known).await?;
            pins.entry(key).or_insert(found);
        }
    }
    let pinned = pins.into_iter().map(|((name, tag), Found { meaning, .. })| Pinned {
        name,
        tag,
        digest: meaning.digest,
        media_type: meaning.media_type,
        platforms: meaning.platforms.iter().map(Platform::to_string).collect(),
    });
    Ok(pinned.collect())
}

/// What a tag was found to mean, and where.
#[derive(Clone)]
struct Found {
    meaning: Meaning,
    repository: RepositoryName,
}

/// An image of a group.
struct Place<'a> {
    group: Option<&'a str>,
    settings: &'a Settings,
    name: &'a ImageName,
    host: &'a Host,
}

impl Place<'_> {
    /// What the tag means here; of one that is known from another group, whether this one's repository has the same image.
    async fn find(&self, tag: &str, known: Option<&Found>) -> Result<Found, Failure> {
        let mut registry = Registry::of(self.host, self.settings, self.name, None).await?;
        let repository = registry.repository.clone();
        if let Some(known) = known.filter(|known| known.repository == repository) {
            return Ok(known.clone());
        }
        let mut redactor = Redactor::default();
        let login = registry.login(self.host, &mut redactor).await?;
        let reference = known.map_or(tag, |known| known.meaning.digest.as_str());
        match meaning(&repository, reference, login.as_ref()).await {
            Ok(Some(meaning)) => Ok(Found { meaning, repository }),
            Ok(None) => Err(self.missing(&repository, tag, known)),
            Err(why) => Err(Failure::with_fix(
                format!("cannot ask for '{repository}:{tag}': {}", clean(&redactor.redact(&why))),
                format!(
                    "check [image]{} and the credentials that this runs with; of ECR they need ecr:GetAuthorizationToken and ecr:BatchGetImage on the repository",
                    self.of_group()
                ),
            )),
        }
    }

    fn missing(&self, repository: &RepositoryName, tag: &str, known: Option<&Found>) -> Failure {
        match known {
            None => Failure::with_fix(
                format!("tag '{tag}' is not in {repository}{}", self.of_group()),
                "push the image first",
            ),
            Some(known) => Failure::with_fix(
                format!(
                    "image '{}' is {} in {}, and {repository}{} does not have that",
                    self.name,
                    known.meaning.digest,
                    known.repository,
                    self.of_group()
                ),
                "push the very same image there, too (a copy between repositories keeps its digest)",
            ),
        }
    }

    fn of_group(&self) -> String {
        self.group.map_or_else(String::new, |group| format!(" of group '{group}'"))
    }
}
