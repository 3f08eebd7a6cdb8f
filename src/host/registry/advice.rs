//! What to do about a registry's problem: which endpoint, which permission, which file. Pure.

use super::RegistryProblem;
use crate::host::iam::Refusal;
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
    /// The same of a tag that the registry knows, and whose image it does not have, or not yet: a pull-through cache fills.
    Filling(&'a str),
    /// The image of a digest.
    Digest(&'a ImageDigest),
    /// The same of one that the bundle names.
    Pinned(&'a ImageDigest),
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
                Wanted::Pinned(_) => format!(
                    "the bundle is pinned to this image, and {name} does not have it: push it there, too, or pin the bundle anew (handover pin); a lifecycle policy may have removed it"
                ),
                Wanted::Filling(_) | Wanted::Digest(_) => format!(
                    "its tag means this image, and {name} does not have it: a pull-through cache may still be filling (deploy again in a minute), or a lifecycle policy has removed it (push it again)"
                ),
            },
            RegistryProblem::NoRepository => {
                format!("there is no repository '{}' in '{host}': check its name{}", name.path, self.account_hint())
            }
            RegistryProblem::NoBlob => "the registry has the manifest, but not everything in it: push the image again".to_owned(),
            RegistryProblem::Damaged => {
                "what is downloaded does not match the manifest, every time: push the image again, or look for a proxy that changes it".to_owned()
            }
            RegistryProblem::Untrusted => self.trust(text),
            RegistryProblem::PlainHttp => format!(
                "'{host}' speaks HTTP without TLS: give it a certificate, or add it to insecure-registries in /etc/docker/daemon.json"
            ),
            RegistryProblem::Proxy | RegistryProblem::ProxyRefuses => proxy(problem, text),
            RegistryProblem::Unreadable => {
                "Docker before 23 cannot unpack layers that are compressed with zstd: take Docker 23 or newer, or build the image with gzip (docker buildx build --output type=image,compression=gzip,force-compression=true)".to_owned()
            }
            RegistryProblem::Throttled => self.throttled(),
            RegistryProblem::NoSpace => "free space on Docker's disk: see 'docker system df'".to_owned(),
            RegistryProblem::Server | RegistryProblem::Engine | RegistryProblem::NoPlatform | RegistryProblem::Other => {
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

    /// What to do about a certificate. The host is the message's: layers are elsewhere than manifests.
    fn trust(&self, text: &str) -> String {
        let host = host_in(text).unwrap_or(&self.repository.host);
        if text.contains("expired or is not yet valid") {
            return format!(
                "the certificate of '{host}' has expired, or this instance's clock is wrong: see 'timedatectl'"
            );
        }
        if text.contains("certificate is valid for") || text.contains("doesn't contain any IP SANs") {
            return format!(
                "'{host}' answers with a certificate for another name: write the name that its certificate has"
            );
        }
        let ours = format!("put the CA certificate into /etc/docker/certs.d/{host}/ca.crt");
        if host.contains(".amazonaws.com") || PUBLIC.contains(&host) {
            return format!(
                "its own certificate is trusted everywhere, so something in between answers instead, such as a proxy that inspects TLS: {ours}, or into the system's trust store (then: systemctl restart docker)"
            );
        }
        ours
    }

    /// Who asks too often: the fleet, or everybody behind one address.
    fn throttled(&self) -> String {
        match self.auth {
            Auth::None => format!(
                "without a login '{}' answers only so many requests of one address: log in (auth = {{ secret = \"NAME\" }}), or pull through a cache of ECR's (pull-through cache rule)",
                self.repository.host
            ),
            Auth::Ecr | Auth::Secret(_) => "deploy to fewer instances at a time, or later".to_owned(),
        }
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

    /// The IAM action that is missing, and whose policy has to grant it. The one that IAM names is the one.
    fn permission(&self, text: &str) -> String {
        let name = self.repository;
        let refusal = Refusal::in_text(text);
        let Some((account, _)) = name.ecr() else {
            if let Some(refusal) = refusal {
                return format!(
                    "allow {} to whoever pulls from {name}{}",
                    refusal.action,
                    refusal.beside_the_role()
                );
            }
            let who = match self.auth {
                Auth::Ecr => "the instance's role".to_owned(),
                Auth::None => "a client without a login".to_owned(),
                Auth::Secret(secret) => format!("the user of [secret.{secret}]"),
            };
            return format!("{who} may not pull from {name}, or there is no such repository");
        };
        let (action, own) =
            (refusal.map(|refusal| refusal.action), refusal.and_then(|refusal| refusal.account));
        let actions = match (action, self.wanted) {
            (Some(action), _) if PULL_THROUGH.contains(&action) => PULL_THROUGH.join(" and "),
            (Some(action), _) if LAYERS.contains(&action) => LAYERS.join(" and "),
            (Some(action), _) => action.to_owned(),
            (None, Wanted::Tag(_) | Wanted::Filling(_) | Wanted::Pinned(_)) => "ecr:BatchGetImage".to_owned(),
            (None, Wanted::Digest(_)) => format!("ecr:BatchGetImage, {}", LAYERS.join(" and ")),
        };
        // An action of another service is about another thing than the repository.
        let on = match refusal.and_then(|refusal| refusal.resource) {
            Some(resource) if action.is_some_and(|action| !action.starts_with("ecr:")) => resource.to_owned(),
            _ => name.to_string(),
        };
        let whose = match own {
            Some(own) if own != account => {
                format!(", and the repository policy of account {account} has to grant it to account {own}")
            }
            Some(_) => String::new(),
            None => format!("; if {account} is not the instance's account, so does its repository policy"),
        };
        let why = if action.is_some_and(|action| PULL_THROUGH.contains(&action)) {
            ": it is below a pull-through cache rule, which fetches what the account does not have yet"
        } else {
            ""
        };
        let beside = refusal.map(|refusal| refusal.beside_the_role()).unwrap_or_default();
        format!("the instance's role needs {actions} on {on}{whose}{beside}{why}")
    }
}

/// What a pull needs beside the manifest.
const LAYERS: [&str; 2] = ["ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"];

/// What a pull through ECR's own cache needs when the image, or its repository, is not in the account yet.
const PULL_THROUGH: [&str; 2] = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"];

/// Registries whose certificates everybody trusts.
const PUBLIC: [&str; 6] =
    ["docker.io", "registry-1.docker.io", "public.ecr.aws", "ghcr.io", "quay.io", "gcr.io"];

/// What to do about the Engine's proxy, which is not ours.
fn proxy(problem: RegistryProblem, text: &str) -> String {
    let place = "the Engine has a proxy of its own: see 'systemctl show docker --property Environment' and \"proxies\" in /etc/docker/daemon.json";
    if problem == RegistryProblem::ProxyRefuses {
        let host = host_in(text).unwrap_or("the registry");
        return format!(
            "its proxy does not let it through to '{host}': allow it there, or add it to NO_PROXY; {place}"
        );
    }
    match text.split_once("proxyconnect tcp: ").and_then(|(_, why)| after_dial(why)) {
        Some(address) => {
            format!("the proxy {address} cannot be reached or is not well: check that it runs; {place}")
        }
        None => format!("its proxy cannot be reached or is not well; {place}"),
    }
}

/// The address in Go's `dial tcp 10.0.0.9:3128: connect: …`, `dial tcp: lookup NAME on …`.
fn after_dial(why: &str) -> Option<&str> {
    let rest = why.strip_prefix("dial tcp")?;
    let rest = rest.strip_prefix(": lookup ").or_else(|| rest.strip_prefix(' '))?;
    rest.split_whitespace().next().map(|address| address.trim_end_matches(':'))
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
        for action in ["BatchImportUpstreamImage", "CreateRepository"] {
            let cache = denied(&said("123456789012", action));
            assert!(
                cache.contains("needs ecr:BatchImportUpstreamImage and ecr:CreateRepository on")
                    && cache.contains("pull-through"),
                "{cache}"
            );
        }
        let other = denied(&said("123456789012", "ReplicateImage"));
        assert!(other.contains("needs ecr:ReplicateImage on"), "{other}");
        let key = denied(&format!(
            "{} on resource: arn:aws:kms:x",
            said("123456789012", "x").replace("ecr:x", "kms:Decrypt")
        ));
        assert!(key.contains("needs kms:Decrypt on arn:aws:kms:x"), "{key}");
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
    fn a_certificate_is_about_the_host_that_showed_it() {
        let said = |host: &str, why: &str| {
            let text = format!("Get \"https://{host}/v2/\": x509: {why}");
            advice(ECR, Auth::Ecr, Wanted::Tag("v1"), RegistryProblem::Untrusted, &text)
        };
        let unknown = "certificate signed by unknown authority";
        for (host, why, words) in [
            ("r.internal", unknown, ["/etc/docker/certs.d/r.internal/ca.crt", "CA"]),
            (
                "b.s3.eu-west-1.amazonaws.com",
                unknown,
                ["inspects TLS", "certs.d/b.s3.eu-west-1.amazonaws.com/"],
            ),
            (
                "r.internal",
                "certificate has expired or is not yet valid: current time",
                ["expired", "timedatectl"],
            ),
            (
                "r.internal",
                "certificate is valid for a.internal, not r.internal",
                ["another name", "r.internal"],
            ),
        ] {
            let fix = said(host, why);
            assert!(words.iter().all(|word| fix.contains(word)), "{fix}");
        }
    }

    #[test]
    fn a_proxy_is_named_and_is_the_engines() {
        for (problem, text, words) in [
            (
                RegistryProblem::Proxy,
                "Get \"https://h/v2/\": proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
                ["10.0.0.9:3128", "daemon.json"],
            ),
            (
                RegistryProblem::Proxy,
                "Get \"https://h/v2/\": proxyconnect tcp: dial tcp: lookup squid.internal on 10.0.0.2:53: no such host",
                ["squid.internal", "daemon.json"],
            ),
            (
                RegistryProblem::ProxyRefuses,
                "Get \"https://h/v2/\": Forbidden",
                ["through to 'h'", "NO_PROXY"],
            ),
        ] {
            let fix = advice(ECR, Auth::Ecr, Wanted::Tag("v1"), problem, text);
            assert!(words.iter().all(|word| fix.contains(word)) && !fix.contains("endpoint"), "{fix}");
        }
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
        assert_eq!(missing(Wanted::Filling("v9"), RegistryProblem::NoManifest), gone);
        let pinned = missing(Wanted::Pinned(&digest), RegistryProblem::NoManifest);
        assert!(pinned.contains("push it there, too") && pinned.contains("handover pin"), "{pinned}");
    }
}
