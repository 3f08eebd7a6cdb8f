//! What is kept, and what goes. Only what carries our labels or stands in our records is removed, and nothing that is
//! removed or not changes how a deployment went.

use std::collections::BTreeSet;

use crate::host::Host;
use crate::release::{AppName, ImageRef, ReleaseNumber};
use crate::report::text::chain;
use crate::state::{Releases, Verdict};

/// How many good releases are kept, the one that serves included. A kept release is one unit: image, parked container,
/// configuration, record.
pub const KEPT: usize = 3;

/// Removes the releases that are not kept. Returns what could not be removed; it is tried again next time.
///
/// The release that was just `at` work stays, also when it was refused: its image is likely to be tried again.
pub async fn prune(host: &Host, app: &AppName, at: ReleaseNumber) -> Vec<String> {
    let releases = Releases::of(&host.paths.app(app));
    let records = releases.records();
    let containers = match host.docker.containers_of(app).await {
        Ok(containers) => containers,
        Err(error) => return vec![chain(&error)],
    };
    // A container without a record is from before the state was lost: it was parked, so it was good.
    let recorded: BTreeSet<ReleaseNumber> = records.iter().map(|record| record.release).collect();
    let unrecorded = containers.iter().filter_map(|c| c.labels.as_ref().map(|labels| labels.release));
    let good = records.iter().filter(|record| record.verdict == Verdict::Good).map(|record| record.release);
    let good: BTreeSet<ReleaseNumber> =
        good.chain(unrecorded.filter(|release| !recorded.contains(release))).collect();
    let kept: BTreeSet<ReleaseNumber> = good.into_iter().rev().take(KEPT).collect();
    let newest = kept.last().copied();
    let refused: BTreeSet<ReleaseNumber> = records
        .iter()
        .filter(|record| record.verdict != Verdict::Good)
        .map(|record| record.release)
        .collect();
    let is_old = |release: ReleaseNumber| {
        release != at && !kept.contains(&release) && (Some(release) < newest || refused.contains(&release))
    };
    let stays = |release: &ReleaseNumber| kept.contains(release) || *release == at;
    let in_use: Vec<&ImageRef> =
        records.iter().filter(|r| stays(&r.release)).filter_map(|r| r.image.as_ref()).collect();

    let mut warnings = Vec::new();
    let mut held = BTreeSet::new();
    for container in &containers {
        let Some(release) = container.labels.as_ref().map(|l| l.release).filter(|r| is_old(*r)) else {
            continue;
        };
        if container.running || container.restarting {
            held.insert(release);
        } else if let Err(error) = host.docker.remove(&container.id).await {
            warnings.push(chain(&error));
            held.insert(release);
        }
    }
    // The record goes last: without it the rest would never be found again.
    for record in records.iter().filter(|r| is_old(r.release) && !held.contains(&r.release)) {
        if let Some(image) = record.image.as_ref().filter(|image| !in_use.contains(image))
            && let Err(error) = host.docker.remove_image(image).await
        {
            warnings.push(chain(&error));
            continue;
        }
        warnings.extend(releases.remove(record.release).err().map(|e| chain(&e)));
    }
    warnings
}
