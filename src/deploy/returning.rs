//! A revision that comes back, with a tag that nobody has pinned. `CodeDeploy` rolls back by deploying the former revision once more, and
//! by then the tag may mean the image that was just refused: so what was seen here before means what it meant then.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::host::Host;
use crate::host::aws::AwsError;
use crate::journal::Returned;
use crate::model::{DeploymentId, ImageDigest, ImageName, Revision};
use crate::state::{Record, Releases, Verdict};
use crate::text::chain;

/// Who creates the deployments by which `CodeDeploy` rolls back (`GetDeployment`, `creator`).
const ROLLBACK: &str = "codeDeployRollback";

/// What a revision is here.
#[derive(Debug, PartialEq, Eq)]
enum Seen<'r> {
    /// New, or nothing is known of what its tags meant.
    New,
    /// Another one was deployed since: this is the last release of it that was good.
    Before(&'r Record),
    /// The newest: the release by which it was refused the last time, if it was, and the last one of it that was good, if one was.
    Newest {
        /// By which it was refused.
        refused: Option<&'r Record>,
        /// That was good.
        good: Option<&'r Record>,
    },
}

/// What the tags of a deployment mean, where it is one of a revision that was here before; and what is worth knowing.
pub(super) async fn of(
    revision: &Revision,
    deployment: &DeploymentId,
    settings: &Settings,
    host: &Host,
) -> (Option<Returned>, Option<String>) {
    if revision.is_unknown() || unpinned(settings).next().is_none() {
        return (None, None);
    }
    let state = host.paths.app(&settings.app);
    let records: Vec<Record> = Releases::of(&state).every_record().into_values().collect();
    let (refused, good) = match seen(revision, &records) {
        Seen::New => return (None, None),
        Seen::Before(then) => {
            let why = format!("this revision was deployed here before, as {}", then.release);
            return returned(then, settings, &why);
        }
        Seen::Newest { refused, good } => (refused, good),
    };
    let what = match refused {
        Some(refused) => format!("this revision was refused here a while ago, as {}", refused.release),
        // A rollback comes to every instance, also to those that never saw what is gone back from.
        None => "this revision was deployed here before".to_owned(),
    };
    match (creator(deployment, settings, host).await, good) {
        (Ok(creator), Some(then)) if creator == ROLLBACK => {
            let why =
                format!("{what}, and CodeDeploy rolls back to it: it was {} when it was good", then.release);
            returned(then, settings, &why)
        }
        (Ok(creator), None) if creator == ROLLBACK => (
            None,
            Some(format!(
                "{what}, and CodeDeploy rolls back to it: nothing is known of what its tags meant before, so they are asked for anew"
            )),
        ),
        (Err(error), _) if refused.is_some() => (
            None,
            Some(format!(
                "{what}; whether CodeDeploy rolls back to it cannot be asked, so its tags are asked for anew ({}); pin the bundle (handover pin), or allow codedeploy:GetDeployment",
                chain(&error)
            )),
        ),
        (Err(error), _) => {
            tracing::warn!("whether CodeDeploy rolls back cannot be asked: {}", chain(&error));
            (None, None)
        }
        (Ok(_), _) => (None, None),
    }
}

fn seen<'r>(revision: &Revision, records: &'r [Record]) -> Seen<'r> {
    let known = |record: &&Record| !record.revision.is_unknown();
    let of_it = |record: &&Record| record.revision == *revision;
    let is_good = |record: &&Record| matches!(record.verdict, Verdict::Good | Verdict::Unchanged { .. });
    let Some(newest) = records.iter().rev().find(known) else { return Seen::New };
    let good = records.iter().rev().filter(of_it).find(is_good).filter(|record| !record.images.is_empty());
    if newest.revision != *revision {
        return good.map_or(Seen::New, Seen::Before);
    }
    Seen::Newest {
        refused: Some(newest).filter(|newest| matches!(newest.verdict, Verdict::Refused { .. })),
        good,
    }
}

/// The images of which the bundle leaves open what they are.
fn unpinned(settings: &Settings) -> impl Iterator<Item = (&ImageName, &String)> {
    let open = settings.images.iter().filter(|(_, source)| source.pinned.is_none() && source.local.is_none());
    open.map(|(name, source)| (name, &source.tag))
}

fn returned(then: &Record, settings: &Settings, why: &str) -> (Option<Returned>, Option<String>) {
    let known = unpinned(settings).filter(|(name, tag)| then.tags.get(*name) == Some(tag));
    let images: BTreeMap<ImageName, ImageDigest> = known
        .filter_map(|(name, _)| {
            Some((name.clone(), then.images.get(name).filter(|image| !image.is_local())?.digest.clone()))
        })
        .collect();
    if images.is_empty() {
        return (None, None);
    }
    let digests: Vec<&str> = images.values().map(ImageDigest::short).collect();
    let note = format!("{why}: its tags mean what they meant then, {}", digests.join(" and "));
    (Some(Returned { to: then.release, images }), Some(note))
}

async fn creator(deployment: &DeploymentId, settings: &Settings, host: &Host) -> Result<String, AwsError> {
    let aws = host.aws.get().await?;
    aws.creator_of(deployment.as_str(), &aws.region(settings.default_image()).await?).await
}

/// Lets the tags of a run mean what they meant.
pub(super) fn apply(returned: Option<&Returned>, settings: &mut Settings) {
    for (name, digest) in returned.into_iter().flat_map(|returned| &returned.images) {
        if let Some(source) = settings.images.get_mut(name) {
            source.pinned.get_or_insert_with(|| digest.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(etag: &str) -> Revision {
        Revision { etag: Some(etag.to_owned()), ..Revision::default() }
    }

    /// Records of these revisions, whether each was good.
    fn records(all: &[(&str, bool)]) -> Vec<Record> {
        let one = |(n, (etag, good)): (usize, &(&str, bool))| {
            let image = format!("sha256:{}", format!("{n:x}").repeat(64));
            let record = serde_json::json!({
                "format": 1, "release": n + 1, "deployment": "d-1", "verdict": "good", "at": "1970-01-01T00:00:00Z",
                "revision": revision(etag), "images": { "default": { "repository": "r/web", "digest": image } },
            });
            let record: Record = serde_json::from_value(record).unwrap();
            let refused = Verdict::Refused { cause: "it was not healthy".to_owned() };
            Record { verdict: if *good { Verdict::Good } else { refused }, ..record }
        };
        all.iter().enumerate().map(one).collect()
    }

    #[test]
    fn what_was_here_before_is_told_from_what_is_tried_again() {
        let number = |record: &Record| record.release.0;
        let told = |all: &[(&str, bool)]| match seen(&revision("a"), &records(all)) {
            Seen::New => "new".to_owned(),
            Seen::Before(then) => format!("before {}", number(then)),
            Seen::Newest { refused, good } => {
                format!("newest, refused {:?} good {:?}", refused.map(number), good.map(number))
            }
        };
        for (all, expected) in [
            (&[][..], "new"),
            (&[("b", true)], "new"),
            (&[("a", true)], "newest, refused None good Some(1)"),
            (&[("a", true), ("b", false)], "before 1"),
            (&[("a", true), ("a", true), ("b", true)], "before 2"),
            (&[("a", false), ("b", true)], "new"),
            (&[("a", true), ("a", false)], "newest, refused Some(2) good Some(1)"),
            (&[("a", false)], "newest, refused Some(1) good None"),
            (&[("a", true), ("b", true), ("a", false)], "newest, refused Some(3) good Some(1)"),
        ] {
            assert_eq!(told(all), expected, "{all:?}");
        }
    }
}
