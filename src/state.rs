//! What is kept of each release: its record and its configuration, in `/var/lib/handover/APP/releases/NUMBER/`.
//!
//! ```text
//! /var/lib/handover/APP/
//!   releases/12/record.json what the release is and how it went
//!   releases/12/journal.jsonl  the run that made it; that of the highest number is the run in progress, or the last one
//!   releases/12/handover.toml
//!   releases/12/templates/  the templates of the bundle that it names
//!   releases/12/bundle/     what else of the bundle it names, by its path there
//!   releases/12/files/web/  the files of a container, rendered, by their paths there
//!   releases/12/web.log     the last lines of its container, when it was refused; without secrets
//!   blocked.json            the digests that no deployment may bring
//!   looked.json             the last look at the secrets of live
//!   history/9/              record.json and journal.jsonl of a release that is not kept any more
//! ```
//! The truth about containers is in Docker; this can be lost and only costs the memory of what was.

mod blocked;
mod home;
mod looked;
mod past;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::config::{self, Config};
use crate::digest::sha256;
use crate::environment::RenderedFile;
use crate::fs::{self, FsError};
use crate::model::{Explain, ProcessName, ReleaseNumber};
pub use blocked::{Blocked, Why};
pub use home::Home;
pub use looked::{Found, LastLook, Looked};
pub use past::{Past, REMEMBERED};
pub use record::{RECORD_FORMAT, Record, Verdict, fingerprint};

/// Why what is kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// A part of the bundle cannot be kept.
    #[error(transparent)]
    Tree(#[from] fs::tree::TreeError),
    /// A file of ours does not parse.
    #[error("'{}' is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A configuration that was accepted once is not any more.
    #[error("the configuration kept in '{}' is not understood by this version:\n{why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: Box<config::Diagnostic>,
    },
}

impl Explain for StateError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::File(error) => error.fix(),
            Self::Tree(error) => error.fix(),
            Self::Damaged { path, .. } => {
                Some(format!("move it aside: mv {} {}.damaged", path.display(), path.display()))
            }
            Self::Foreign { .. } => Some("deploy a bundle that this version understands".to_owned()),
        }
    }
}

/// The releases of one app.
#[derive(Debug, Clone)]
pub struct Releases {
    dir: PathBuf,
}

impl Releases {
    /// Those of a state folder.
    pub fn of(state: &Path) -> Self {
        Self { dir: state.join("releases") }
    }

    /// The folder that holds them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a release.
    pub fn folder(&self, release: ReleaseNumber) -> PathBuf {
        self.dir.join(release.0.to_string())
    }

    /// Makes the folder of a release, unless it is there, so that it outlives a power cut: the journal is in it.
    fn make_folder(&self, release: ReleaseNumber) -> Result<PathBuf, FsError> {
        let folder = self.folder(release);
        if !folder.is_dir() {
            // From the folder that holds all apps on.
            let root = self.dir.ancestors().nth(2).unwrap_or(&self.dir);
            fs::durable_private_dir(root, &folder)?;
        }
        Ok(folder)
    }

    /// Where what a process of a refused release printed is kept.
    pub fn log(&self, release: ReleaseNumber, process: &ProcessName) -> PathBuf {
        self.folder(release).join(format!("{process}.log"))
    }

    /// The numbers that have a folder, ascending.
    pub fn numbers(&self) -> Result<Vec<ReleaseNumber>, StateError> {
        Ok(fs::numbered_folders(&self.dir)?.into_iter().map(ReleaseNumber).collect())
    }

