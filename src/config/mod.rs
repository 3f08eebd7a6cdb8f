//! `handover.toml`: as written (`file`), as meant ([`settings`]), and what is wrong with it, shown in place
//! (`diagnostic`).

pub mod container;
mod diagnostic;
mod environment;
mod file;
mod health;
mod image;
pub mod repository;
mod secret;
pub mod settings;
mod templates;
pub mod units;

use std::path::{Path, PathBuf};

use crate::fs::{Context, FsError};

use templates::Templates;

pub use diagnostic::Diagnostic;
pub use settings::Settings;

/// The configuration's name inside a bundle.
pub const FILE_NAME: &str = "handover.toml";

/// A configuration as it was read: what it means, and its text, which is kept with the release.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it means.
    pub settings: Settings,
    /// What was written.
    pub text: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FsError),
    /// The file says something that is wrong; the text shows where.
    #[error("{0}")]
    Wrong(Diagnostic),
    /// The bundle holds a file that this version does not understand and must not ignore.
    #[error("'{}' is not supported by handover {} yet: remove it from the bundle", path.display(), env!("CARGO_PKG_VERSION"))]
    NotYet {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the configuration of a bundle.
pub fn load(bundle: &Path) -> Result<Config, ConfigError> {
    let pin = bundle.join("handover.pin");
    if pin.exists() {
        return Err(ConfigError::NotYet { path: pin });
    }
    let path = bundle.join(FILE_NAME);
    let text = std::fs::read_to_string(&path).on("read", &path)?;
    let settings = parse_in(bundle, &text, &path.display().to_string()).map_err(ConfigError::Wrong)?;
    Ok(Config { settings, text })
}

/// Parses a configuration that has no templates. `origin` is the name that errors give as its place.
pub fn parse(text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    parse_with(&Templates::none(), text, origin)
}

/// Parses a configuration whose templates are in a folder: a bundle's, or that of a release.
pub fn parse_in(folder: &Path, text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    parse_with(&Templates::of(folder), text, origin)
}

fn parse_with(templates: &Templates, text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    toml::from_str::<file::ConfigFile>(text)
        .map_err(|e| Diagnostic::of_toml(&e, text, origin))
        .and_then(|written| Settings::from_file(written, templates).map_err(|e| e.located(text, origin)))
}
