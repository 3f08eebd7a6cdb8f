//! What a registry says of an image to us, and not to the Engine: its download size, by its manifest, and whether a tag is
//! known. Advisory: nothing depends on getting an answer.

use super::client::{Client, Manifest, WHOLE, read};
use crate::host::docker::{Platform, RegistryLogin};
use crate::model::{ImageRef, RepositoryName};
use crate::text::duration;

/// Where the sizes of images come from.
#[derive(Debug, Clone, Copy, Default)]
pub enum ImageSizes {
    /// Their registries.
    #[default]
    Registries,
    /// A test.
    Pretended(fn(&ImageRef) -> Result<u64, String>),
}

impl ImageSizes {
    /// The bytes that a pull of `image` downloads onto an empty disk; see [`compressed_size`].
    pub async fn of(
        self,
        image: &ImageRef,
        platform: &Platform,
        login: Option<&RegistryLogin>,
    ) -> Result<u64, String> {
        match self {
            Self::Registries => compressed_size(image, platform, login).await,
            Self::Pretended(size) => size(image),
        }
    }

    /// Whether the registry of a repository says what a tag means. It need not have that image yet.
    pub async fn know_tag(
        self,
        repository: &RepositoryName,
        tag: &str,
        login: Option<&RegistryLogin>,
    ) -> bool {
        let asked = async {
            let client = Client::of(&repository.host, &repository.path, login)?;
            client.knows(tag).await
        };
        match self {
            Self::Registries => matches!(tokio::time::timeout(WHOLE, asked).await, Ok(Ok(true))),
            Self::Pretended(_) => false,
        }
    }
}

/// The bytes that a pull of `image` downloads onto an empty disk: its layers as they are stored, and its configuration.
/// Layers that are here already are counted too. Fails with the reason in one line.
pub async fn compressed_size(
    image: &ImageRef,
    platform: &Platform,
    login: Option<&RegistryLogin>,
) -> Result<u64, String> {
    let (host, path) = image.repository.split_once('/').ok_or("the repository has no host")?;
    let client = Client::of(host, path, login)?;
    let size = tokio::time::timeout(WHOLE, client.size(image.digest.as_str(), platform)).await;
    size.unwrap_or_else(|_| Err(format!("'{host}' did not answer within {}", duration(WHOLE))))
}

impl Client<'_> {
    async fn size(&self, digest: &str, platform: &Platform) -> Result<u64, String> {
        let (answer, authorization) = self.manifest("GET", digest).await?;
        let mut manifest: Manifest = read(answer).await?;
        if manifest.config.is_none() {
            let ours = manifest.manifests.iter().find(|one| one.platform.as_ref() == Some(platform));
            let ours = ours.ok_or_else(|| format!("the image has no manifest for {platform}"))?;
            let url = format!("{}/v2/{}/manifests/{}", self.base, self.path, ours.digest);
            manifest = read(self.ask("GET", &url, authorization.as_deref()).await?).await?;
        }
        let parts = manifest.layers.iter().chain(&manifest.config).map(|part| part.size);
        parts.reduce(u64::saturating_add).ok_or_else(|| "the manifest names no layers".to_owned())
    }

    async fn knows(&self, tag: &str) -> Result<bool, String> {
        Ok(self.manifest("HEAD", tag).await?.0.status().is_success())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use secrecy::SecretString;

    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[
        {"digest":"sha256:arm","size":7,"platform":{"architecture":"arm64","os":"linux"}},
        {"digest":"sha256:ours","size":7,"platform":{"architecture":"amd64","os":"linux"}}]}"#;
    const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"digest":"sha256:c","size":100},
        "layers":[{"digest":"sha256:a","size":2000},{"digest":"sha256:b","size":30000}]}"#;

    /// A registry on this host that wants me:pass, and has an index with one image.
    fn registry() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().take(10).flatten() {
                let lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let known = lines.iter().any(|line| line == "authorization: Basic bWU6cGFzcw==");
                let (status, body) = match lines[0].split(' ').nth(1) {
                    _ if !known => ("401 Unauthorized", ""),
                    Some(path) if path.starts_with("/v2/team/app/manifests/sha256:0") => ("200 OK", INDEX),
                    Some("/v2/team/app/manifests/sha256:ours") => ("200 OK", MANIFEST),
                    _ => ("404 Not Found", ""),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = connection.write_all(format!("{head}{body}").as_bytes());
            }
        });
        host
    }

    async fn size_of(
        repository: String,
        digit: &str,
        password: &str,
        architecture: &str,
    ) -> Result<u64, String> {
        let digest = format!("sha256:{}", digit.repeat(64)).parse().unwrap();
        let platform = Platform { os: "linux".to_owned(), architecture: architecture.to_owned() };
        let login = RegistryLogin {
            user: "me".to_owned(),
            password: SecretString::from(password),
            host: String::new(),
        };
        compressed_size(&ImageRef { repository, digest }, &platform, Some(&login)).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_layers_of_this_machines_image_and_its_configuration_are_counted() {
        let app = format!("{}/team/app", registry());
        assert_eq!(size_of(app.clone(), "0", "pass", "amd64").await, Ok(32_100));
        for (digit, password, architecture, says) in [
            ("0", "pass", "s390x", "no manifest for linux/s390x"),
            ("1", "pass", "amd64", "404"),
            ("0", "wrong", "amd64", "does not accept the login"),
        ] {
            let why = size_of(app.clone(), digit, password, architecture).await.unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
