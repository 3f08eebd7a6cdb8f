//! `handover.toml`: as written (`file`), as a deployment group gets it (`groups`, `merge`), checked and complete
//! ([`mod@settings`]), and what is wrong with it, shown in place ([`diagnostic`]).

mod arn;
mod bundle_files;
pub mod check;
mod checks;
mod container;
pub mod diagnostic;
mod docker_words;
mod effective;
mod env_file;
mod environment;
mod file;
mod groups;
mod health;
mod image;
mod image_file;
mod mask;
mod merge;
mod order;
mod parameter;
pub mod pin;
mod ports;
mod secret;
mod secret_id;
mod service;
pub mod settings;
mod swap;
mod task;
mod time_span;
pub mod upkeep;
mod workload;

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::de::DeTable;

use crate::fs::{Context, FsError};
use crate::model::AppName;
use bundle_files::BundleFiles;
use diagnostic::Mistake;
use groups::Layers;
use image::NamedImages;
use merge::Effective;
use pin::Pins;

pub use bundle_files::KEPT;
pub use diagnostic::{Diagnostic, Severity};
pub use groups::RequestedGroup;
pub use settings::Settings;

/// The configuration's name inside a bundle.
pub const FILE_NAME: &str = "handover.toml";

/// The longest configuration, in bytes.
const LONGEST: usize = 1 << 20;

/// A configuration as it was read: its settings, and its text, which is kept with the release.
#[derive(Debug, Clone)]
pub struct Config {
    /// The checked settings.
    pub settings: Settings,
    /// The text of the file. Where there are groups it is what one of them gets, so that the group is not needed later.
    pub text: String,
    /// The folder of the bundle; none of what was kept with a release.
    pub bundle: Option<PathBuf>,
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
    /// The file is not for the deployment group that is asked for.
    #[error("{0}")]
    NotForThisGroup(Diagnostic),
}

/// Reads the configuration of a bundle for a deployment group. Mistakes in other groups' tables do not matter to
/// it: production must not fail for a mistake in `[group.test]`. `handover lint` finds them all.
pub fn load(bundle: &Path, asked: RequestedGroup<'_>) -> Result<Config, ConfigError> {
    let (text, origin) = read(bundle)?;
    let files = BundleFiles::of(bundle, pins(bundle)?);
    let (settings, effective) = effective_settings(&files, &text, &origin, asked)?;
    let text = if effective.entry.is_some() { effective::render(&effective, &text) } else { text };
    Ok(Config { settings, text, bundle: Some(bundle.to_owned()) })
}

/// The configuration that a deployment group gets, as TOML with the origin of each key.
pub fn show(bundle: &Path, group: &str) -> Result<String, ConfigError> {
    let (text, origin) = read(bundle)?;
    let files = BundleFiles::of(bundle, pins(bundle)?);
    let (_, effective) = effective_settings(&files, &text, &origin, RequestedGroup::Show(group))?;
    Ok(effective::render(&effective, &text))
}

fn effective_settings<'t>(
    files: &BundleFiles,
    text: &'t str,
    origin: &str,
    asked: RequestedGroup<'_>,
) -> Result<(Settings, Effective<'t>), ConfigError> {
    let shown = mask::masked(text);
    let wrong = |mistake: Mistake| ConfigError::Wrong(mistake.located(&shown, origin));
    let layers = layers(text).map_err(wrong)?;
    let entry = layers
        .entry_for(asked)
        .map_err(|mistake| ConfigError::NotForThisGroup(mistake.located(&shown, origin)))?;
    let effective = layers.effective(entry).map_err(wrong)?;
    Ok((settings(&effective, files).map_err(wrong)?, effective))
}

/// Everything that is wrong with the configuration of a bundle, for every group.
pub fn check_bundle(bundle: &Path) -> Result<check::Checked, ConfigError> {
    let (text, origin) = read(bundle)?;
    let (pins, mistake) = match Pins::of(bundle) {
        Ok(pins) => (pins, None),
        Err(mistake) => (Pins::default(), Some(mistake)),
    };
    let mut checked = check::check(&text, &origin, &BundleFiles::of(bundle, pins));
    checked.findings.extend(mistake);
    Ok(checked)
}

