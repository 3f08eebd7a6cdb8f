//! What is kept, and what goes. Only what carries our labels or stands in our records is removed, and nothing that is
//! removed or not changes how a deployment went.

use std::collections::BTreeSet;

use super::{network, one_off};
use crate::config::upkeep::KEPT;
use crate::host::Host;
use crate::host::docker::{Container, DockerError, Mounted};
use crate::model::{AppName, ImageName, ImageRef, ReleaseNumber, image_tag};
use crate::state::{Record, Releases, Verdict};
use crate::text::{amount, chain};

/// What goes, in its order: a release's record goes last, because without it the rest would never be found again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Old {
    /// Containers, by id, with their names and releases.
    pub containers: Vec<(String, String, ReleaseNumber)>,
    /// Releases, with what is theirs alone.
    pub releases: Vec<OldRelease>,
}

/// A release that goes.
#[derive(Debug, PartialEq, Eq)]
pub struct OldRelease {
    /// Its number.
    pub number: ReleaseNumber,
    /// The names of its images: it has a tag for each.
    pub names: Vec<ImageName>,
    /// Those of them that were on this instance before handover came.
    pub local: Vec<ImageName>,
    /// The images that no other release needs.
    pub images: Vec<ImageRef>,
}

/// What pruning did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What is gone, for people.
    pub removed: Vec<String>,
    /// What was left on purpose, and how to remove it.
    pub kept: Vec<String>,
    /// What could not be removed; it is tried again next time.
    pub warnings: Vec<String>,
}

/// Decides what goes. So many good releases are kept, the one that serves included: each is one unit of image, parked container,
/// configuration and record. What was refreshed is not one of its own. `at` is the release that was just worked on: it stays, also when it was refused, because its image is
/// likely to be tried again. So does a release with a container that runs, whatever it is.
pub fn old(records: &[Record], containers: &[Container], at: ReleaseNumber, keep: usize) -> Old {
    let of = |container: &Container| container.labels.as_ref().map(|labels| labels.release);
    let recorded: BTreeSet<ReleaseNumber> = records.iter().map(|record| record.release).collect();
    let is_good = |record: &&Record| record.verdict == Verdict::Good;
    // A container without a record is from before the state was lost: it was parked, so it was good.
    let unrecorded = containers.iter().filter_map(of).filter(|release| !recorded.contains(release));
    let good: BTreeSet<ReleaseNumber> =
        records.iter().filter(is_good).map(|record| record.release).chain(unrecorded).collect();
    let superseded = Record::superseded(records);
    let ways_back = good.iter().rev().filter(|release| !superseded.contains(release));
    let kept: BTreeSet<ReleaseNumber> = ways_back.take(keep).copied().collect();
    let newest = kept.last().copied();
    let refused = |release| recorded.contains(&release) && !good.contains(&release);
    let stays = |release: ReleaseNumber| kept.contains(&release) || release == at;
    let is_old = |release: ReleaseNumber| !stays(release) && (Some(release) < newest || refused(release));
    let held: BTreeSet<ReleaseNumber> =
        containers.iter().filter(|c| c.running || c.restarting).filter_map(of).collect();
    let goes = |release: &ReleaseNumber| is_old(*release) && !held.contains(release);
    let in_use: Vec<&ImageRef> =
        records.iter().filter(|r| !goes(&r.release)).flat_map(|r| r.images.values()).collect();
    Old {
        containers: containers
            .iter()
            .filter_map(|container| Some((container, of(container).filter(goes)?)))
            .map(|(container, release)| (container.id.clone(), container.name.clone(), release))
            .collect(),
        releases: records
            .iter()
            .filter(|record| goes(&record.release))
            .map(|record| {
                let images =
                    record.images.values().filter(|image| !image.is_local() && !in_use.contains(image));
                let local = record.images.iter().filter(|(_, image)| image.is_local());
                OldRelease {
                    number: record.release,
                    names: record.images.keys().cloned().collect(),
                    local: local.map(|(name, _)| name.clone()).collect(),
                    images: images.cloned().collect(),
                }
            })
            .collect(),
    }
}

/// What a release has written into volumes without a name is not removed, unless its configuration says that it may be lost.
fn volumes_to_keep<'c>(container: &'c Container, releases: &Releases) -> Vec<&'c Mounted> {
    let labels = container.labels.as_ref();
    let config = labels.and_then(|labels| releases.config(labels.release).ok().flatten());
    let its =
        config.as_ref().zip(labels).and_then(|(config, labels)| config.settings.workload(&labels.process));
    let may_go = |target: &str| its.is_some_and(|its| its.may_lose(target));
    container.mounts.iter().filter(|mount| mount.is_anonymous && !may_go(&mount.target)).collect()
}

