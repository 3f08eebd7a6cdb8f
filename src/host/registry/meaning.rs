//! What a tag means, for who has no Engine to ask.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;

use super::client::{Client, Manifest, WHOLE, body, read};
use crate::digest::sha256;
use crate::host::docker::{Platform, RegistryLogin};
use crate::model::{ImageDigest, RepositoryName};
use crate::text::duration;

/// What a tag or a digest means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The digest of its manifest, which is an index where there is one.
    pub digest: ImageDigest,
    /// What kind of manifest that is.
    pub media_type: String,
    /// The platforms that it is for; none where the registry does not say.
    pub platforms: Vec<Platform>,
}

/// A part of an image's configuration.
#[derive(Deserialize)]
struct Configuration {
    os: Option<String>,
    architecture: Option<String>,
}

/// What a tag or a digest means in a repository; nothing if that does not have it. Fails with the reason in one line.
pub async fn meaning(
    repository: &RepositoryName,
    reference: &str,
    login: Option<&RegistryLogin>,
) -> Result<Option<Meaning>, String> {
    let client = Client::of(&repository.host, &repository.path, login)?;
    let answer = tokio::time::timeout(WHOLE, client.meaning(reference)).await;
    answer.unwrap_or_else(|_| Err(format!("'{}' did not answer within {}", repository.host, duration(WHOLE))))
}

impl Client<'_> {
    async fn meaning(&self, reference: &str) -> Result<Option<Meaning>, String> {
        let (answer, authorization) = self.manifest("GET", reference).await?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        let media_type = answer.headers().get("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = body(answer).await?;
        // What the registry says of itself could be wrong: the digest is that of the bytes.
        let digest = format!("sha256:{}", sha256(&bytes)).parse().map_err(|_| "no digest".to_owned())?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|e| format!("the registry's answer cannot be read: {e}"))?;
        let platforms = if let Some(config) = &manifest.config {
            self.platform(&config.digest, authorization.as_deref()).await.into_iter().collect()
        } else {
            // An index also lists what is no image, such as attestations.
            let known = |platform: &Platform| platform.os != "unknown";
            manifest.manifests.into_iter().filter_map(|one| one.platform.filter(known)).collect()
        };
        Ok(Some(Meaning { digest, media_type, platforms }))
    }

    /// What the configuration of an image says that it is for; nothing where that cannot be had.
    async fn platform(&self, config: &str, authorization: Option<&str>) -> Option<Platform> {
        let url = format!("{}/v2/{}/blobs/{config}", self.base, self.path);
        let answer = self.ask("GET", &url, authorization).await.ok()?;
        let answer = match location(&answer) {
            // Storage of its own (ECR: S3), which wants no token of the registry.
            Some(elsewhere) => self.ask("GET", &elsewhere, None).await.ok()?,
            None => answer,
        };
        let Configuration { os, architecture } = read(answer).await.ok()?;
        Platform::of(os, architecture)
    }
}

/// Where an answer sends to.
fn location(answer: &HttpResponse) -> Option<String> {
    let elsewhere =
        answer.headers().get("location").filter(|_| (300..400).contains(&answer.status().as_u16()));
    elsewhere.filter(|place| place.starts_with("https://")).map(str::to_owned)
}
