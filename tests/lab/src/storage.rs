//! The registry's storage: the layout that its `filesystem` driver has had in all versions since 2. What is pushed is
//! written there: the registry looks for it when it is asked, and needs neither to run nor to be told.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::Blob;

/// The storage of one registry.
#[derive(Debug)]
pub(crate) struct Storage {
    top: PathBuf,
}

impl Storage {
    /// The storage below the registry's root.
    pub(crate) fn below(root: &Path) -> Self {
        Self { top: root.join("docker/registry/v2") }
    }

    /// Keeps a layer or a configuration for a repository.
    pub(crate) fn keep_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        self.keep(&blob.digest, &blob.bytes)?;
        self.link(repository, &format!("_layers/{}", folder_of(&blob.digest)?), &blob.digest)
    }

    /// Keeps a manifest, and lets a tag mean it; no tag if that is empty.
    pub(crate) fn keep_manifest(&self, repository: &str, tag: &str, manifest: &Blob) -> Result<()> {
        self.keep(&manifest.digest, &manifest.bytes)?;
        let folder = folder_of(&manifest.digest)?;
        self.link(repository, &format!("_manifests/revisions/{folder}"), &manifest.digest)?;
        if !tag.is_empty() {
            self.link(repository, &format!("_manifests/tags/{tag}/index/{folder}"), &manifest.digest)?;
            self.link(repository, &format!("_manifests/tags/{tag}/current"), &manifest.digest)?;
        }
        Ok(())
    }

    /// Forgets a tag.
    pub(crate) fn forget_tag(&self, repository: &str, tag: &str) -> Result<()> {
        let folder = self.repository(repository).join("_manifests/tags").join(tag);
        fs::remove_dir_all(&folder).with_context(|| format!("there is no tag {repository}:{tag}"))
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.top.join("repositories").join(name)
    }

    fn keep(&self, digest: &str, bytes: &[u8]) -> Result<()> {
        let folder = folder_of(digest)?;
        let (kind, hex) = folder.split_once('/').context("an odd digest")?;
        let data = self.top.join("blobs").join(kind).join(&hex[..2]).join(hex).join("data");
        if data.exists() { Ok(()) } else { write(&data, bytes) }
    }

    fn link(&self, repository: &str, place: &str, digest: &str) -> Result<()> {
        write(&self.repository(repository).join(place).join("link"), digest.as_bytes())
    }
}

/// `sha256:0123…` as a folder.
fn folder_of(digest: &str) -> Result<String> {
    let (kind, hex) = digest.split_once(':').with_context(|| format!("'{digest}' is no digest"))?;
    Ok(format!("{kind}/{hex}"))
}

/// By a rename: the registry never finds half of it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(bytes)?;
    staged.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
