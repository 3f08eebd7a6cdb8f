//! Images: the digest of a tag, and the images on this instance. The Engine itself talks to the registry, so its proxies,
//! certificates and mirrors apply.

use std::fmt;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Docker, DockerError, HealthCommand, INSPECT, REMOVE, gone_is_fine};
use crate::model::{ImageDigest, ImageRef};

/// The login of a registry.
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
    pub(super) fn to_docker(&self) -> DockerCredentials {
        // Docker Hub has a separate address for logins. With containerd's image store the Engine sends a login to no
        // other host.
        let address = if self.host == "docker.io" { "https://index.docker.io/v1/" } else { &self.host };
        DockerCredentials {
            username: Some(self.user.clone()),
            password: Some(self.password.expose_secret().to_owned()),
            serveraddress: Some(address.to_owned()),
            ..DockerCredentials::default()
        }
    }
}

/// The platform of an image, or of this machine, in Go's notation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl Platform {
    /// Whether an image for `self` runs on a machine of this platform. As the Engine decides (containerd's `platforms`):
    /// the 64-bit machines also take what is for their 32-bit ancestors. Variants (`v7`, `v8`) are left to it.
    pub fn runs_on(&self, machine: &Self) -> bool {
        let same = self.architecture == machine.architecture;
        let ancestor = [("386", "amd64"), ("arm", "arm64")]
            .contains(&(self.architecture.as_str(), machine.architecture.as_str()));
        self.os == machine.os && (same || ancestor)
    }

    /// One that is known: an index also lists what is no image, such as attestations.
    pub fn of(os: Option<String>, architecture: Option<String>) -> Option<Self> {
        let said = |word: Option<String>| word.filter(|word| !word.is_empty() && word != "unknown");
        Some(Self { os: said(os)?, architecture: said(architecture)? })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// What a tag resolves to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The digest of its manifest, or of its index if it has one image for each of several platforms.
    pub digest: ImageDigest,
    /// The platforms that the registry reports: perhaps none.
    pub platforms: Vec<Platform>,
}

/// An image on this instance.
#[derive(Debug, Clone, Default)]
pub struct LocalImage {
    /// Its id.
    pub id: String,
    /// Its names with a tag: `REPOSITORY:TAG`.
    pub tags: Vec<String>,
    /// Its platform, if it has one.
    pub platform: Option<Platform>,
    /// Its `HEALTHCHECK`, if it has one.
    pub healthcheck: Option<HealthCommand>,
    /// The folders that it declares as volumes.
    pub volumes: Vec<String>,
}

/// An image on this instance, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its id.
    pub id: String,
    /// Its names: `REPOSITORY:TAG` and `REPOSITORY@DIGEST`.
    pub names: Vec<String>,
    /// Since when it has its last tag; of one that was pulled by its digest, when it was built.
    pub since: Timestamp,
}

