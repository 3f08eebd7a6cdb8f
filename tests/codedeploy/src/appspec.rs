//! `appspec.yml`, as the simulated agent reads it: the reading is handover's own, so that the two cannot differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use handover::codedeploy::appspec::reading::{self, Reading, read_as};

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
    let bytes = fs::read(path).map_err(|_| {
        anyhow!(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at \
             revision-relative path \"{name}\". The revision was unpacked to directory \"{}\", and the AppSpec file \
             was expected but not found at path \"{}\". Consult the AWS CodeDeploy Appspec documentation for more \
             information at http://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html",
            archive.display(),
            path.display()
        )
    })?;
    parse(version, &bytes)
}

fn parse(version: Version, bytes: &[u8]) -> Result<AppSpec> {
    let agent = match version {
        Version::V1 => reading::Agent::V1,
        Version::V2 => reading::Agent::V2,
    };
    match read_as(agent, bytes) {
        Ok(reading) => acted_on(reading),
        Err(refused) => {
            let first = refused.into_iter().next().map(|refusal| refusal.words);
            Err(anyhow!(first.unwrap_or_default()))
        }
    }
}

fn acted_on(reading: Reading) -> Result<AppSpec> {
    let script = |script: reading::Script| Script {
        location: script.location,
        timeout: script.timeout,
        runas: script.runas.filter(|user| !user.is_empty()),
        sudo: script.sudo,
    };
    let event = |event: reading::Event| (event.name, event.scripts.into_iter().map(script).collect());
    let file = |file: reading::FileMapping| FileMapping {
        source: file.source,
        destination: file.destination.into(),
    };
    let file_exists = reading.file_exists.map(|word| word.parse().map_err(|e: String| anyhow!(e)));
    Ok(AppSpec {
        hooks: reading.events.into_iter().map(event).collect(),
        files: reading.files.into_iter().map(file).collect(),
        file_exists: file_exists.transpose()?,
        has_permissions: !reading.permissions.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(version: Version, text: &str) -> String {
        parse(version, text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn version_is_the_number_zero_and_os_is_linux() {
        for version in Version::ALL {
            parse(version, b"version: 0.0\nos: linux\n").expect("plain");
            parse(version, b"version: 0\nos: linux\n").expect("an integer equals 0.0");
            assert!(error(version, "version: 1.0\nos: linux\n").contains("invalid version value (1.0)"));
            assert!(error(version, "version: 0.0\nos: macos\n").contains("operating system (macos)"));
        }
    }

    #[test]
    fn what_does_not_fit_its_type_is_a_yaml_error_of_v2() {
        for (text, words) in [
            ("version: \"0.0\"\nos: linux\n", "invalid version"),
            ("os: linux\n", "invalid version value ()"),
        ] {
            assert!(error(Version::V1, text).contains(words));
            assert!(error(Version::V2, text).contains("YAML parsing error"));
        }
        assert!(error(Version::V1, "version: 0.0\nos: windows\n").contains("operating system (windows)"));
        parse(Version::V2, b"version: 0.0\nos: windows\n").expect("v2 takes it on Linux, too");
    }

    #[test]
    fn timeouts_default_to_an_hour_and_are_positive() {
        let with = |timeout: &str| {
            format!("version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a b\n{timeout}")
        };
        for version in Version::ALL {
            let spec = parse(version, with("").as_bytes()).expect("default");
            let script = &spec.hooks["AfterInstall"][0];
            assert_eq!((script.timeout, script.location.as_str()), (Duration::from_hours(1), "a b"));
            assert!(error(version, &with("      timeout: 0\n")).contains("invalid timeout"));
        }
        // Ruby reads "30s" as 30; what is no number does not fit v2's type.
        assert!(parse(Version::V1, with("      timeout: 30s\n").as_bytes()).is_ok());
        assert!(error(Version::V1, &with("      timeout: -1\n")).contains("invalid timeout"));
        for timeout in ["30s", "-1"] {
            assert!(
                error(Version::V2, &with(&format!("      timeout: {timeout}\n")))
                    .contains("YAML parsing error")
            );
        }
    }

    #[test]
    fn a_script_needs_a_location_and_an_empty_event_fails_only_in_v1() {
        let text = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - timeout: 3\n";
        let empty = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n";
        for version in Version::ALL {
            assert!(error(version, text).contains("no location"));
        }
        assert!(error(Version::V1, empty).contains("nil"));
        assert!(
            parse(Version::V2, empty.as_bytes()).expect("null is no script").hooks["AfterInstall"].is_empty()
        );
    }

    #[test]
    fn unknown_events_and_keys_pass_here() {
        let text = "version: 0.0\nos: linux\nextra: 1\nhooks:\n  Foo:\n    - location: x\n      extra: 1\n";
        for version in Version::ALL {
            assert!(parse(version, text.as_bytes()).expect("passes").hooks.contains_key("Foo"));
        }
    }
}
