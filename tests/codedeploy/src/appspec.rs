//! `appspec.yml`, as strict as the agents are about it and no stricter: unknown keys pass, unknown events pass
//! until Install.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::agent::Version;
use crate::install::FileExists;

/// The parts of an appspec that the simulator acts on.
#[derive(Debug)]
pub(crate) struct AppSpec {
    pub(crate) hooks: BTreeMap<String, Vec<Script>>,
    pub(crate) files: Vec<FileMapping>,
    pub(crate) file_exists: Option<FileExists>,
    pub(crate) has_permissions: bool,
}

/// One script of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) location: String,
    pub(crate) timeout: Duration,
    pub(crate) runas: Option<String>,
    pub(crate) sudo: bool,
}

/// One entry of `files:`.
#[derive(Debug)]
pub(crate) struct FileMapping {
    pub(crate) source: String,
    pub(crate) destination: PathBuf,
}

#[derive(Deserialize)]
struct Raw {
    version: Option<Value>,
    os: Option<Value>,
    hooks: Option<BTreeMap<String, Option<Vec<RawScript>>>>,
    files: Option<Vec<RawFile>>,
    permissions: Option<Vec<IgnoredAny>>,
    file_exists_behavior: Option<String>,
}

#[derive(Deserialize)]
struct RawScript {
    location: Option<Value>,
    timeout: Option<Value>,
    runas: Option<Value>,
    sudo: Option<Value>,
}

#[derive(Deserialize)]
struct RawFile {
    source: Option<String>,
    destination: Option<String>,
}

/// Read the appspec of an unpacked bundle.
pub(crate) fn read(version: Version, archive: &Path, name: &str) -> Result<AppSpec> {
    let asked = archive.join(name);
    // v2 falls back, which matters for a previous revision whose file had another name (contract 0).
    let fallbacks = ["appspec.yaml", "appspec.yml"].map(|fallback| archive.join(fallback));
    let path = match version {
        Version::V1 => None,
        Version::V2 => fallbacks.iter().find(|path| !asked.exists() && path.exists()),
    }
    .unwrap_or(&asked);
    let text = fs::read_to_string(path).map_err(|_| {
        anyhow!(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at \
             revision-relative path \"{name}\". The revision was unpacked to directory \"{}\", and the AppSpec file \
             was expected but not found at path \"{}\". Consult the AWS CodeDeploy Appspec documentation for more \
             information at http://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html",
            archive.display(),
            path.display()
        )
    })?;
    parse(version, &text)
}

fn parse(version: Version, text: &str) -> Result<AppSpec> {
    let policy = match version {
        Version::V1 => DuplicateKeyPolicy::LastWins,
        Version::V2 => DuplicateKeyPolicy::Error,
    };
    let raw: Raw =
        serde_saphyr::from_str_with_options(text, serde_saphyr::options! { duplicate_keys: policy })?;

    // A number that equals 0.0: `0` and `0.0` pass, the string "0.0" does not.
    if raw.version.as_ref().and_then(Value::as_f64) != Some(0.0) {
        bail!(
            "The deployment failed because an invalid version value ({}) was entered in the application \
             specification file. Make sure your AppSpec file specifies \"0.0\" as the version, and then try again.",
            plain(raw.version.as_ref())
        );
    }
    if raw.os.as_ref().and_then(Value::as_str) != Some("linux") {
        bail!(
            "The deployment failed because the application specification file specifies an unsupported operating \
             system ({}). Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then \
             try again.",
            plain(raw.os.as_ref())
        );
    }
    let mut hooks = BTreeMap::new();
    for (event, scripts) in raw.hooks.unwrap_or_default() {
        // v1 calls each on nil.
        let scripts = match (scripts, version) {
            (None, Version::V1) => bail!("undefined method `each' for nil:NilClass"),
            (scripts, _) => scripts.unwrap_or_default(),
        };
        let scripts = scripts.into_iter().map(|raw| script(version, &raw)).collect::<Result<Vec<_>>>()?;
        hooks.insert(event, scripts);
    }
    let files = raw.files.unwrap_or_default().into_iter().map(file).collect::<Result<_>>()?;
    let file_exists = raw.file_exists_behavior.map(|text| text.parse().map_err(|e: String| anyhow!(e)));
    Ok(AppSpec {
        hooks,
        files,
        file_exists: file_exists.transpose()?,
        has_permissions: raw.permissions.is_some_and(|list| !list.is_empty()),
    })
}

