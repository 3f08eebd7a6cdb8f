//! Why a registry refused. The Engine passes its answer on as text, mostly with status 500 or in a stream that began with
//! 200, so only the text distinguishes the reasons.

use crate::host::docker::DockerError;

/// Why a registry did not give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryProblem {
    /// There were too many requests.
    Throttled,
    /// It has an error of its own.
    Server,
    /// It could not be reached, or the connection broke.
    Unreachable,
    /// Nothing came for too long.
    Silent,
    /// The Engine itself was not there, as while it restarts.
    Engine,
    /// It does not accept the login: there is none, it has expired, or it is not valid yet.
    Unauthorized,
    /// The data does not match its digest.
    Damaged,
    /// The login is known, but has no permission.
    Denied,
    /// It has the repository, but not this tag or digest.
    NoManifest,
    /// It has no such repository.
    NoRepository,
    /// It has the manifest, but not everything in it.
    NoBlob,
    /// The image is for other platforms.
    NoPlatform,
    /// Its certificate is not trusted.
    Untrusted,
    /// It speaks HTTP without TLS.
    PlainHttp,
    /// The Engine's proxy cannot be reached, or is not well.
    Proxy,
    /// The Engine's proxy does not let it through.
    ProxyRefuses,
    /// What was downloaded is in no form that this Engine can unpack.
    Unreadable,
    /// There is no room for the image.
    NoSpace,
    /// Something else.
    Other,
}

/// The words by which each is known, in lower case. The first match counts.
const WORDS: &[(RegistryProblem, &[&str])] = &[
    (RegistryProblem::NoSpace, &["no space left on device"]),
    (RegistryProblem::Throttled, &["toomanyrequests", "too many requests", "rate exceeded", "http 429"]),
    // Go has nothing but the words of the proxy's status: `Get "https://…": Forbidden`.
    (
        RegistryProblem::ProxyRefuses,
        &["proxy authentication required", " : forbidden", " : method not allowed"],
    ),
    // Where a repository is private or missing, Docker Hub says so. Before the 401 that it comes with.
    (RegistryProblem::Denied, &["insufficient_scope"]),
    (
        RegistryProblem::Unauthorized,
        &[
            "token has expired",
            "no basic auth credentials",
            "unauthorized",
            "authentication required",
            "http 401",
        ],
    ),
    (RegistryProblem::Untrusted, &["x509:"]),
    (
        RegistryProblem::PlainHttp,
        &["server gave http response to https client", "first record does not look like a tls handshake"],
    ),
    (
        RegistryProblem::Proxy,
        &["proxyconnect", " : bad gateway", " : service unavailable", " : gateway timeout"],
    ),
    (RegistryProblem::Unreadable, &["archive/tar: invalid tar header"]),
    (RegistryProblem::NoPlatform, &["no matching manifest for", "no match for platform"]),
    (
        RegistryProblem::Damaged,
        &[
            "filesystem layer verification failed",
            "manifest verification failed",
            "unexpected commit digest",
            "unexpected commit size",
            "failed size validation",
        ],
    ),
    (RegistryProblem::Denied, &["access denied", "accessdenied", "denied:", "403 forbidden", "http 403"]),
    (RegistryProblem::NoRepository, &["name unknown", "repository name not known"]),
    (RegistryProblem::NoBlob, &["unknown blob", "blob unknown"]),
    (RegistryProblem::NoManifest, &["manifest unknown", "not found", "http 404"]),
    (
        RegistryProblem::Server,
        &[
            "500 internal",
            "502 bad",
            "503 service",
            "504 gateway",
            "http 500",
            "http 502",
            "http 503",
            "http 504",
            "unavailable:",
        ],
    ),
    (
        RegistryProblem::Unreachable,
        &[
            "timeout",
            "deadline exceeded",
            "connection reset",
            "connection refused",
            "short read",
            "broken pipe",
            "eof",
            "no such host",
            "server misbehaving",
            "temporary failure",
            "no route to host",
            "network is unreachable",
        ],
    ),
];

/// Classifies an answer of the Engine about a registry. Pure.
pub fn classify(status: u16, text: &str) -> RegistryProblem {
    if status == 429 {
        return RegistryProblem::Throttled;
    }
    let text = unquoted(text).to_ascii_lowercase();
    if lacks_a_blob(&text) {
        return RegistryProblem::NoBlob;
    }
    let known = WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    match (known, status) {
        (Some((problem, _)), _) => *problem,
        (None, 401) => RegistryProblem::Unauthorized,
        (None, 403) => RegistryProblem::Denied,
        (None, 404) => RegistryProblem::NoManifest,
        (None, 502..=504) => RegistryProblem::Server,
        (None, _) => RegistryProblem::Other,
    }
}