/// How many good releases the configuration of the last good one says to keep.
fn kept_of(releases: &Releases, records: &[Record]) -> usize {
    let last = records.iter().rev().find(|record| record.verdict == Verdict::Good);
    let config = last.and_then(|record| releases.config(record.release).ok().flatten());
    config.map_or(KEPT, |config| config.settings.keep_releases)
}

/// What is asked of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only to say what would go.
    pub dry_run: bool,
    /// So many bytes are to be free where Docker keeps its images: what is kept else goes then, too, the oldest first; never what
    /// is live.
    pub min_free: Option<u64>,
}

/// Removes the releases that are not kept.
pub async fn prune(host: &Host, app: &AppName, at: ReleaseNumber, wanted: Wanted) -> Pruned {
    let releases = Releases::of(&host.paths.app(app));
    let mut keep = kept_of(&releases, &releases.records());
    let mut pruned = Pruned::default();
    if wanted.dry_run {
        if let Err(error) = tell(host, app, at, keep, &mut pruned).await {
            pruned.warnings.push(chain(&error));
        }
        return pruned;
    }
    one_off::sweep(host, app).await;
    remove_all_but(keep, host, app, at, &mut pruned).await;
    let Some(least) = wanted.min_free else { return pruned };
    loop {
        let free = match free(host).await {
            Ok(free) => free,
            Err(why) => {
                pruned.warnings.push(why);
                return pruned;
            }
        };
        if free >= least {
            return pruned;
        }
        if keep == 1 {
            pruned.warnings.push(format!(
                "{} are free where Docker keeps its images, and {} are wanted: nothing of {app} but what is live is left; 'docker system df' says what else there is",
                amount(free),
                amount(least)
            ));
            return pruned;
        }
        keep -= 1;
        remove_all_but(keep, host, app, at, &mut pruned).await;
    }
}

/// What is free where Docker keeps its images.
async fn free(host: &Host) -> Result<u64, String> {
    let engine = host.docker.engine().await.map_err(|error| chain(&error))?;
    let space = host.machine.space(&engine.images);
    space.map(|space| space.bytes).map_err(|error| format!("cannot tell what is free: {error}"))
}

/// What goes of what is here now.
struct Decided {
    old: Old,
    /// Those of the app, without its services.
    containers: Vec<Container>,
    /// The images of its services, which stay.
    of_services: BTreeSet<String>,
}

async fn decide(host: &Host, app: &AppName, at: ReleaseNumber, keep: usize) -> Result<Decided, DockerError> {
    let (services, containers) = host.docker.services_and_others(app).await?;
    let old = old(&Releases::of(&host.paths.app(app)).records(), &containers, at, keep);
    let of_services = services.into_iter().map(|service| service.image).collect();
    Ok(Decided { old, containers, of_services })
}

/// Says what would go.
async fn tell(
    host: &Host,
    app: &AppName,
    at: ReleaseNumber,
    keep: usize,
    pruned: &mut Pruned,
) -> Result<(), DockerError> {
    let Decided { old, of_services, .. } = decide(host, app, at, keep).await?;
    pruned.removed.extend(old.containers.iter().map(|(_, name, _)| format!("container {name}")));
    for release in old.releases {
        let images = release.images.iter().map(ToString::to_string);
        let images = images.filter(|image| !of_services.contains(image));
        pruned.removed.extend(images.map(|image| format!("image {image}")));
        pruned.removed.push(format!("record of {app} {}", release.number));
    }
    Ok(())
}

/// Removes the good releases but for so many, and all that were refused.
async fn remove_all_but(keep: usize, host: &Host, app: &AppName, at: ReleaseNumber, pruned: &mut Pruned) {
    let releases = Releases::of(&host.paths.app(app));
    let Decided { old, containers, of_services } = match decide(host, app, at, keep).await {
        Ok(decided) => decided,
        Err(error) => return pruned.warnings.push(chain(&error)),
    };
    let mut held = BTreeSet::new();
    for (id, name, release) in old.containers {
        let container = containers.iter().find(|container| container.id == id);
        let kept = container.map(|container| volumes_to_keep(container, &releases)).unwrap_or_default();
        let gone = if kept.is_empty() {
            host.docker.remove(&id).await
        } else {
            host.docker.remove_but_its_volumes(&id).await
        };
        match gone {
            Ok(()) => {
                pruned.removed.push(format!("container {name}"));
                pruned.kept.extend(kept.iter().map(|mount| {
                    format!(
                        "the volume of {name} at '{}' stays: docker volume rm {}, when you no longer want it",
                        mount.target, mount.source
                    )
                }));
            }
            Err(error) => {
                pruned.warnings.push(chain(&error));
                held.insert(release);
            }
        }
    }
    for mut release in old.releases.into_iter().filter(|release| !held.contains(&release.number)) {
        release.images.retain(|image| !of_services.contains(&image.to_string()));
        let images = remove_images(host, app, &release, pruned).await;
        let gone = images
            .map_err(|error| chain(&error))
            .and_then(|()| releases.retire(release.number).map_err(|error| chain(&error)));
        match gone {
            Ok(()) => pruned.removed.push(format!("record of {app} {}", release.number)),
            Err(why) => pruned.warnings.push(why),
        }
    }
    if let Err(error) = remove_shared(host, app, at, pruned).await {
        pruned.warnings.push(chain(&error));
    }
    if let Err(error) = remove_orphans(host, app, at, pruned).await {
        pruned.warnings.push(chain(&error));
    }
}

