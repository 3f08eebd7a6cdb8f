//! Restart policies, in Docker's own notation.

use std::fmt;
use std::str::FromStr;

use bollard::models::{RestartPolicy as DockerPolicy, RestartPolicyNameEnum};

/// What the Engine does with a container that has exited, and at its own start.
///
/// At a boot, `unless-stopped` brings a container back unless it was stopped through the API; `always` also then; `no`
/// never (seen with Docker 20.10, by cutting the power).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Leave it stopped.
    No,
    /// Bring it back, always.
    Always,
    /// Bring it back unless it was stopped by hand.
    UnlessStopped,
    /// Bring it back when it failed.
    OnFailure {
        /// At most this often, or without limit with 0.
        retries: i64,
    },
}

impl RestartPolicy {
    pub(super) fn to_docker(self) -> DockerPolicy {
        let (name, retries) = match self {
            Self::No => (RestartPolicyNameEnum::NO, None),
            Self::Always => (RestartPolicyNameEnum::ALWAYS, None),
            Self::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
            Self::OnFailure { retries } => (RestartPolicyNameEnum::ON_FAILURE, Some(retries)),
        };
        DockerPolicy { name: Some(name), maximum_retry_count: retries }
    }

    pub(super) fn of_docker(policy: Option<&DockerPolicy>) -> Self {
        match policy.and_then(|p| p.name) {
            Some(RestartPolicyNameEnum::ALWAYS) => Self::Always,
            Some(RestartPolicyNameEnum::UNLESS_STOPPED) => Self::UnlessStopped,
            Some(RestartPolicyNameEnum::ON_FAILURE) => {
                let retries = policy.and_then(|p| p.maximum_retry_count).unwrap_or_default();
                Self::OnFailure { retries }
            }
            _ => Self::No,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure { retries: 0 } => f.write_str("on-failure"),
            Self::OnFailure { retries } => write!(f, "on-failure:{retries}"),
        }
    }
}

/// A word that is not a restart policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not a restart policy")]
pub struct UnknownPolicy(String);

impl FromStr for RestartPolicy {
    type Err = UnknownPolicy;
    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "no" => Ok(Self::No),
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "on-failure" => Ok(Self::OnFailure { retries: 0 }),
            _ => text
                .strip_prefix("on-failure:")
                .and_then(|retries| retries.parse().ok())
                .map(|retries| Self::OnFailure { retries })
                .ok_or_else(|| UnknownPolicy(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_survives_its_notation_and_dockers() {
        for policy in [
            RestartPolicy::No,
            RestartPolicy::Always,
            RestartPolicy::UnlessStopped,
            RestartPolicy::OnFailure { retries: 0 },
            RestartPolicy::OnFailure { retries: 5 },
        ] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(RestartPolicy::of_docker(Some(&policy.to_docker())), policy);
        }
        assert!("sometimes".parse::<RestartPolicy>().is_err());
    }
}
