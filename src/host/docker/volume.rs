//! The volumes of a release, which its containers share.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::labels::{self, ReleaseLabels};
use super::{CREATE, Docker, DockerError, INSPECT, REMOVE, gone_is_fine};
use crate::model::AppName;

/// A volume that was made for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseVolume {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub labels: ReleaseLabels,
}

impl Docker {
    /// Makes a volume, unless it is there for the same deployment.
    pub async fn create_volume(&self, volume: &ReleaseVolume) -> Result<(), DockerError> {
        let name = &volume.name;
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(volume.labels.to_map()),
            ..VolumeCreateRequest::default()
        };
        let act = format!("create volume '{name}'");
        // One of this name is the answer, whoever made it.
        let there = self.call(act, CREATE, self.client.create_volume(request)).await?;
        if ReleaseLabels::of(&there.labels).as_ref() == Some(&volume.labels) {
            return Ok(());
        }
        Err(DockerError::VolumeTaken { name: name.clone() })
    }

    /// The volumes of the releases of an app.
    pub async fn volumes_of(&self, app: &AppName) -> Result<Vec<ReleaseVolume>, DockerError> {
        let label = format!("{}={app}", labels::APP);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list volumes", INSPECT, self.client.list_volumes(Some(options))).await?;
        let of = |volume: bollard::models::Volume| {
            let labels = ReleaseLabels::of(&volume.labels)?;
            Some(ReleaseVolume { name: volume.name, labels })
        };
        Ok(listed.volumes.unwrap_or_default().into_iter().filter_map(of).collect())
    }

    /// Removes a volume that no container uses any more.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let act = format!("remove volume '{name}'");
        let options = None::<RemoveVolumeOptions>;
        gone_is_fine(self.call(act, REMOVE, self.client.remove_volume(name, options)).await)
    }
}
