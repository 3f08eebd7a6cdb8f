//! Pulls an image by its digest, and gives up when nothing arrives any more.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::{Docker, DockerError, RegistryLogin};
use crate::model::ImageRef;

/// How long the Engine may take with a registry, and how long it may be unavailable. A part of [`Docker`], so that tests need not wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To resolve a tag.
    pub answer: Duration,
    /// To the next message of a pull while it downloads.
    pub silence: Duration,
    /// The same while a layer is unpacked: then the Engine may send nothing for minutes, if the layer is large or the disk is
    /// slow. (The ECS agent has one limit for both, and its comments regret it.)
    pub unpacking: Duration,
    /// For a whole pull, all tries together.
    pub whole: Duration,
    /// Before the second try. The next ones wait longer, each twice as long.
    pub first_pause: Duration,
    /// The longest of these pauses.
    pub longest_pause: Duration,
    /// How long the Engine may be unavailable in the middle of a deployment, as while it restarts.
    pub away: Duration,
}

impl Default for Patience {
    /// Those of the ECS agent (agent/config, agent/dockerclient), but for `unpacking`.
    fn default() -> Self {
        Self {
            answer: Duration::from_mins(1),
            silence: Duration::from_mins(1),
            unpacking: Duration::from_mins(10),
            whole: Duration::from_hours(2),
            first_pause: Duration::from_millis(1_100),
            longest_pause: Duration::from_secs(5),
            away: Duration::from_mins(2),
        }
    }
}

/// How far a pull is, in bytes of the layers that are known so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Downloaded.
    pub done: u64,
    /// To be downloaded, as far as is known.
    pub total: u64,
}

/// What the Engine reported about the layers.
#[derive(Debug, Default)]
struct Layers(HashMap<String, Layer>);

#[derive(Debug, Clone, Copy, Default)]
struct Layer {
    bytes: Progress,
    /// It is downloaded, but not unpacked yet.
    to_unpack: bool,
}

impl Layers {
    /// Updates the layers by a message of the Engine; returns whether the bytes have changed.
    fn update(&mut self, line: &CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (&line.id, line.status.as_deref()) else { return false };
        let known = [
            "Pulling fs layer",
            "Waiting",
            "Downloading",
            "Verifying Checksum",
            "Download complete",
            "Extracting",
            "Pull complete",
            "Already exists",
        ];
        if !known.contains(&status) && !status.starts_with("Retrying") {
            return false;
        }
        let layer = self.0.entry(id.clone()).or_default();
        layer.to_unpack = matches!(status, "Verifying Checksum" | "Download complete" | "Extracting");
        let detail = line.progress_detail.as_ref();
        let (Some("Downloading"), Some(done), Some(total)) =
            (Some(status), detail.and_then(|d| d.current), detail.and_then(|d| d.total))
        else {
            return false;
        };
        let bytes = |n: i64| u64::try_from(n).unwrap_or_default();
        layer.bytes = Progress { done: bytes(done), total: bytes(total) };
        true
    }

    fn progress(&self) -> Progress {
        self.0.values().fold(Progress::default(), |sum, layer| Progress {
            done: sum.done + layer.bytes.done,
            total: sum.total + layer.bytes.total,
        })
    }

    fn is_unpacking(&self) -> bool {
        self.0.values().any(|layer| layer.to_unpack)
    }
}

impl Docker {
    /// Pulls an image by its digest and checks that it is on this instance.
    ///
    /// The Engine answers 200 before it begins and reports a failure inside the stream only. When this is dropped or gives
    /// up, the Engine gives up too: it cancels a pull whose client is gone, and the next pull downloads again what was not
    /// complete (seen with Docker 20.10; its connection to the registry may outlive the pull).
    pub async fn pull(
        &self,
        image: &ImageRef,
        login: Option<&RegistryLogin>,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), DockerError> {
        let act = format!("pull '{image}'");
        tracing::debug!(act, "docker");
        let options =
            CreateImageOptionsBuilder::new().from_image(&image.repository).tag(image.digest.as_str()).build();
        let login = login.map(RegistryLogin::to_docker);
        let mut stream = Box::pin(self.client.create_image(Some(options), None, login));
        let mut layers = Layers::default();
        loop {
            let unpacking = layers.is_unpacking();
            let limit = if unpacking { self.patience.unpacking } else { self.patience.silence };
            let line = match tokio::time::timeout(limit, stream.next()).await {
                Err(_) if unpacking => {
                    return Err(DockerError::Slow { act: format!("continue to unpack '{image}'"), limit });
                }
                Err(_) => return Err(DockerError::Slow { act: format!("continue to {act}"), limit }),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(self.pull_error(&act, error)),
                Ok(Some(Ok(line))) => line,
            };
            if layers.update(&line) {
                progress(layers.progress());
            }
            if let Some(message) = line.error_detail.and_then(|e| e.message) {
                return Err(DockerError::Refused { act, status: 200, message });
            }
        }
        // The end of the stream proves nothing.
        if self.has_image(image).await? {
            return Ok(());
        }
        Err(DockerError::Incomplete { act, what: "the image, although the pull ended without an error" })
    }

    fn pull_error(&self, act: &str, error: bollard::errors::Error) -> DockerError {
        match error {
            bollard::errors::Error::DockerStreamError { error } => {
                DockerError::Refused { act: act.to_owned(), status: 200, message: error }
            }
            error => DockerError::of(act.to_owned(), error, &self.socket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[(&str, &str)]) -> Layers {
        let mut layers = Layers::default();
        for (id, status) in lines {
            let line = serde_json::json!({ "id": id, "status": status, "progressDetail": { "current": 5, "total": 10 } });
            layers.update(&serde_json::from_value(line).unwrap());
        }
        layers
    }

    #[test]
    fn the_limit_is_longer_while_a_layer_is_unpacked() {
        for (lines, unpacking) in [
            (&[("v1", "Pulling from app")][..], false),
            (&[("a", "Pulling fs layer"), ("b", "Downloading")], false),
            (&[("a", "Download complete"), ("b", "Downloading")], true),
            (&[("a", "Extracting")], true),
            (&[("a", "Extracting"), ("a", "Pull complete"), ("b", "Downloading")], false),
            (&[("a", "Downloading"), ("a", "Retrying in 5 seconds")], false),
        ] {
            assert_eq!(heard(lines).is_unpacking(), unpacking, "{lines:?}");
        }
    }

    #[test]
    fn bytes_are_counted_once_for_each_layer() {
        let layers =
            heard(&[("a", "Downloading"), ("a", "Downloading"), ("b", "Downloading"), ("b", "Extracting")]);
        assert_eq!(layers.progress(), Progress { done: 10, total: 20 });
    }
}
