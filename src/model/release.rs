//! The nouns: what a deployment is about, as types that cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a word is not valid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{value}' is not {expected}")]
pub struct Malformed {
    value: String,
    expected: &'static str,
}

impl Malformed {
    fn new(value: &str, expected: &'static str) -> Self {
        Self { value: value.to_owned(), expected }
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The word itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(value: &str) -> Result<Self, Malformed> {
                let check: fn(&str) -> bool = $check;
                if check(value) { Ok(Self(value.to_owned())) } else { Err(Malformed::new(value, $expected)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(value: String) -> Result<Self, Malformed> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// The name of an app: part of container names, of paths and of the lock's name.
    AppName,
    "a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter first",
    is_name
);
word!(
    /// The name of a process of an app, such as `web`.
    ProcessName,
    "a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter first",
    is_name
);
word!(
    /// The name of an image of an app: `default` for `[image]`, `front` for `[image.front]`.
    ImageName,
    "a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter first",
    is_name
);
word!(
    /// The name of a check of an app: `database` for `[check.database]`.
    CheckName,
    "a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter first",
    is_name
);
word!(
    /// What one deployment is known by: `CodeDeploy`'s `DEPLOYMENT_ID`, or one of our own for an operator's run.
    ///
    /// Ids are random: there is no newer or older one.
    DeploymentId,
    "a deployment id: letters, digits, '-', '_' and '.', at most 128",
    |s| !s.is_empty() && s.len() <= 128 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
);
word!(
    /// The digest of an image's manifest or index: `sha256:` and 64 hexadecimal digits.
    ImageDigest,
    "an image digest: 'sha256:' and 64 lower-case hexadecimal digits",
    |s| s.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
);

fn is_name(s: &str) -> bool {
    s.len() <= 40
        && s.starts_with(|c: char| c.is_ascii_lowercase())
        && !s.ends_with('-')
        && !s.contains("--")
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl DeploymentId {
    /// A fresh id for a run that an operator starts, distinguished from `CodeDeploy`'s by its prefix.
    pub fn for_operator(now: jiff::Timestamp) -> Self {
        Self(format!("op-{}-{}", now.as_millisecond(), std::process::id()))
    }

    /// Whether it is one of those.
    pub fn is_of_operator(&self) -> bool {
        self.0.starts_with("op-")
    }
}

impl ImageName {
    /// The image of every process that names none.
    pub fn default_image() -> Self {
        Self("default".to_owned())
    }
}

impl ImageDigest {
    /// The first twelve digits, as people quote it.
    pub fn short(&self) -> &str {
        &self.0["sha256:".len()..][..12]
    }
}

/// The number of a release on this instance: 1 for the first, and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u64);

impl ReleaseNumber {
    /// The first of an instance.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl FromStr for ReleaseNumber {
    type Err = Malformed;
    fn from_str(value: &str) -> Result<Self, Malformed> {
        let number = value.strip_prefix('r').unwrap_or(value);
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let parsed = number.parse().ok().filter(|number| digits && *number > 0);
        parsed.map(Self).ok_or_else(|| Malformed::new(value, "the number of a release, such as r12"))
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// An image by what it is, not by a name that can move: `repository@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Registry host and path, without tag or digest; empty for an image that was on this instance before.
    pub repository: String,
    /// The manifest's digest; of one that was on this instance its id.
    pub digest: ImageDigest,
}

impl ImageRef {
    /// An image that was on this instance before, by its id.
    pub fn local(id: ImageDigest) -> Self {
        Self { repository: String::new(), digest: id }
    }

    /// Whether it is one: no registry has it, and it is not handover's to remove.
    pub fn is_local(&self) -> bool {
        self.repository.is_empty()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            return write!(f, "{}", self.digest);
        }
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

/// The names that handover gives to the images of its releases. A plain `docker image prune` takes what has no tag, and
/// what is pulled by its digest has none.
pub mod image_tag {
    use super::{AppName, ImageName, ReleaseNumber};

    /// What all repositories of ours begin with. No registry is behind them.
    pub const REPOSITORIES: &str = "handover/";

    /// `handover/status-page`: the repository of an app's images.
    pub fn repository(app: &AppName) -> String {
        format!("{REPOSITORIES}{app}")
    }

    /// `r12`: the tag of a release's default image; `r12-front` that of its image `front`.
    pub fn of_release(image: &ImageName, release: ReleaseNumber) -> String {
        if *image == ImageName::default_image() { release.to_string() } else { format!("{release}-{image}") }
    }

    /// The release that a tag is of.
    pub fn release_of(tag: &str) -> Option<ReleaseNumber> {
        tag.split('-').next()?.parse().ok()
    }
}

/// The names of networks.
pub mod network_name {
    use super::{AppName, ReleaseNumber};

    /// `status-page.r12`: on it the containers of a release find each other.
    pub fn of_release(app: &AppName, release: ReleaseNumber) -> String {
        format!("{app}.{release}")
    }

    /// `status-page.r12.bridge`: on it the candidates of a release find each other, and nobody else's.
    pub fn of_candidates(app: &AppName, release: ReleaseNumber) -> String {
        format!("{app}.{release}.bridge")
    }

    /// What the names of all of them begin with.
    pub fn prefix(app: &AppName) -> String {
        format!("{app}.r")
    }
}

/// The names of volumes.
pub mod volume_name {
    use super::{AppName, ReleaseNumber};

    /// `status-page-static.r12`: what the containers of a release share under the name `static`.
    pub fn of_release(app: &AppName, name: &str, release: ReleaseNumber) -> String {
        format!("{app}-{name}.{release}")
    }
}

/// The names of a process's containers. The name is the role: a rename is durable, and a name in use is a mutex.
pub mod container_name {
    use super::{AppName, ProcessName, ReleaseNumber};

    /// `status-page-web`: the container that serves.
    pub fn live(app: &AppName, process: &ProcessName) -> String {
        format!("{app}-{process}")
    }

    /// `status-page-web.r12`: a release's container before it is live, and later when it is parked.
    pub fn of_release(app: &AppName, process: &ProcessName, release: ReleaseNumber) -> String {
        format!("{app}-{process}.{release}")
    }

    /// `status-page-web.r12.bridge`: the release's second container of a process, which carries the traffic while the
    /// published port changes hands.
    pub fn bridge(app: &AppName, process: &ProcessName, release: ReleaseNumber) -> String {
        format!("{app}-{process}.{release}.bridge")
    }

    /// `status-page-web.r12.run-4711`: where an operator's command runs, by the id of the process that started it.
    pub fn one_off(app: &AppName, process: &ProcessName, release: ReleaseNumber, pid: u32) -> String {
        format!("{app}-{process}.{release}.run-{pid}")
    }

    /// `status-page-migrate.r12.task`: where a task runs.
    pub fn task(app: &AppName, task: &ProcessName, release: ReleaseNumber) -> String {
        format!("{app}-{task}.{release}.task")
    }

    /// `status-page-migrate.r12.unless`: where it is found out whether a task has anything to do.
    pub fn unless(app: &AppName, task: &ProcessName, release: ReleaseNumber) -> String {
        format!("{app}-{task}.{release}.unless")
    }

    /// `status-page-service-database`: a server beside the app, which belongs to no release.
    pub fn service(app: &AppName, service: &ProcessName) -> String {
        format!("{app}-service-{service}")
    }

    /// `status-page-web.before-r12`: a parked container that handover did not create, from which release 12 took over.
    pub fn predecessor(app: &AppName, process: &ProcessName, release: ReleaseNumber) -> String {
        format!("{app}-{process}.before-{release}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_checked_where_they_enter() {
        assert!("status-page".parse::<AppName>().is_ok());
        for bad in ["", "Status", "a--b", "a-", "-a", "a_b", "../x", "1a"] {
            assert!(bad.parse::<AppName>().is_err(), "{bad}");
        }
        let digest = format!("sha256:{}", "0af".repeat(22).get(..64).unwrap());
        assert_eq!(digest.parse::<ImageDigest>().unwrap().short(), "0af0af0af0af");
        assert!("sha256:xyz".parse::<ImageDigest>().is_err());
        assert!("d-ABC123DEF".parse::<DeploymentId>().is_ok());
        assert!("a/b".parse::<DeploymentId>().is_err());
        assert_eq!(["r12", "12"].map(str::parse), [Ok(ReleaseNumber(12)), Ok(ReleaseNumber(12))]);
        for bad in ["", "r", "r0", "+1", "rr1", "-1", "1.0"] {
            assert!(bad.parse::<ReleaseNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn images_of_a_release_have_a_tag_each() {
        let (app, front) = ("status-page".parse().unwrap(), "front".parse().unwrap());
        assert_eq!(image_tag::repository(&app), "handover/status-page");
        let tags =
            [ImageName::default_image(), front].map(|image| image_tag::of_release(&image, ReleaseNumber(12)));
        assert_eq!(tags, ["r12", "r12-front"]);
        assert!(tags.iter().all(|tag| image_tag::release_of(tag) == Some(ReleaseNumber(12))));
        assert_eq!(image_tag::release_of("latest"), None);
    }

    #[test]
    fn names_are_roles() {
        let (app, web) = ("status-page".parse().unwrap(), "web".parse().unwrap());
        assert_eq!(container_name::live(&app, &web), "status-page-web");
        let names = [container_name::of_release, container_name::bridge, container_name::predecessor]
            .map(|name| name(&app, &web, ReleaseNumber(12)));
        assert_eq!(
            names,
            ["status-page-web.r12", "status-page-web.r12.bridge", "status-page-web.before-r12"]
        );
    }
}