impl Docker {
    /// The images that have a name in a repository.
    pub async fn images_of(&self, repository: &str) -> Result<Vec<StoredImage>, DockerError> {
        let options = ListImagesOptionsBuilder::new().digests(true).build();
        let listed = self.call("list images", INSPECT, self.client.list_images(Some(options))).await?;
        let is_of =
            |name: &String| name.strip_prefix(repository).is_some_and(|rest| rest.starts_with([':', '@']));
        let mut images = vec![];
        for one in listed {
            let names: Vec<String> = one.repo_tags.into_iter().chain(one.repo_digests).collect();
            if !names.iter().any(is_of) {
                continue;
            }
            let act = format!("inspect image '{}'", one.id);
            let known = match self.call(act, INSPECT, self.client.inspect_image(&one.id)).await {
                Ok(known) => known,
                // Gone meanwhile.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let built = Timestamp::from_second(one.created).unwrap_or(Timestamp::UNIX_EPOCH);
            // Docker's zero time, of one that was never tagged here, is before the Unix epoch.
            let tagged = known.metadata.and_then(|metadata| metadata.last_tag_time);
            let tagged = tagged.and_then(|at| at.parse::<Timestamp>().ok()).unwrap_or(built);
            images.push(StoredImage { id: one.id, names, since: tagged.max(built) });
        }
        Ok(images)
    }

    /// Looks an image up in its registry, by `REPOSITORY:TAG` or `REPOSITORY@DIGEST`.
    pub async fn resolve(&self, name: &str, login: Option<&RegistryLogin>) -> Result<Resolved, DockerError> {
        let act = format!("find '{name}' in its registry");
        let login = login.map(RegistryLogin::to_docker);
        let limit = self.patience.answer;
        let answer = self.call(&act, limit, self.client.inspect_registry_image(name, login)).await?;
        let digest = answer.descriptor.digest.and_then(|digest| digest.parse().ok());
        // An index also lists what is no image, such as attestations: their platform is unknown.
        let platforms = answer.platforms.into_iter().filter_map(|p| Platform::of(p.os, p.architecture));
        Ok(Resolved {
            digest: digest.ok_or(DockerError::Incomplete { act, what: "a digest" })?,
            platforms: platforms.collect(),
        })
    }

    /// The platform of this machine.
    pub async fn platform(&self) -> Result<Platform, DockerError> {
        let act = "report its version";
        let answer = self.call(act, INSPECT, self.client.version()).await?;
        Platform::of(answer.os, answer.arch)
            .ok_or(DockerError::Incomplete { act: act.to_owned(), what: "the platform" })
    }

    /// The image, if it is on this instance.
    pub async fn image(&self, image: &ImageRef) -> Result<Option<LocalImage>, DockerError> {
        self.image_called(&image.to_string()).await
    }

    /// The image of this name or id, if it is on this instance.
    pub async fn image_called(&self, name: &str) -> Result<Option<LocalImage>, DockerError> {
        let act = format!("inspect image '{name}'");
        match self.call(act, INSPECT, self.client.inspect_image(name)).await {
            Ok(answer) => {
                let config = answer.config.unwrap_or_default();
                Ok(Some(LocalImage {
                    id: answer.id.unwrap_or_default(),
                    tags: answer.repo_tags.unwrap_or_default(),
                    platform: Platform::of(answer.os, answer.architecture),
                    healthcheck: HealthCommand::of(config.healthcheck.as_ref(), config.shell.as_ref()),
                    volumes: config.volumes.unwrap_or_default(),
                }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an image is on this instance.
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, DockerError> {
        Ok(self.image(image).await?.is_some())
    }

    /// Gives an image that is on this instance a name of its own, away from what had it before.
    pub async fn tag_image(&self, image: &ImageRef, repository: &str, tag: &str) -> Result<(), DockerError> {
        let act = format!("tag image '{image}' as '{repository}:{tag}'");
        let name = image.to_string();
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.call(act, INSPECT, self.client.tag_image(&name, Some(options))).await
    }

    /// Takes a name away from an image. The Engine removes the image with its last one, and refuses that while a
    /// container needs it.
    pub async fn remove_tag(&self, repository: &str, tag: &str) -> Result<(), DockerError> {
        self.remove_image_name(&format!("{repository}:{tag}")).await
    }

    /// Removes an image. The Engine refuses and keeps one that any container needs.
    pub async fn remove_image(&self, image: &ImageRef) -> Result<(), DockerError> {
        self.remove_image_name(&image.to_string()).await
    }

    /// Takes a name away from an image, and removes it with its last one. One that is gone is fine.
    pub async fn remove_image_name(&self, name: &str) -> Result<(), DockerError> {
        let act = format!("remove image '{name}'");
        let call = self.client.remove_image(name, None::<RemoveImageOptions>, None);
        gone_is_fine(self.call(act, REMOVE, call).await.map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let (os, architecture) = text.split_once('/').unwrap();
        Platform { os: os.to_owned(), architecture: architecture.to_owned() }
    }

    #[test]
    fn an_image_runs_on_its_platform_and_on_the_64_bit_descendants() {
        for (image, machine, runs) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/386", "linux/amd64", true),
            ("linux/arm", "linux/arm64", true),
            ("linux/arm64", "linux/amd64", false),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "linux/386", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            assert_eq!(platform(image).runs_on(&platform(machine)), runs, "{image} on {machine}");
        }
        assert_eq!(Platform::of(Some("unknown".to_owned()), Some("unknown".to_owned())), None);
    }

    #[test]
    fn a_login_for_docker_hub_goes_to_its_own_address() {
        for (host, address) in [("docker.io", "https://index.docker.io/v1/"), ("ghcr.io", "ghcr.io")] {
            let password = SecretString::from("p");
            let login = RegistryLogin { user: "u".to_owned(), password, host: host.to_owned() };
            assert_eq!(login.to_docker().serveraddress.as_deref(), Some(address));
        }
    }
}
