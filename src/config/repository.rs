//! Where an image comes from, read off its repository's name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A repository of Amazon ECR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Repository {
    /// With the registry's host: account and region are in its name.
    Full(EcrRepository),
    /// Only a path: in the account and region of the instance.
    Here(String),
}

/// A repository with everything that its host name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrRepository {
    /// The registry's host.
    pub host: String,
    /// The path below it.
    pub path: String,
    /// The twelve digits of the account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl EcrRepository {
    /// The repository `path` in an account's private registry.
    pub fn of(account: &str, region: &str, path: &str) -> Self {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Self {
            host: format!("{account}.dkr.ecr.{region}.{suffix}"),
            path: path.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }
}

impl fmt::Display for EcrRepository {
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
fn account_and_region(host: &str) -> Option<(String, String)> {
    let (account, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix("dkr.ecr").or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let (region, suffix) = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_region = region.contains('-') && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_account && is_region && SUFFIXES.contains(&suffix)).then(|| (account.to_owned(), region.to_owned()))
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
        if !path.split('/').all(part) {
            return Err(format!(
                "'{text}' is not a repository: write it without tag and digest, such as \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app\""
            ));
        }
        match host {
            None => Ok(Self::Here(path.to_owned())),
            Some(host) => account_and_region(host)
                .map(|(account, region)| {
                    Self::Full(EcrRepository {
                        host: host.to_owned(),
                        path: path.to_owned(),
                        account,
                        region,
                    })
                })
                .ok_or_else(|| {
                    format!(
                        "'{host}' is not a host of Amazon ECR, and handover {} knows no other registries yet",
                        env!("CARGO_PKG_VERSION")
                    )
                }),
        }
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> String {
        match repository {
            Repository::Full(full) => full.to_string(),
            Repository::Here(path) => path,
        }
    }
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
            let Ok(Repository::Full(full)) = parse(&format!("{host}/team/app")) else { panic!("{host}") };
            assert_eq!(
                (full.account.as_str(), full.region.as_str(), full.path.as_str()),
                ("123456789012", region, "team/app")
            );
            assert_eq!(full.to_string(), format!("{host}/team/app"));
        }
    }

    #[test]
    fn a_path_alone_is_in_the_instances_own_account() {
        assert_eq!(parse("status-page"), Ok(Repository::Here("status-page".to_owned())));
        assert_eq!(
            EcrRepository::of("123456789012", "cn-north-1", "x").to_string(),
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x"
        );
    }

    #[test]
    fn what_is_not_a_repository_is_refused() {
        for bad in [
            "docker.io/library/nginx",
            "12345.dkr.ecr.eu-west-1.amazonaws.com/app",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/app",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "app:latest",
            "app@sha256:00",
            "App",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
