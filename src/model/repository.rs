//! Names of repositories, and what they say about their registry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A repository as it was written: in any registry, or only a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Repository {
    /// With the registry's host.
    Full(RepositoryName),
    /// Only a path: in ECR, in the account and region of the instance.
    Here(String),
}

/// The full name of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    /// The registry's host, with its port if it has one.
    pub host: String,
    /// The path below it.
    pub path: String,
}

impl RepositoryName {
    /// The repository `path` in an account's private registry.
    pub fn in_ecr(account: &str, region: &str, path: &str) -> Self {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Self { host: format!("{account}.dkr.ecr.{region}.{suffix}"), path: path.to_owned() }
    }

    /// The account and region of a registry of ECR.
    pub fn ecr(&self) -> Option<(&str, &str)> {
        account_and_region(&self.host)
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// What follows the region in the hosts of each partition, plain and dual-stack; from the pattern that Amazon's
/// credential helper accepts (amazon-ecr-credential-helper, `ecr-login/api/client.go`).
const SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "on.amazonwebservices.eu",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// Account and region from `ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX` or its dual-stack form `ACCOUNT.dkr-ecr[-fips].…`.
fn account_and_region(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once('.')?;
    let (region, suffix) = region_and_suffix(rest)?;
    (is_account(account) && SUFFIXES.contains(&suffix)).then_some((account, region))
}

fn region_and_suffix(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.strip_prefix("dkr.ecr").or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let (region, suffix) = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?.split_once('.')?;
    let is_region = region.contains('-') && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_region.then_some((region, suffix))
}

impl Repository {
    /// The region that its host names: of ECR itself, or of a VPC endpoint for it
    /// (`vpce-….dkr.ecr.REGION.vpce.amazonaws.com`).
    pub fn region(&self) -> Option<&str> {
        let Self::Full(name) = self else { return None };
        let endpoint = || {
            let (region, suffix) = region_and_suffix(name.host.split_once('.')?.1)?;
            ["vpce.amazonaws.com", "vpce.amazonaws.com.cn"].contains(&suffix).then_some(region)
        };
        name.ecr().map(|(_, region)| region).or_else(endpoint)
    }
}

impl TryFrom<String> for Repository {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (first, rest) = text.split_once('/').unwrap_or((&text, ""));
        let has_host = first.contains(['.', ':']) || first == "localhost";
        let (host, path) = if has_host { (Some(first), rest) } else { (None, text.as_str()) };
        let part = |p: &str| {
            !p.is_empty()
                && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
        };
        if !path.split('/').all(part) || !host.is_none_or(is_host) {
            return Err(format!(
                "'{text}' is not a repository: write it without tag and digest, such as \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app\""
            ));
        }
        let path = path.to_owned();
        Ok(match host {
            None => Self::Here(path),
            Some(host) => Self::Full(RepositoryName { host: host.to_owned(), path }),
        })
    }
}

/// A name or an IPv4 address, and a port. The Engine takes upper-case letters for another host.
fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |l: &str| {
        !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl From<Repository> for String {
    fn from(repository: Repository) -> String {
        match repository {
            Repository::Full(name) => name.to_string(),
            Repository::Here(path) => path,
        }
    }
}

/// Whether this is the number of an account of AWS's.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Repository, String> {
        Repository::try_from(text.to_owned())
    }

    #[test]
    fn account_and_region_are_read_off_every_kind_of_host() {
        for (host, region) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
            ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "us-east-1"),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ] {
            let repository = parse(&format!("{host}/team/app")).unwrap();
            assert_eq!(repository.region(), Some(region));
            let Repository::Full(name) = repository else { panic!("{host}") };
            assert_eq!(name.ecr(), Some(("123456789012", region)));
            assert_eq!(name.to_string(), format!("{host}/team/app"));
        }
    }

    #[test]
    fn other_registries_are_not_taken_for_ecr() {
        for host in [
            "ghcr.io",
            "docker.io",
            "localhost",
            "localhost:5000",
            "registry.internal:5000",
            "10.0.0.1:5000",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "vpce-0123-abcd.dkr.ecr.eu-west-1.vpce.amazonaws.com.evil.example",
        ] {
            let Ok(Repository::Full(name)) = parse(&format!("{host}/library/app")) else { panic!("{host}") };
            assert_eq!((name.host.as_str(), name.path.as_str(), name.ecr()), (host, "library/app", None));
        }
    }

    #[test]
    fn a_vpc_endpoint_says_its_region_and_no_account() {
        for host in [
            "vpce-0123456789abcdef0-abcdefgh.dkr.ecr.eu-west-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcdefgh-eu-west-1a.dkr.ecr.eu-west-1.vpce.amazonaws.com",
        ] {
            let repository = parse(&format!("{host}/app")).unwrap();
            assert_eq!(repository.region(), Some("eu-west-1"), "{host}");
            assert!(matches!(repository, Repository::Full(name) if name.ecr().is_none()));
        }
        let elsewhere = parse("vpce-1.dkr.ecr.eu-west-1.vpce.example.com/app").unwrap();
        assert_eq!(elsewhere.region(), None);
    }

    #[test]
    fn a_path_alone_is_in_the_instances_own_account() {
        assert_eq!(parse("status-page"), Ok(Repository::Here("status-page".to_owned())));
        assert_eq!(
            RepositoryName::in_ecr("123456789012", "cn-north-1", "x").to_string(),
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x"
        );
    }

    #[test]
    fn what_is_not_a_repository_is_refused() {
        for bad in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "https://ghcr.io/org/app",
            "GHCR.io/org/app",
            "ghcr.io/org/app:latest",
            "ghcr.io:port/app",
            "ghcr.io:0/app",
            "ghcr..io/app",
            "user@ghcr.io/app",
            "app:latest",
            "app@sha256:00",
            "App",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