    /// The record of a release.
    pub fn record(&self, release: ReleaseNumber) -> Result<Option<Record>, StateError> {
        let path = self.folder(release).join("record.json");
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|source| StateError::Damaged { path, source })
    }

    /// Every record that can be read, ascending. One that cannot is as good as lost, and must not stop a deployment.
    pub fn records(&self) -> Vec<Record> {
        let numbers = self.numbers().unwrap_or_default();
        numbers.into_iter().filter_map(|number| self.record(number).ok().flatten()).collect()
    }

    /// The same with those of the releases that are not kept any more, by their numbers.
    pub fn every_record(&self) -> BTreeMap<ReleaseNumber, Record> {
        let past = Past::of_releases(&self.dir).records();
        past.into_iter().chain(self.records()).map(|record| (record.release, record)).collect()
    }

    /// The last release that went well.
    pub fn last_good(&self) -> Option<Record> {
        self.records().into_iter().rev().find(|record| record.verdict == Verdict::Good)
    }

    /// Writes a record.
    pub fn write(&self, record: &Record) -> Result<(), StateError> {
        let folder = self.make_folder(record.release)?;
        let text = serde_json::to_vec_pretty(record).expect("a record is plain data");
        Ok(fs::write_atomically(&folder.join("record.json"), &text, 0o600)?)
    }

    /// Keeps the configuration of a release, with all that it takes from its bundle, so that neither is needed later.
    pub fn keep_config(&self, release: ReleaseNumber, config: &Config) -> Result<(), StateError> {
        let folder = self.make_folder(release)?;
        let keep = |path: &Path, bytes: &[u8]| {
            let place = folder.join(path);
            fs::durable_private_dir(&folder, place.parent().unwrap_or(&folder))?;
            fs::write_atomically(&place, bytes, 0o600)
        };
        for file in config.settings.templates() {
            keep(Path::new(&file.template), file.text.as_bytes())?;
        }
        for (path, source) in &config.settings.bundle {
            fs::tree::copy(source, &self.bundled(release, path))?;
        }
        Ok(fs::write_atomically(&folder.join(config::FILE_NAME), config.text.as_bytes(), 0o600)?)
    }

    /// Where a file or folder of the bundle of a release is kept.
    pub fn bundled(&self, release: ReleaseNumber, path: &str) -> PathBuf {
        self.folder(release).join(config::KEPT).join(path)
    }

    /// Writes the rendered files of a release anew. No container has them yet: whatever an earlier process left is
    /// removed first, half-written ones too.
    pub fn write_files(
        &self,
        release: ReleaseNumber,
        files: Vec<RenderedFile<'_>>,
    ) -> Result<(), StateError> {
        self.remove_files(release)?;
        let folder = self.folder(release);
        let mut manifest = BTreeMap::new();
        for RenderedFile { of, path, source, text } in files {
            let place = self.file(release, of, path);
            let name = place.strip_prefix(folder.join("files")).unwrap_or(&place).display().to_string();
            manifest.insert(name, sha256(text.expose_secret().as_bytes()));
            fs::durable_private_dir(&folder, place.parent().unwrap_or(&folder))?;
            let owner = source.owner.map(|owner| (owner.user, owner.group));
            fs::write_for(owner, &place, text.expose_secret().as_bytes(), source.mode)?;
        }
        if !manifest.is_empty() {
            let text = serde_json::to_vec_pretty(&manifest).expect("plain data");
            fs::write_atomically(&self.manifest(release), &text, 0o600)?;
        }
        Ok(())
    }

    /// The digests of the rendered files. It goes with them, for a digest of a short password gives it away.
    fn manifest(&self, release: ReleaseNumber) -> PathBuf {
        self.folder(release).join("files").join("manifest.json")
    }

    /// The rendered files of a release that are not any more what they were when they were written.
    pub fn changed_files(&self, release: ReleaseNumber) -> Vec<String> {
        let text = fs::read_if_there(&self.manifest(release)).ok().flatten().unwrap_or_default();
        let manifest: BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_default();
        let is_the_same = |name: &str, digest: &str| {
            let bytes = fs::bytes_if_there(&self.folder(release).join("files").join(name)).ok().flatten();
            bytes.is_some_and(|bytes| sha256(&bytes) == digest)
        };
        manifest
            .into_iter()
            .filter(|(name, digest)| !is_the_same(name, digest))
            .map(|(name, _)| name)
            .collect()
    }

    /// Where the file of a release is that a container of it has at `path`.
    pub fn file(&self, release: ReleaseNumber, of: &ProcessName, path: &str) -> PathBuf {
        self.folder(release).join("files").join(of.as_str()).join(path.trim_start_matches('/'))
    }

    /// Removes the rendered files of a release.
    pub fn remove_files(&self, release: ReleaseNumber) -> Result<(), StateError> {
        Ok(fs::remove_dir(&self.folder(release).join("files"))?)
    }

    /// The configuration of a release, as it was deployed.
    pub fn config(&self, release: ReleaseNumber) -> Result<Option<Config>, StateError> {
        let folder = self.folder(release);
        let path = folder.join(config::FILE_NAME);
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        match config::parse_in(&folder, &text, &path.display().to_string()) {
            Ok(settings) => Ok(Some(Config { settings, text, bundle: None })),
            Err(why) => Err(StateError::Foreign { path, why: Box::new(why) }),
        }
    }

    /// Forgets a release but for its record and its journal: they are history.
    pub fn retire(&self, release: ReleaseNumber) -> Result<(), StateError> {
        let folder = self.folder(release);
        Past::of_releases(&self.dir).take(release, &folder)?;
        Ok(fs::remove_dir(&folder)?)
    }
}
