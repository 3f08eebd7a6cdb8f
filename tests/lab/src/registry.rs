//! ECR's registry: what is in it, and whether it runs.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::control::{Answer, Ask};
use crate::http::{Request, Response, over_unix};
use crate::image::{Blob, Image, ImageSpec};
use crate::lab::Inner;
use crate::names::{ECR_HOST, REGISTRY_PASSWORD, REGISTRY_USER, REPOSITORY_URL};
use crate::storage::Storage;
use crate::vpc::{BEHIND_SOCKET, REGISTRY_BEHIND, REGISTRY_SERVICE};
use crate::{base64, image};

/// ECR's registry. Pushes go straight into its storage, so they also work while it is stopped.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// The value of `X-Registry-Auth` with which a Docker Engine may pull from the lab's registry.
pub fn registry_authorization() -> String {
    base64::encode(
        json!({ "username": REGISTRY_USER, "password": REGISTRY_PASSWORD, "serveraddress": ECR_HOST })
            .to_string()
            .as_bytes(),
    )
}

impl Registry {
    /// The repository as image references name it.
    pub const URL: &str = REPOSITORY_URL;

    /// Builds an image and puts it under a tag. The answer is the manifest's digest.
    pub fn push_image(&self, repository: &str, tag: &str, spec: &ImageSpec) -> Result<String> {
        let image = Image::build(spec, &self.authority()?)?;
        self.push_built(repository, tag, image)
    }

    /// Builds images, one for each platform, and puts their index under a tag. The answer is the index's digest.
    pub fn push_index(&self, repository: &str, tag: &str, specs: &[ImageSpec]) -> Result<String> {
        let mut manifests = Vec::new();
        for spec in specs {
            let image = Image::build(spec, &self.authority()?)?;
            let size = image.manifest.len();
            let digest = self.push_built(repository, "", image)?;
            manifests.push(json!({
                "mediaType": image::MANIFEST_TYPE, "digest": digest, "size": size,
                "platform": { "architecture": spec.architecture, "os": "linux" },
            }));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": image::INDEX_TYPE, "manifests": manifests });
        self.put_manifest(repository, tag, index.to_string().into_bytes())
    }

    /// Puts any bytes under a tag, as a manifest; under no tag if that is empty. The answer is its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: Vec<u8>) -> Result<String> {
        let manifest = Blob::new(manifest);
        self.storage().keep_manifest(repository, tag, &manifest)?;
        Ok(manifest.digest)
    }

    /// The digest that a tag means now, if there is such a tag.
    pub fn digest_of(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let accept = format!("{}, {}", image::MANIFEST_TYPE, image::INDEX_TYPE);
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.request("HEAD", &path, &accept)?;
        Ok(answer.header("docker-content-digest").filter(|_| answer.status == 200).map(str::to_owned))
    }

    /// The digests of an image's layers, the lowest first. The index of several platforms has none.
    pub fn layers_of(&self, repository: &str, tag: &str) -> Result<Vec<String>> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let manifest = self.request("GET", &path, image::MANIFEST_TYPE)?.json()?;
        let layers = manifest["layers"].as_array().with_context(|| format!("no layers: {manifest}"))?;
        Ok(layers.iter().filter_map(|layer| layer["digest"].as_str().map(str::to_owned)).collect())
    }

    /// Removes a tag; the manifest stays, under its digest.
    pub fn delete_tag(&self, repository: &str, tag: &str) -> Result<()> {
        self.storage().forget_tag(repository, tag)
    }

    /// Removes a manifest, and with it all tags that mean it: what ECR's lifecycle policies do.
    pub fn delete_manifest(&self, repository: &str, digest: &str) -> Result<()> {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = self.request("DELETE", &path, "*/*")?;
        if answer.status != 202 {
            bail!("{path}: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    /// Ends the registry's process. Connections are refused until it is started again.
    pub fn stop(&self) -> Result<()> {
        self.inner.vpc()?.ask(&Ask::Stop(REGISTRY_SERVICE.to_owned())).map(drop)
    }

    /// Starts the registry again, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        self.inner.vpc()?.ask(&Ask::Start(REGISTRY_SERVICE.to_owned())).map(drop)
    }

    /// Whether the registry's process runs.
    pub fn runs(&self) -> Result<bool> {
        let answer = self.inner.vpc()?.ask(&Ask::Runs(REGISTRY_SERVICE.to_owned()))?;
        Ok(matches!(answer, Answer::Runs(true)))
    }

    /// What the registry wrote, also its requests.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.inner.vpc_folder().join(format!("{REGISTRY_BEHIND}.log")))?)
    }

    fn authority(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.inner.vpc_folder().join("ca.pem"))?)
    }

    fn storage(&self) -> Storage {
        Storage::below(&self.inner.vpc_folder().join("registry"))
    }

    fn push_built(&self, repository: &str, tag: &str, image: Image) -> Result<String> {
        for blob in &image.blobs {
            self.storage().keep_blob(repository, blob)?;
        }
        self.put_manifest(repository, tag, image.manifest)
    }

    /// Asks the registry itself, behind its front.
    fn request(&self, method: &str, path: &str, accept: &str) -> Result<Response> {
        let socket = self.inner.vpc()?.path(BEHIND_SOCKET)?;
        let user = base64::encode(format!("{REGISTRY_USER}:{REGISTRY_PASSWORD}").as_bytes());
        let headers = [("Accept", accept), ("Authorization", &format!("Basic {user}"))];
        over_unix(&socket, &Request { method, host: ECR_HOST, path, headers: &headers, body: &[] })
    }
}