fn script(version: Version, raw: &RawScript) -> Result<Script> {
    let location = plain(raw.location.as_ref()).trim().to_owned();
    ensure!(
        !location.is_empty(),
        "The deployment failed because the application specification file specifies a script with no location \
         value. Specify the location in the hooks section of the AppSpec file, and then try again."
    );
    let seconds = match (&raw.timeout, version) {
        (None | Some(Value::Null), _) => 3600,
        // Ruby's to_i: a leading number counts, anything else is 0.
        (Some(Value::String(text)), Version::V1) => {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().unwrap_or(0)
        }
        (Some(value), _) => value.as_u64().unwrap_or(0),
    };
    ensure!(
        seconds > 0,
        "The deployment failed because an invalid timeout value was provided for a script in the application \
         specification file. Make corrections in the hooks section of the AppSpec file, and then try again."
    );
    let runas = raw.runas.as_ref().filter(|value| !value.is_null()).map(|value| plain(Some(value)));
    Ok(Script {
        location,
        timeout: Duration::from_secs(seconds),
        runas: runas.map(|user| user.trim().to_owned()).filter(|user| !user.is_empty()),
        sudo: !matches!(raw.sudo, None | Some(Value::Null | Value::Bool(false))),
    })
}

fn file(raw: RawFile) -> Result<FileMapping> {
    match (raw.source, raw.destination) {
        (Some(source), Some(destination)) if !source.is_empty() && !destination.is_empty() => {
            Ok(FileMapping { source, destination: destination.into() })
        }
        _ => bail!(
            "The deployment failed because the application specification file specifies a file with no source or no \
             destination. Update the files section of the AppSpec file, and then try again."
        ),
    }
}

/// A scalar as text, the way Ruby's `to_s` has it.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(version: Version, text: &str) -> String {
        parse(version, text).expect_err(text).to_string()
    }

    #[test]
    fn version_is_the_number_zero_and_os_is_linux() {
        for version in Version::ALL {
            parse(version, "version: 0.0\nos: linux\n").expect("plain");
            parse(version, "version: 0\nos: linux\n").expect("an integer equals 0.0");
            assert!(error(version, "version: 1.0\nos: linux\n").contains("invalid version value (1.0)"));
            assert!(error(version, "version: \"0.0\"\nos: linux\n").contains("invalid version"));
            assert!(error(version, "os: linux\n").contains("invalid version value ()"));
            assert!(error(version, "version: 0.0\nos: windows\n").contains("operating system (windows)"));
        }
    }

    #[test]
    fn timeouts_default_to_an_hour_and_are_positive() {
        let with = |timeout: &str| {
            format!("version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a b\n{timeout}")
        };
        for version in Version::ALL {
            let spec = parse(version, &with("")).expect("default");
            let script = &spec.hooks["AfterInstall"][0];
            assert_eq!((script.timeout, script.location.as_str()), (Duration::from_hours(1), "a b"));
            assert!(error(version, &with("      timeout: 0\n")).contains("invalid timeout"));
            assert!(error(version, &with("      timeout: -1\n")).contains("invalid timeout"));
        }
        // Ruby reads "30s" as 30; v2 has no such conversion.
        assert!(parse(Version::V1, &with("      timeout: 30s\n")).is_ok());
        assert!(error(Version::V2, &with("      timeout: 30s\n")).contains("invalid timeout"));
    }

    #[test]
    fn a_script_needs_a_location_and_an_empty_event_fails_only_in_v1() {
        let text = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - timeout: 3\n";
        let empty = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n";
        for version in Version::ALL {
            assert!(error(version, text).contains("no location"));
        }
        assert!(error(Version::V1, empty).contains("nil"));
        assert!(parse(Version::V2, empty).expect("null is no script").hooks["AfterInstall"].is_empty());
    }

    #[test]
    fn unknown_events_and_keys_pass_here() {
        let text = "version: 0.0\nos: linux\nextra: 1\nhooks:\n  Foo:\n    - location: x\n      extra: 1\n";
        for version in Version::ALL {
            assert!(parse(version, text).expect("passes").hooks.contains_key("Foo"));
        }
    }
}
