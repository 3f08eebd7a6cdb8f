//! What a registry says of an image to us, and not to the Engine: its download size, by its manifest, and whether a tag is
//! known. Advisory: nothing depends on getting an answer.

use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use http_body_util::{BodyExt as _, Limited};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::host::docker::{Platform, RegistryLogin};
use crate::host::roots;
use crate::host::web::Web;
use crate::model::{ImageRef, RepositoryName};
use crate::text::{chain, clean, duration};

const CONNECT: Duration = Duration::from_secs(3);
const WHOLE: Duration = Duration::from_secs(15);
/// The longest answer that is read. The specification lets registries refuse longer manifests.
const LONGEST: usize = 4 << 20;
/// Where the Engine keeps the CA certificates that it trusts for a registry, by the registry's host.
const ENGINE_CERTIFICATES: &str = "/etc/docker/certs.d";

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index; each leaves out the other's members.
#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// Where the sizes of images come from.
#[derive(Debug, Clone, Copy, Default)]
pub enum ImageSizes {
    /// Their registries.
    #[default]
    Registries,
    /// A test.
    Pretended(fn(&ImageRef) -> Result<u64, String>),
}

impl ImageSizes {
    /// The bytes that a pull of `image` downloads onto an empty disk; see [`compressed_size`].
    pub async fn of(
        self,
        image: &ImageRef,
        platform: &Platform,
        login: Option<&RegistryLogin>,
    ) -> Result<u64, String> {
        match self {
            Self::Registries => compressed_size(image, platform, login).await,
            Self::Pretended(size) => size(image),
        }
    }

    /// Whether the registry of a repository says what a tag means. It need not have that image yet.
    pub async fn know_tag(
        self,
        repository: &RepositoryName,
        tag: &str,
        login: Option<&RegistryLogin>,
    ) -> bool {
        let asked = async {
            let client = Client::of(&repository.host, &repository.path, login)?;
            client.knows(tag).await
        };
        match self {
            Self::Registries => matches!(tokio::time::timeout(WHOLE, asked).await, Ok(Ok(true))),
            Self::Pretended(_) => false,
        }
    }
}

/// The bytes that a pull of `image` downloads onto an empty disk: its layers as they are stored, and its configuration.
/// Layers that are here already are counted too. Fails with the reason in one line.
pub async fn compressed_size(
    image: &ImageRef,
    platform: &Platform,
    login: Option<&RegistryLogin>,
) -> Result<u64, String> {
    let (host, path) = image.repository.split_once('/').ok_or("the repository has no host")?;
    let client = Client::of(host, path, login)?;
    let size = tokio::time::timeout(WHOLE, client.size(image.digest.as_str(), platform)).await;
    size.unwrap_or_else(|_| Err(format!("'{host}' did not answer within {}", duration(WHOLE))))
}

struct Client<'a> {
    connector: aws_smithy_http_client::Connector,
    base: String,
    path: &'a str,
    login: Option<&'a RegistryLogin>,
}

impl<'a> Client<'a> {
    fn of(host: &str, path: &'a str, login: Option<&'a RegistryLogin>) -> Result<Self, String> {
        let trusted = roots::in_folder(&Path::new(ENGINE_CERTIFICATES).join(host));
        let web = Web::trusting(&trusted).map_err(|e| chain(&e))?;
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(WHOLE).build();
        // Docker Hub's registry has another name than its repositories; a registry on this host speaks HTTP, unless the
        // Engine has certificates for it.
        let on_this_host = host == "localhost" || host.starts_with("localhost:") || host.starts_with("127.");
        let base = match host {
            "docker.io" => "https://registry-1.docker.io".to_owned(),
            _ if on_this_host && trusted.is_empty() => format!("http://{host}"),
            _ => format!("https://{host}"),
        };
        Ok(Self { connector: web.connector(settings), base, path, login })
    }

    async fn size(&self, digest: &str, platform: &Platform) -> Result<u64, String> {
        let (answer, authorization) = self.manifest("GET", digest).await?;
        let mut manifest: Manifest = read(answer).await?;
        if manifest.config.is_none() {
            let ours = manifest.manifests.iter().find(|one| one.platform.as_ref() == Some(platform));
            let ours = ours.ok_or_else(|| format!("the image has no manifest for {platform}"))?;
            let url = format!("{}/v2/{}/manifests/{}", self.base, self.path, ours.digest);
            manifest = read(self.ask("GET", &url, authorization.as_deref()).await?).await?;
        }
        let parts = manifest.layers.iter().chain(&manifest.config).map(|part| part.size);
        parts.reduce(u64::saturating_add).ok_or_else(|| "the manifest names no layers".to_owned())
    }

    async fn knows(&self, tag: &str) -> Result<bool, String> {
        Ok(self.manifest("HEAD", tag).await?.0.status().is_success())
    }

