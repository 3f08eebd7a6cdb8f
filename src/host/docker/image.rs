//! Images: which one a tag means, and how it gets here. The Engine itself talks to the registry, so its proxies,
//! certificates and mirrors apply to both.

use std::collections::HashMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptions};
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret, SecretString};

use super::{Docker, DockerError, INSPECT, REMOVE};
use crate::release::{ImageDigest, ImageRef};

/// Limits of a pull, as the ECS agent has them (agent/config): silence, and in all.
const SILENCE: Duration = Duration::from_mins(1);
/// The Engine says nothing while it unpacks a large layer, so a pull is given longer than the ECS agent's minute.
const PULL_SILENCE: Duration = Duration::from_mins(5);
const WHOLE_PULL: Duration = Duration::from_hours(2);

/// What a registry wants to see.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// Its user name; `AWS` for ECR.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Its host.
    pub host: String,
}

impl RegistryLogin {
    /// As it goes into the header `X-Registry-Auth`: never into a file, never into an argument.
    fn to_docker(&self) -> DockerCredentials {
        DockerCredentials {
            username: Some(self.user.clone()),
            password: Some(self.password.expose_secret().to_owned()),
            serveraddress: Some(self.host.clone()),
            ..DockerCredentials::default()
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

impl Docker {
    /// The digest that a tag has in its registry now.
    pub async fn resolve(
        &self,
        repository: &str,
        tag: &str,
        login: &RegistryLogin,
    ) -> Result<ImageDigest, DockerError> {
        let name = format!("{repository}:{tag}");
        let act = format!("find '{name}' in its registry");
        let answer = self
            .call(&act, SILENCE, self.client.inspect_registry_image(&name, Some(login.to_docker())))
            .await?;
        answer
            .descriptor
            .digest
            .and_then(|digest| digest.parse().ok())
            .ok_or(DockerError::Incomplete { act, what: "a digest" })
    }

    /// Whether an image is here.
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, DockerError> {
        let act = format!("inspect image '{image}'");
        match self.call(act, INSPECT, self.client.inspect_image(&image.to_string())).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pulls an image by its digest and makes sure that it is here.
    ///
    /// The Engine answers 200 before it begins and reports a failure inside the stream only.
    pub async fn pull(
        &self,
        image: &ImageRef,
        login: &RegistryLogin,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), DockerError> {
        let act = format!("pull '{image}'");
        let options =
            CreateImageOptionsBuilder::new().from_image(&image.repository).tag(image.digest.as_str()).build();
        let mut stream = Box::pin(self.client.create_image(Some(options), None, Some(login.to_docker())));
        let mut layers: HashMap<String, Progress> = HashMap::new();
        let read = async {
            loop {
                let line = match tokio::time::timeout(PULL_SILENCE, stream.next()).await {
                    Err(_) => {
                        return Err(DockerError::Slow {
                            act: format!("go on to {act}"),
                            limit: PULL_SILENCE,
                        });
                    }
                    Ok(None) => return Ok(()),
                    Ok(Some(Err(error))) => return Err(self.pull_error(&act, error)),
                    Ok(Some(Ok(line))) => line,
                };
                if let Some(message) = line.error_detail.and_then(|e| e.message) {
                    return Err(DockerError::Refused { act: act.clone(), status: 200, message });
                }
                let (Some(id), Some(detail)) = (line.id, line.progress_detail) else { continue };
                if let (Some("Downloading"), Some(done), Some(total)) =
                    (line.status.as_deref(), detail.current, detail.total)
                {
                    let bytes = |n: i64| u64::try_from(n).unwrap_or_default();
                    layers.insert(id, Progress { done: bytes(done), total: bytes(total) });
                    progress(layers.values().fold(Progress::default(), |sum, layer| Progress {
                        done: sum.done + layer.done,
                        total: sum.total + layer.total,
                    }));
                }
            }
        };
        match tokio::time::timeout(WHOLE_PULL, read).await {
            Ok(answer) => answer?,
            Err(_) => return Err(DockerError::Slow { act, limit: WHOLE_PULL }),
        }
        // The stream's end is not proof.
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
            error => self.error(act.to_owned(), error),
        }
    }

    /// Removes an image, unless a container needs it.
    pub async fn remove_image(&self, image: &ImageRef) -> Result<(), DockerError> {
        let act = format!("remove image '{image}'");
        let answer = self
            .call(act, REMOVE, self.client.remove_image(&image.to_string(), None::<RemoveImageOptions>, None))
            .await;
        match answer {
            Err(error) if !matches!(error.status(), Some(404 | 409)) => Err(error),
            _ => Ok(()),
        }
    }
}