/// Removes the images that have a tag of ours for a release of which nothing is known: its records were lost, or are those of another
/// instance. As long as nothing was good here they may be of use.
async fn remove_orphans(
    host: &Host,
    app: &AppName,
    at: ReleaseNumber,
    pruned: &mut Pruned,
) -> Result<(), DockerError> {
    let releases = Releases::of(&host.paths.app(app));
    let records = releases.records();
    if !records.iter().any(|record| record.verdict == Verdict::Good) {
        return Ok(());
    }
    let containers = host.docker.containers_of(app).await?;
    let mut known: BTreeSet<ReleaseNumber> =
        containers.iter().filter_map(|container| Some(container.labels.as_ref()?.release)).collect();
    known.extend(records.iter().map(|record| record.release).chain([at]));
    known.extend(releases.numbers().unwrap_or_default());
    let ours = image_tag::repository(app);
    for image in host.docker.images_of(&ours).await? {
        let tag = |name: &String| name.strip_prefix(&ours)?.strip_prefix(':').map(str::to_owned);
        let is_orphan =
            |tag: &String| image_tag::release_of(tag).is_some_and(|release| !known.contains(&release));
        let orphans: Vec<String> = image.names.iter().filter_map(tag).filter(is_orphan).collect();
        // One that no registry has is nothing to be lost.
        if !image.names.iter().any(|name| name.contains('@') && !name.starts_with(&ours)) {
            continue;
        }
        for tag in &orphans {
            host.docker.remove_tag(&ours, tag).await?;
            pruned.removed.push(format!("image {ours}:{tag}"));
        }
        let is_orphans = |name: &String| orphans.iter().any(|tag| *name == format!("{ours}:{tag}"));
        if !orphans.is_empty() && !image.names.iter().any(|name| !name.contains('@') && !is_orphans(name)) {
            for digest in image.names.iter().filter(|name| name.contains('@')) {
                host.docker.remove_image_name(digest).await?;
            }
        }
    }
    Ok(())
}

/// Removes what the containers of releases shared that are gone: their networks and volumes.
async fn remove_shared(
    host: &Host,
    app: &AppName,
    at: ReleaseNumber,
    pruned: &mut Pruned,
) -> Result<(), DockerError> {
    let releases = Releases::of(&host.paths.app(app)).records().into_iter().map(|record| record.release);
    let mut there: BTreeSet<ReleaseNumber> = releases.chain([at]).collect();
    let containers = host.docker.containers_of(app).await?;
    there.extend(containers.iter().filter_map(|container| Some(container.labels.as_ref()?.release)));
    for network in host.docker.networks_of(app).await? {
        if !there.contains(&network.labels.release) {
            match network::remove(&host.docker, app, &network.name).await? {
                None => pruned.removed.push(format!("network {}", network.name)),
                Some(stays) => pruned.kept.push(stays),
            }
        }
    }
    for volume in host.docker.volumes_of(app).await? {
        if !there.contains(&volume.labels.release) {
            host.docker.remove_volume(&volume.name).await?;
            pruned.removed.push(format!("volume {}", volume.name));
        }
    }
    Ok(())
}

async fn remove_images(
    host: &Host,
    app: &AppName,
    release: &OldRelease,
    pruned: &mut Pruned,
) -> Result<(), DockerError> {
    let repository = image_tag::repository(app);
    for name in &release.names {
        let tag = image_tag::of_release(name, release.number);
        if release.local.contains(name) && is_last_name(host, &format!("{repository}:{tag}")).await? {
            pruned.kept.push(format!(
                "image {repository}:{tag} stays, because handover did not bring it and it has no other name: docker image rm {repository}:{tag}, when you no longer want it"
            ));
            continue;
        }
        host.docker.remove_tag(&repository, &tag).await?;
    }
    for image in &release.images {
        host.docker.remove_image(image).await?;
        pruned.removed.push(format!("image {image}"));
    }
    Ok(())
}

/// Whether an image would go with this name.
async fn is_last_name(host: &Host, name: &str) -> Result<bool, DockerError> {
    let image = host.docker.image_called(name).await?;
    Ok(image.is_some_and(|image| image.tags.iter().all(|tag| tag == name)))
}

#[cfg(test)]
mod tests;
