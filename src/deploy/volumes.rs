//! The volumes of a release: what one of its containers writes and another reads, such as static files. They are filled when
//! the release is deployed, and go with it.

use std::collections::BTreeSet;

use crate::config::Settings;
use crate::host::docker::labels::ReleaseLabels;
use crate::host::docker::{Docker, DockerError, ReleaseVolume};
use crate::model::{DeploymentId, ReleaseNumber, volume_name};

/// Makes the volumes of a release that are not there.
pub(super) async fn ensure(
    docker: &Docker,
    settings: &Settings,
    release: ReleaseNumber,
    deployment: &DeploymentId,
) -> Result<(), DockerError> {
    for name in names(settings, release) {
        let (app, deployment) = (settings.app.clone(), deployment.clone());
        docker
            .create_volume(&ReleaseVolume { name, labels: ReleaseLabels { app, release, deployment } })
            .await?;
    }
    Ok(())
}

/// Those that somebody has removed, with all that was in them.
pub(super) async fn lost(
    docker: &Docker,
    settings: &Settings,
    release: ReleaseNumber,
) -> Result<Vec<String>, DockerError> {
    let mut names = names(settings, release);
    if !names.is_empty() {
        for volume in docker.volumes_of(&settings.app).await? {
            names.remove(&volume.name);
        }
    }
    Ok(names.into_iter().collect())
}

/// What Docker calls them.
pub(super) fn names(settings: &Settings, release: ReleaseNumber) -> BTreeSet<String> {
    let names = settings.release_volumes();
    names.map(|name| volume_name::of_release(&settings.app, name, release)).collect()
}