/// Where images are in containerd, one sentence serves for a manifest and for a layer that is not there: `content at URL not
/// found`. The URL tells.
fn lacks_a_blob(text: &str) -> bool {
    let missing = text.split_once("content at ").and_then(|(_, rest)| rest.split_once(" not found"));
    missing.is_some_and(|(url, _)| url.contains("/blobs/"))
}

/// Without the text in quotes: addresses and names of images may contain any word.
fn unquoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

impl RegistryProblem {
    /// What a failed call means.
    pub fn of(error: &DockerError) -> Self {
        match error {
            DockerError::Refused { status, message, .. } => classify(*status, message),
            DockerError::Slow { .. } => Self::Silent,
            DockerError::Unreachable { .. } | DockerError::Incomplete { .. } => Self::Engine,
            DockerError::Failed { .. }
            | DockerError::NoNetwork { .. }
            | DockerError::NetworkTaken { .. }
            | DockerError::VolumeTaken { .. }
            | DockerError::NoAddresses { .. }
            | DockerError::PortHeld { .. }
            | DockerError::Elsewhere { .. } => Self::Other,
        }
    }

    /// How often to ask, all in all. Five, as the ECS agent does (`agent/dockerclient/dockerapi/docker_client.go`),
    /// where a moment may help; three where a fresh login or a fresh download may; else once.
    pub fn tries(self) -> usize {
        match self {
            Self::Throttled | Self::Server | Self::Unreachable | Self::Engine | Self::Proxy => 5,
            Self::Silent | Self::Unauthorized | Self::Damaged => 3,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RegistryProblem::*;
    use super::*;

    /// What Docker 20.10 said in a lab about registries that were made to answer like this.
    const ENGINE_20_10: &[(u16, &str, RegistryProblem)] = &[
        (429, "toomanyrequests: Rate exceeded", Throttled),
        (500, "toomanyrequests: Rate exceeded", Throttled),
        (
            500,
            "error parsing HTTP 429 response body: invalid character 'o' in literal true (expecting 'r'): \"too many\"",
            Throttled,
        ),
        (500, "received unexpected HTTP status: 500 Internal Server Error", Server),
        (500, "received unexpected HTTP status: 502 Bad Gateway", Server),
        (500, "received unexpected HTTP status: 503 Service Unavailable", Server),
        (500, "received unexpected HTTP status: 504 Gateway Timeout", Server),
        (401, "unauthorized", Unauthorized),
        (500, "unauthorized: authentication required", Unauthorized),
        (
            500,
            "Head \"https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/x/manifests/v1\": no basic auth credentials",
            Unauthorized,
        ),
        (403, "denied: Your authorization token has expired. Reauthenticate and try again.", Unauthorized),
        (
            404,
            "pull access denied for r/x, repository does not exist or may require 'docker login': denied: Your authorization token has expired. Reauthenticate and try again.",
            Unauthorized,
        ),
        (
            403,
            "denied: User: arn:aws:sts::1:assumed-role/r/i-1 is not authorized to perform: ecr:BatchGetImage on resource: x",
            Denied,
        ),
        (
            404,
            "pull access denied for r/x, repository does not exist or may require 'docker login': denied: User: arn:aws:sts::1:assumed-role/r/i-1 is not authorized to perform: ecr:BatchGetImage",
            Denied,
        ),
        (
            200,
            "pull access denied for r/x, repository does not exist or may require 'docker login': denied: User is not authorized to perform: ecr:GetDownloadUrlForLayer",
            Denied,
        ),
        (
            200,
            "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<Error><Code>AccessDenied</Code></Error>\"",
            Denied,
        ),
        (404, "manifest unknown: Requested image not found", NoManifest),
        (404, "manifest for r/mu:v1 not found: manifest unknown: Requested image not found", NoManifest),
        (
            500,
            "error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 page not found\"",
            NoManifest,
        ),
        (
            404,
            "name unknown: The repository with name 'x' does not exist in the registry with id '123456789012'",
            NoRepository,
        ),
        (
            404,
            "repository r/nu not found: name unknown: The repository with name 'x' does not exist in the registry with id '1'",
            NoRepository,
        ),
        (200, "unknown blob", NoBlob),
        (500, "Head \"http://localhost:5000/v2/eof/manifests/v1\": EOF", Unreachable),
        (
            500,
            "Head \"http://h/v2/x/manifests/v1\": read tcp 127.0.0.1:4->127.0.0.1:5000: read: connection reset by peer",
            Unreachable,
        ),
        (
            500,
            "Get \"http://localhost:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
            Unreachable,
        ),
        (
            500,
            "Get \"https://nowhere.internal/v2/\": dial tcp: lookup nowhere.internal on 10.66.0.1:53: no such host",
            Unreachable,
        ),
        (
            500,
            "Get \"https://192.0.2.1/v2/\": dial tcp 192.0.2.1:443: connect: network is unreachable",
            Unreachable,
        ),
        (500, "Get \"https://h/v2/\": dial tcp 10.66.0.2:443: i/o timeout", Unreachable),
        (
            500,
            "Get \"https://h/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            Unreachable,
        ),
        (200, "no matching manifest for linux/amd64 in the manifest list entries", NoPlatform),
        (200, "filesystem layer verification failed for digest sha256:49febd", Damaged),
        (500, "Get \"https://web:5443/v2/\": x509: certificate signed by unknown authority", Untrusted),
        (
            500,
            "Get \"https://10.66.0.2/v2/\": x509: cannot validate certificate for 10.66.0.2 because it doesn't contain any IP SANs",
            Untrusted,
        ),
        (
            500,
            "Get \"https://web:5000/v2/\": tls: first record does not look like a TLS handshake",
            PlainHttp,
        ),
        (500, "Get \"https://web:5000/v2/\": http: server gave HTTP response to HTTPS client", PlainHttp),
        (
            500,
            "Get \"https://h/v2/\": proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
            Proxy,
        ),
        (500, "Get \"https://h/v2/\": Forbidden", ProxyRefuses),
        (500, "Get \"https://h/v2/\": Proxy Authentication Required", ProxyRefuses),
        (500, "Get \"https://h/v2/\": Bad Gateway", Proxy),
        (
            200,
            "failed to register layer: Error processing tar file(exit status 1): archive/tar: invalid tar header",
            Unreadable,
        ),
        (200, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device", NoSpace),
        (400, "invalid reference format", Other),
    ];

    /// What Engines with containerd's image store say: Docker 28.5 in the lab, and the issues of moby and containerd.
    const CONTAINERD: &[(u16, &str, RegistryProblem)] = &[
        (
            500,
            "failed to resolve reference \"ghcr.io/o/a:latest\": unexpected status from HEAD request to https://ghcr.io/v2/o/a/manifests/latest: 403 Forbidden",
            Denied,
        ),
        (
            500,
            "failed to resolve reference \"h/a:l\": unexpected status from HEAD request to https://h/v2/a/manifests/l: 429 Too Many Requests",
            Throttled,
        ),
        (
            500,
            "failed to resolve reference \"h/a:l\": unexpected status from HEAD request to https://h/v2/a/manifests/l: 503 Service Unavailable",
            Server,
        ),
        (
            404,
            "failed to resolve reference \"h/a:l\": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
            Unauthorized,
        ),
        (
            404,
            "failed to resolve reference \"docker.io/o/a:l\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
            Denied,
        ),
        (404, "failed to resolve reference \"h/timeout:l\": h/timeout:l: not found", NoManifest),
        (
            404,
            "no matching manifest for linux/arm64/v8 in the manifest list entries: no match for platform in manifest: not found",
            NoPlatform,
        ),
        (
            200,
            "failed commit on ref \"layer-sha256:55ae\": unexpected commit digest sha256:a8f2, expected sha256:55ae: failed precondition",
            Damaged,
        ),
        (200, "failed size validation: 12467913 != 94124544: failed precondition", Damaged),
        (
            500,
            "failed to do request: Head \"https://h/v2/a/manifests/l\": dial tcp 10.0.0.1:443: i/o timeout",
            Unreachable,
        ),
        (
            200,
            "failed to copy: read tcp 10.0.0.2:4->10.0.0.1:443: read: connection reset by peer",
            Unreachable,
        ),
        (200, "short read: expected 10 bytes but got 5: unexpected EOF", Unreachable),
        (200, "short read: expected 10 bytes but got 5", Unreachable),
        (
            200,
            "failed to copy: httpReadSeeker: failed open: content at https://h/v2/a/manifests/sha256:55ae not found: not found",
            NoManifest,
        ),
        (
            200,
            "failed to copy: httpReadSeeker: failed open: content at https://h/v2/a/blobs/sha256:55ae not found: not found",
            NoBlob,
        ),
    ];

    #[test]
    fn the_messages_of_real_engines_are_understood() {
        for (status, text, problem) in ENGINE_20_10.iter().chain(CONTAINERD) {
            assert_eq!(classify(*status, text), *problem, "{status} {text}");
        }
    }

    #[test]
    fn a_refusal_is_not_asked_again() {
        for problem in [
            Denied,
            NoManifest,
            NoRepository,
            NoBlob,
            NoPlatform,
            Untrusted,
            ProxyRefuses,
            Unreadable,
            PlainHttp,
            NoSpace,
            Other,
        ] {
            assert_eq!(problem.tries(), 1, "{problem:?}");
        }
        for problem in [Throttled, Server, Unreachable, Silent, Engine, Proxy, Unauthorized, Damaged] {
            assert!((3..=5).contains(&problem.tries()), "{problem:?}");
        }
    }
}
