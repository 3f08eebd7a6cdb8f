//! What is kept, and what goes. Only what carries our labels or stands in our records is removed, and nothing that is
//! removed or not changes how a deployment went.

use std::collections::BTreeSet;

use crate::host::Host;
use crate::release::{AppName, ImageRef, ReleaseNumber};
use crate::state::{Releases, Verdict};

/// How many good releases are kept, the one that serves included. A kept release is one unit: image, parked container,
/// configuration, record.
pub const KEPT: usize = 3;

/// Removes the releases that are not kept. Returns what could not be removed.
pub async fn prune(host: &Host, app: &AppName) -> Vec<String> {
    let releases = Releases::of(&host.paths.app(app));
    let records = releases.records();
    let good = records.iter().rev().filter(|record| record.verdict == Verdict::Good);
    let kept: BTreeSet<ReleaseNumber> = good.take(KEPT).map(|record| record.release).collect();
    // Without a single good release on record the state may be lost: then nothing is known to be old.
    let Some(newest) = kept.last().copied() else { return vec![] };
    let in_use: Vec<&ImageRef> =
        records.iter().filter(|r| kept.contains(&r.release)).filter_map(|r| r.image.as_ref()).collect();
    let mut warnings = Vec::new();

    let containers = match host.docker.containers_of(app).await {
        Ok(containers) => containers,
        Err(error) => return vec![error.to_string()],
    };
    for container in containers {
        let release = container.labels.as_ref().map(|labels| labels.release);
        let old = release.is_some_and(|release| release < newest && !kept.contains(&release));
        if old && !container.running && !container.restarting {
            warnings.extend(host.docker.remove(&container.id).await.err().map(|e| e.to_string()));
        }
    }
    for record in records.iter().filter(|record| record.release < newest && !kept.contains(&record.release)) {
        if let Some(image) = record.image.as_ref().filter(|image| !in_use.contains(image)) {
            warnings.extend(host.docker.remove_image(image).await.err().map(|e| e.to_string()));
        }
        warnings.extend(releases.remove(record.release).err().map(|e| e.to_string()));
    }
    warnings
}
