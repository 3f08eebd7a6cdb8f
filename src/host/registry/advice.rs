//! What to do about a registry's problem: which endpoint, which permission, which file. Pure.

use super::RegistryProblem;
use crate::model::{Auth, ImageDigest, RepositoryName};

/// A request to a registry.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The repository.
    pub repository: &'a RepositoryName,
    /// How handover logs in.
    pub auth: &'a Auth,
    /// The region of ECR's token, where it is known.
    pub region: Option<&'a str>,
    /// What is asked for.
    pub wanted: Wanted<'a>,
}

/// What of a repository is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The digest of a tag.
    Tag(&'a str),
    /// The image of a digest.
    Digest(&'a ImageDigest),
}

impl Request<'_> {
    /// What to do about it; `text` is the Engine's message.
    pub fn advice(&self, problem: RegistryProblem, text: &str) -> Option<String> {
        let Self { repository: name, auth, .. } = self;
        let host = &name.host;
        Some(match problem {
            RegistryProblem::Unreachable | RegistryProblem::Silent => self.reachability(text),
            RegistryProblem::Denied => self.permission(text),
            RegistryProblem::Unauthorized => match auth {
                Auth::Ecr => format!(
                    "the registry does not accept ECR's token for {}: check 'region' in [image]",
                    self.region.unwrap_or("the instance's region")
                ),
                Auth::None => format!("'{host}' requires a login: add auth = {{ secret = \"NAME\" }} to [image]"),
                Auth::Secret(secret) => {
                    format!("'{host}' does not accept the username and password of [secret.{secret}]")
                }
            },
            RegistryProblem::NoManifest => match self.wanted {
                Wanted::Tag(tag) => format!("tag '{tag}' is not in {name}: was it pushed{}?", self.account_and_region()),
                Wanted::Digest(_) => format!(
                    "the image was in {name} when its tag was resolved, and is gone now: a lifecycle policy may have removed it; push it again, or start a new deployment"
                ),
            },
            RegistryProblem::NoRepository => {
                format!("there is no repository '{}' in '{host}': check its name{}", name.path, self.account_hint())
            }
            RegistryProblem::NoBlob => "the registry has the manifest, but not everything in it: push the image again".to_owned(),
            RegistryProblem::Damaged => {
                "what is downloaded does not match the manifest, every time: push the image again, or look for a proxy that changes it".to_owned()
            }
            RegistryProblem::Untrusted => format!("put the registry's CA certificate into /etc/docker/certs.d/{host}/ca.crt"),
            RegistryProblem::PlainHttp => format!(
                "'{host}' speaks HTTP without TLS: give it a certificate, or add it to insecure-registries in /etc/docker/daemon.json"
            ),
            RegistryProblem::Proxy => {
                "this is the Engine's own proxy: check 'systemctl show docker --property Environment' and /etc/docker/daemon.json".to_owned()
            }
            RegistryProblem::NoSpace => "free space on Docker's disk: see 'docker system df'".to_owned(),
            RegistryProblem::Throttled | RegistryProblem::Server | RegistryProblem::Engine | RegistryProblem::NoPlatform | RegistryProblem::Other => {
                return None;
            }
        })
    }

    fn account_and_region(&self) -> String {
        let ecr = self.repository.ecr();
        ecr.map(|(account, region)| format!(" to account {account} in {region}")).unwrap_or_default()
    }

    fn account_hint(&self) -> String {
        let ecr = self.repository.ecr();
        ecr.map(|(account, region)| format!(", account {account} and region {region}")).unwrap_or_default()
    }

    /// The VPC endpoint that a subnet without a NAT gateway needs.
    fn reachability(&self, text: &str) -> String {
        if text.contains("unexpected EOF") {
            return "the connection breaks in the middle of a layer, every time: look for a proxy or a firewall in between".to_owned();
        }
        let host = host_in(text).unwrap_or(&self.repository.host);
        let region = self.region.or_else(|| self.repository.ecr().map(|(_, region)| region));
        let region = region.unwrap_or("REGION");
        if host.contains(".amazonaws.com")
            && host.split('.').any(|part| part == "s3" || part.starts_with("s3-"))
        {
            return format!(
                "ECR keeps layers in S3: a subnet without a NAT gateway needs the gateway endpoint com.amazonaws.{region}.s3 in its route table"
            );
        }
        if host.contains(".dkr.ecr") || host.contains(".dkr-ecr") {
            return format!(
                "a subnet without a NAT gateway needs the interface endpoints com.amazonaws.{region}.ecr.dkr and .ecr.api (private DNS on, port 443 let in) and the gateway endpoint .s3"
            );
        }
        let private =
            if *self.auth == Auth::None { "" } else { ", and the VPC's resolver has to know its name" };
        format!(
            "check that this instance can reach '{host}': its route table and security group have to allow it{private}"
        )
    }

    /// The IAM action that is missing, and whose policy has to grant it.
    fn permission(&self, text: &str) -> String {
        let name = self.repository;
        let Some((account, _)) = name.ecr() else {
            let who = match self.auth {
                Auth::Ecr => "the instance's role".to_owned(),
                Auth::None => "a client without a login".to_owned(),
                Auth::Secret(secret) => format!("the user of [secret.{secret}]"),
            };
            return format!("{who} may not pull from {name}, or there is no such repository");
        };
        let layers = text.contains("GetDownloadUrlForLayer") || text.contains("BatchCheckLayerAvailability");
        let actions = match self.wanted {
            _ if layers => "ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability",
            Wanted::Tag(_) => "ecr:BatchGetImage",
            Wanted::Digest(_) if text.contains("BatchGetImage") => "ecr:BatchGetImage",
            Wanted::Digest(_) => {
                "ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability"
            }
        };
        let whose = match account_of_role(text) {
            Some(own) if own != account => {
                format!(", and the repository policy of account {account} has to grant it to account {own}")
            }
            Some(_) => String::new(),
            None => format!("; if {account} is not the instance's account, so does its repository policy"),
        };
        format!("the instance's role needs {actions} on {name}{whose}")
    }
}