    /// The answer for a tag or a digest, and what it was authorized by.
    async fn manifest(
        &self,
        method: &str,
        reference: &str,
    ) -> Result<(HttpResponse, Option<String>), String> {
        let mut authorization = self.basic();
        let url = format!("{}/v2/{}/manifests/{reference}", self.base, self.path);
        let mut answer = self.ask(method, &url, authorization.as_deref()).await?;
        if answer.status().as_u16() == 401 {
            authorization = Some(self.bearer(&answer).await?);
            answer = self.ask(method, &url, authorization.as_deref()).await?;
        }
        Ok((answer, authorization))
    }

    fn basic(&self) -> Option<String> {
        let login = self.login?;
        let plain = format!("{}:{}", login.user, login.password.expose_secret());
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
    }

    /// A token from the address in the registry's challenge. The password is only sent over TLS.
    async fn bearer(&self, challenge: &HttpResponse) -> Result<String, String> {
        let challenge = challenge.headers().get("www-authenticate").unwrap_or_default();
        let refused = || "the registry does not accept the login".to_owned();
        let (realm, service) = (parameter(challenge, "realm"), parameter(challenge, "service"));
        let realm =
            realm.filter(|_| challenge.to_ascii_lowercase().starts_with("bearer ")).ok_or_else(refused)?;
        if !realm.starts_with("https://") {
            return Err("the registry asks for the password without TLS".to_owned());
        }
        let url = format!(
            "{realm}?service={}&scope=repository:{}:pull",
            percent_encoding::utf8_percent_encode(
                service.unwrap_or_default(),
                percent_encoding::NON_ALPHANUMERIC
            ),
            self.path
        );
        let token: Token = read(self.ask("GET", &url, self.basic().as_deref()).await?).await?;
        Ok(format!("Bearer {}", token.token))
    }

    async fn ask(
        &self,
        method: &str,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<HttpResponse, String> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method(method).map_err(|e| clean(&e.to_string()))?;
        request.set_uri(url).map_err(|e| clean(&e.to_string()))?;
        request.headers_mut().insert("accept", MANIFESTS);
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.to_owned());
        }
        self.connector.call(request).await.map_err(|e| clean(&chain(&e)))
    }
}

async fn read<T: serde::de::DeserializeOwned>(answer: HttpResponse) -> Result<T, String> {
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("the registry answers {}", status.as_u16()));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(|e| format!("the registry's answer was cut off: {}", clean(&e.to_string())))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|e| format!("the registry's answer cannot be read: {e}"))
}

/// A parameter of a challenge: `Bearer realm="https://…",service="…"`.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let rest = challenge.split_once(&format!("{name}=\""))?.1;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use secrecy::SecretString;

    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[
        {"digest":"sha256:arm","size":7,"platform":{"architecture":"arm64","os":"linux"}},
        {"digest":"sha256:ours","size":7,"platform":{"architecture":"amd64","os":"linux"}}]}"#;
    const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"digest":"sha256:c","size":100},
        "layers":[{"digest":"sha256:a","size":2000},{"digest":"sha256:b","size":30000}]}"#;

    /// A registry on this host that wants me:pass, and has an index with one image.
    fn registry() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().take(10).flatten() {
                let lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let known = lines.iter().any(|line| line == "authorization: Basic bWU6cGFzcw==");
                let (status, body) = match lines[0].split(' ').nth(1) {
                    _ if !known => ("401 Unauthorized", ""),
                    Some(path) if path.starts_with("/v2/team/app/manifests/sha256:0") => ("200 OK", INDEX),
                    Some("/v2/team/app/manifests/sha256:ours") => ("200 OK", MANIFEST),
                    _ => ("404 Not Found", ""),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = connection.write_all(format!("{head}{body}").as_bytes());
            }
        });
        host
    }

    async fn size_of(
        repository: String,
        digit: &str,
        password: &str,
        architecture: &str,
    ) -> Result<u64, String> {
        let digest = format!("sha256:{}", digit.repeat(64)).parse().unwrap();
        let platform = Platform { os: "linux".to_owned(), architecture: architecture.to_owned() };
        let login = RegistryLogin {
            user: "me".to_owned(),
            password: SecretString::from(password),
            host: String::new(),
        };
        compressed_size(&ImageRef { repository, digest }, &platform, Some(&login)).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_layers_of_this_machines_image_and_its_configuration_are_counted() {
        let app = format!("{}/team/app", registry());
        assert_eq!(size_of(app.clone(), "0", "pass", "amd64").await, Ok(32_100));
        for (digit, password, architecture, says) in [
            ("0", "pass", "s390x", "no manifest for linux/s390x"),
            ("1", "pass", "amd64", "404"),
            ("0", "wrong", "amd64", "does not accept the login"),
        ] {
            let why = size_of(app.clone(), digit, password, architecture).await.unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let challenge =
            "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:o/a:pull\"";
        assert_eq!(parameter(challenge, "realm"), Some("https://ghcr.io/token"));
        assert_eq!(parameter(challenge, "service"), Some("ghcr.io"));
        assert_eq!(parameter("Basic", "realm"), None);
    }
}
