//! Registries, asked without an Engine (OCI distribution specification): what is behind a tag or a digest.

use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::host::docker::{Platform, RegistryLogin};
use crate::host::roots;
use crate::host::web::Web;
use crate::text::{chain, clean};

const CONNECT: Duration = Duration::from_secs(3);
/// How long a question may take, with all that it takes to log in.
pub(super) const WHOLE: Duration = Duration::from_secs(15);
/// The longest answer that is read. The specification lets registries refuse longer manifests.
const LONGEST: usize = 4 << 20;
/// Where the Engine keeps the CA certificates that it trusts for a registry, by the registry's host.
const ENGINE_CERTIFICATES: &str = "/etc/docker/certs.d";

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index; each leaves out the other's members.
#[derive(Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

/// A part of it.
#[derive(Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// A repository of a registry.
pub(super) struct Client<'a> {
    connector: aws_smithy_http_client::Connector,
    pub(super) base: String,
    pub(super) path: &'a str,
    login: Option<&'a RegistryLogin>,
}

impl<'a> Client<'a> {
    /// A repository at a host.
    pub(super) fn of(host: &str, path: &'a str, login: Option<&'a RegistryLogin>) -> Result<Self, String> {
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

    /// The answer for a tag or a digest, and what it was authorized by.
    pub(super) async fn manifest(
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

    pub(super) async fn ask(
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

/// An answer's body, as JSON.
pub(super) async fn read<T: serde::de::DeserializeOwned>(answer: HttpResponse) -> Result<T, String> {
    serde_json::from_slice(&body(answer).await?)
        .map_err(|e| format!("the registry's answer cannot be read: {e}"))
}

/// The body of an answer to a question that was not refused.
pub(super) async fn body(answer: HttpResponse) -> Result<Bytes, String> {
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("the registry answers {}", status.as_u16()));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(|e| format!("the registry's answer was cut off: {}", clean(&e.to_string())))?;
    Ok(body.to_bytes())
}

/// A parameter of a challenge: `Bearer realm="https://…",service="…"`.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let rest = challenge.split_once(&format!("{name}=\""))?.1;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn a_challenge_is_taken_apart() {
        let challenge =
            "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:o/a:pull\"";
        assert_eq!(parameter(challenge, "realm"), Some("https://ghcr.io/token"));
        assert_eq!(parameter(challenge, "service"), Some("ghcr.io"));
        assert_eq!(parameter("Basic", "realm"), None);
    }
}
