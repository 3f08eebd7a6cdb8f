//! What confines a container: the options of `docker run --security-opt`.

use std::fmt;

use serde::Serialize;

use crate::suggest::nearest;

/// One of them, `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecurityOption(String);

const KEYS: &[&str] = &["apparmor", "label", "seccomp", "systempaths", "no-new-privileges"];

/// The words of `SELinux` that `label` takes, each with a value behind a colon, and `disable`.
const LABELS: &[&str] = &["user", "role", "type", "level", "filetype"];

impl SecurityOption {
    /// Whether it shows the container the kernel's files that Docker hides: no option of the Engine's, but its client makes
    /// empty lists of it.
    pub fn shows_system_paths(&self) -> bool {
        self.0 == "systempaths=unconfined"
    }
}

impl fmt::Display for SecurityOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SecurityOption {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        // The colon is older, and both are in use.
        let (key, value) = text.split_once(['=', ':']).unwrap_or((&text, ""));
        let is_name = |value: &str| {
            !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b))
        };
        let known = match (key, value) {
            ("no-new-privileges", "" | "true") => {
                return Err("this has a key of its own: write no-new-privileges = true".to_owned());
            }
            ("seccomp" | "systempaths", "unconfined") => true,
            ("seccomp", _) => {
                return Err(format!(
                    "'{text}' names a profile in a file, which handover does not read: write seccomp=unconfined, or set the Engine's default (seccomp-profile in /etc/docker/daemon.json)"
                ));
            }
            ("apparmor", profile) => is_name(profile),
            ("label", word) => {
                let (word, value) = word.split_once(':').unwrap_or((word, ""));
                (word == "disable" && value.is_empty()) || (LABELS.contains(&word) && is_name(value))
            }
            _ if !KEYS.contains(&key) => {
                return Err(format!("'{key}' is not a security option: {}", nearest(key, KEYS)));
            }
            _ => false,
        };
        if known {
            return Ok(Self(format!("{key}={value}")));
        }
        Err(format!(
            "'{text}' is not a security option: write apparmor=PROFILE, label=disable, label=type:TYPE, seccomp=unconfined or systempaths=unconfined"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_options_as_docker_takes_them() {
        for (text, shown) in [
            ("seccomp=unconfined", "seccomp=unconfined"),
            ("seccomp:unconfined", "seccomp=unconfined"),
            ("apparmor=docker-default", "apparmor=docker-default"),
            ("label=disable", "label=disable"),
            ("label:type:svirt_apache", "label=type:svirt_apache"),
            ("systempaths=unconfined", "systempaths=unconfined"),
        ] {
            assert_eq!(SecurityOption::try_from(text.to_owned()).unwrap().to_string(), shown);
        }
        for (text, why) in [
            ("no-new-privileges:true", "key of its own"),
            ("seccomp=profile.json", "profile in a file"),
            ("apparmor=", "write apparmor=PROFILE"),
            ("label=nothing", "write apparmor=PROFILE"),
            ("aparmor=x", "did you mean 'apparmor'"),
            ("", "is not a security option"),
        ] {
            let error = SecurityOption::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
