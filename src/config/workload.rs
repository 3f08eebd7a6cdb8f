//! What a container of a release runs and is made of: what a process and a task have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use super::bundle_files::BundleFiles;
use super::container::resolve_options;
use super::diagnostic::Mistake;
use super::environment::{FileSource, Secrets, Value, rendered_files, variables};
use super::file;
use super::time_span::{LONGEST, time_span_in};
use crate::model::container::{ContainerOptions, Source};
use crate::model::{Bytes, ImageName, ImageSource};
use crate::suggest::nearest;

/// What runs in a container, and what that is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// Which of the images.
    pub image: ImageName,
    /// What runs; the image's own command when there is none.
    pub command: Option<Vec<String>>,
    /// Its own environment, on top of the app's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Value>,
    /// Its own files, on top of the app's, by their paths in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSource>,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// The most memory it may use.
    pub memory: Option<Bytes>,
    /// Folders that its image declares as volumes and that may begin empty with each release. What is said here makes no
    /// other container.
    #[serde(skip)]
    pub anonymous_volumes: Vec<String>,
    /// Whether it gets nothing of the app's own environment and files.
    #[serde(skip)]
    pub stands_alone: bool,
    /// What else its container is made of.
    #[serde(flatten)]
    pub options: ContainerOptions,
}

impl Workload {
    /// Whether what a release writes below `folder`, in a volume without a name, may be lost with it.
    pub fn may_lose(&self, folder: &str) -> bool {
        self.anonymous_volumes.iter().any(|said| is_same_path(said, folder))
    }
}

/// Whether two paths in a container are one: a slash at the end says nothing.
pub fn is_same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Docker's default of ten seconds is short for a web server that finishes its requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What a container may name.
pub(super) struct Known<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) images: &'a BTreeMap<ImageName, ImageSource>,
    pub(super) files: &'a BundleFiles,
}

impl Known<'_> {
    /// An environment. What it needs of the bundle is added to `bundle`.
    pub(super) fn variables(
        &self,
        written: file::Environment,
        bundle: &mut BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, Value>, Mistake> {
        for path in &written.from {
            bundle.extend([self.files.find(path)?]);
        }
        variables(written, self.secrets, self.files)
    }

    /// What a container is made of. What it needs of the bundle is added to `bundle`.
    pub(super) fn workload(
        &self,
        written: file::Container,
        bundle: &mut BTreeMap<String, PathBuf>,
    ) -> Result<Workload, Mistake> {
        if let Some(command) = written.command.as_ref().filter(|c| c.get_ref().is_empty()) {
            return Err(Mistake::at(command.span(), "the command is empty")
                .help("leave it out to run the image's own"));
        }
        let mut options = resolve_options(&written)?;
        for (volume, place) in options.volumes.iter_mut().zip(&written.volumes) {
            if let Source::Bundle(part) = &mut volume.source {
                let (found, real) = self.files.tree(&Spanned::new(place.span(), part.path.clone()))?;
                bundle.insert(found.path.clone(), real);
                *part = found;
            }
        }
        Ok(Workload {
            image: written.image.map_or_else(|| Ok(ImageName::default_image()), |name| self.image(name))?,
            command: written.command.map(Spanned::into_inner),
            environment: self.variables(written.environment, bundle)?,
            files: rendered_files(written.file, self.secrets, self.files)?,
            stop_timeout: time_span_in(written.stop_timeout, Duration::from_secs(1)..=LONGEST, STOP_TIMEOUT)?,
            memory: written.memory.map(Spanned::into_inner),
            anonymous_volumes: written.anonymous_volumes.into_iter().map(folder).collect::<Result<_, _>>()?,
            stands_alone: false,
            options,
        })
    }

    fn image(&self, name: Spanned<ImageName>) -> Result<ImageName, Mistake> {
        if self.images.contains_key(name.get_ref()) {
            return Ok(name.into_inner());
        }
        let names: Vec<&str> = self.images.keys().map(ImageName::as_str).collect();
        Err(Mistake::at(name.span(), format!("there is no image '{}'", name.get_ref()))
            .help(nearest(name.get_ref().as_str(), &names)))
    }
}

/// A folder of the container.
fn folder(path: Spanned<String>) -> Result<String, Mistake> {
    let text = path.get_ref();
    if !text.starts_with('/') || text.trim_matches('/').is_empty() {
        return Err(Mistake::at(path.span(), format!("'{text}' is not a folder of the container"))
            .help("write the path of a VOLUME of the image, such as \"/data\""));
    }
    Ok(path.into_inner())
}