/// The settings of a deployment group, or of each entry of a bundle's `groups`, with its name, whatever its pins say: they are
/// to be made. Fails with the first mistake that is in the way, of any of them.
pub fn unpinned(bundle: &Path, group: Option<&str>) -> Result<Vec<(Option<String>, Settings)>, ConfigError> {
    let (text, origin) = read(bundle)?;
    if let Some(group) = group {
        let asked = RequestedGroup::Operator(Some(group));
        let (settings, _) = effective_settings(&BundleFiles::unpinned(bundle), &text, &origin, asked)?;
        return Ok(vec![(Some(group.to_owned()), settings)]);
    }
    let checked = check::check(&text, &origin, &BundleFiles::unpinned(bundle));
    match checked.findings.into_iter().find(|finding| finding.severity == Severity::Error) {
        Some(mistake) => Err(ConfigError::Wrong(mistake)),
        None => Ok(checked.settings),
    }
}

fn pins(bundle: &Path) -> Result<Pins, ConfigError> {
    Pins::of(bundle).map_err(ConfigError::Wrong)
}

/// The app that a bundle is about, as far as that can be said before its group is known.
pub fn app(bundle: &Path) -> Option<AppName> {
    let (text, _) = read(bundle).ok()?;
    DeTable::parse(&text).ok()?.get_ref().get("app")?.get_ref().as_str()?.parse().ok()
}

fn read(bundle: &Path) -> Result<(String, String), ConfigError> {
    let path = bundle.join(FILE_NAME);
    let origin = path.display().to_string();
    let bytes = std::fs::read(&path).on("read", &path)?;
    let wrong = |span, text: &str, what: &str, help: &str| {
        ConfigError::Wrong(Mistake::at(span, what).help(help).located(text, &origin))
    };
    if bytes.len() > LONGEST {
        return Err(wrong(
            0..1,
            "",
            "the file has more than 1 MiB",
            "is it handover.toml? What is long belongs into files of the bundle",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, origin)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            // Nothing behind it is shown: it could be a secret that cannot be masked.
            let text = format!("{}\u{fffd}", String::from_utf8_lossy(&error.as_bytes()[..at]));
            let shown = mask::masked(&text);
            let last = shown.len();
            Err(wrong(last.saturating_sub(3)..last, &shown, "this is not UTF-8", "save the file as UTF-8"))
        }
    }
}

/// Parses a configuration that names no files of its bundle and is for one group, or for all. `origin` is the name that errors give
/// as its place.
pub fn parse(text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    parse_with(&BundleFiles::none(), text, origin)
}

/// Parses a configuration that is kept with a release, in the folder of that.
pub fn parse_in(folder: &Path, text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    parse_with(&BundleFiles::kept_in(folder), text, origin)
}

fn parse_with(files: &BundleFiles, text: &str, origin: &str) -> Result<Settings, Diagnostic> {
    layers(text)
        .and_then(|layers| layers.effective(layers.entry_for(RequestedGroup::Operator(None))?))
        .and_then(|effective| settings(&effective, files))
        .map_err(|mistake| mistake.located(&mask::masked(text), origin))
}

fn layers(text: &str) -> Result<Layers<'_>, Mistake> {
    Layers::of(DeTable::parse(text).map_err(|error| Mistake::from(&error))?)
}

fn settings(effective: &Effective<'_>, files: &BundleFiles) -> Result<Settings, Mistake> {
    let mut table = effective.table.clone();
    NamedImages::take_from(table.get_mut())
        .and_then(|named| {
            let written = file::ConfigFile::deserialize(toml::Deserializer::from(table))
                .map_err(|error| Mistake::from(&error))?;
            Settings::from_file(written, named, files)
        })
        .map_err(|mistake| effective.explain(mistake))
}