/// The account of the role that was refused, from IAM's message.
fn account_of_role(text: &str) -> Option<&str> {
    let account = text.split("arn:aws").nth(1)?.split(':').nth(3)?;
    (account.len() == 12).then_some(account)
}

/// The host of the first URL or look-up in the Engine's message.
fn host_in(text: &str) -> Option<&str> {
    let rest = text.split_once("://").or_else(|| text.split_once("lookup "))?.1;
    rest.split(['/', '"', ' ', '?']).next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(
        repository: &str,
        auth: Auth,
        wanted: Wanted<'_>,
        problem: RegistryProblem,
        text: &str,
    ) -> String {
        let (host, path) = repository.split_once('/').unwrap();
        let repository = RepositoryName { host: host.to_owned(), path: path.to_owned() };
        let asked = Request { repository: &repository, auth: &auth, region: None, wanted };
        asked.advice(problem, text).unwrap_or_default()
    }

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app";

    #[test]
    fn an_unreachable_registry_names_the_missing_endpoint() {
        let unreachable =
            |text| advice(ECR, Auth::Ecr, Wanted::Tag("v1"), RegistryProblem::Unreachable, text);
        let ecr = unreachable(
            "Get \"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/\": dial tcp 10.0.0.1:443: i/o timeout",
        );
        assert!(ecr.contains("com.amazonaws.eu-west-1.ecr.dkr"), "{ecr}");
        for bucket in [
            "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com",
            "prod-eu-west-1-starport-layer-bucket.s3.dualstack.eu-west-1.amazonaws.com",
            "prod-eu-west-1-starport-layer-bucket.s3-eu-west-1.amazonaws.com",
        ] {
            let said = format!("Get \"https://{bucket}/ab?X-Amz-Signature=s\": dial tcp: i/o timeout");
            let s3 = advice(ECR, Auth::Ecr, Wanted::Tag("v1"), RegistryProblem::Unreachable, &said);
            assert!(s3.contains("com.amazonaws.eu-west-1.s3 "), "{s3}");
        }
        let other =
            advice("r.internal:5000/app", Auth::None, Wanted::Tag("v1"), RegistryProblem::Silent, "nothing");
        assert!(other.contains("'r.internal:5000'"), "{other}");
    }

    #[test]
    fn a_denied_request_names_the_action_and_the_policy() {
        let said = |account, action| {
            format!(
                "denied: User: arn:aws:sts::{account}:assumed-role/web/i-0 is not authorized to perform: ecr:{action}"
            )
        };
        let denied = |text: &str| advice(ECR, Auth::Ecr, Wanted::Tag("v1"), RegistryProblem::Denied, text);
        let own = denied(&said("123456789012", "BatchGetImage"));
        assert_eq!(own, format!("the instance's role needs ecr:BatchGetImage on {ECR}"));
        let cross = denied(&said("999999999999", "BatchGetImage"));
        assert!(cross.contains("repository policy of account 123456789012"), "{cross}");
        let layers = denied(&said("123456789012", "GetDownloadUrlForLayer"));
        assert!(
            layers.contains("ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability"),
            "{layers}"
        );
        let digest: ImageDigest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let storage =
            advice(ECR, Auth::Ecr, Wanted::Digest(&digest), RegistryProblem::Denied, "403 Forbidden");
        assert!(storage.contains("GetDownloadUrlForLayer"), "{storage}");
        let elsewhere = advice(
            "ghcr.io/o/a",
            Auth::Secret("gh".to_owned()),
            Wanted::Tag("v1"),
            RegistryProblem::Denied,
            "denied",
        );
        assert!(elsewhere.contains("[secret.gh]") && elsewhere.contains("ghcr.io/o/a"), "{elsewhere}");
    }

    #[test]
    fn a_missing_tag_a_missing_repository_and_a_digest_that_is_gone_are_distinguished() {
        let digest: ImageDigest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let missing = |wanted, problem| advice(ECR, Auth::Ecr, wanted, problem, "");
        let tag = missing(Wanted::Tag("v9"), RegistryProblem::NoManifest);
        assert!(tag.contains("tag 'v9' is not in") && tag.contains("eu-west-1"), "{tag}");
        let repository = missing(Wanted::Tag("v9"), RegistryProblem::NoRepository);
        assert!(repository.contains("no repository 'team/app'"), "{repository}");
        let gone = missing(Wanted::Digest(&digest), RegistryProblem::NoManifest);
        assert!(gone.contains("lifecycle policy"), "{gone}");
    }
}
