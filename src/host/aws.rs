//! AWS: who and where we are, the registry's password, the secrets. One HTTP client for all of it.

use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine as _;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::docker::RegistryLogin;
use super::names::Names;
use super::roots::{self, RootsError};
use crate::config::repository::{EcrRepository, Repository};

/// Four tries, as a first boot needs: the SDK waits between them, with jitter.
const ATTEMPTS: u32 = 4;
const CONNECT: Duration = Duration::from_secs(4);
const ATTEMPT: Duration = Duration::from_secs(10);

/// An answer of AWS that is not what was needed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service refused.
    #[error("AWS refuses to {act}: {code}: {message}")]
    Refused {
        /// What was asked for.
        act: String,
        /// The service's error code.
        code: String,
        /// Its words.
        message: String,
    },
    /// The service was not reached, or did not answer.
    #[error("failed to {act}: {why}")]
    Failed {
        /// What was asked for.
        act: String,
        /// The chain of causes.
        why: String,
    },
    /// The answer cannot be used.
    #[error("AWS's answer to '{act}' {what}")]
    Unusable {
        /// What was asked for.
        act: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing says which account or region is meant.
    #[error(
        "cannot tell the account and region of repository '{repository}': the instance's metadata do not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set; write its whole name, ACCOUNT.dkr.ecr.REGION.amazonaws.com/{repository}"
    )]
    Nowhere {
        /// The repository.
        repository: String,
        /// What the metadata service said.
        why: String,
    },
    /// The certificates cannot be read.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// TLS cannot be set up.
    #[error("failed to set up TLS: {0}")]
    Tls(String),
}

/// A secret as it was read.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Its text.
    pub text: SecretString,
    /// Secrets Manager's `VersionId`.
    pub version: String,
}

/// The connection to AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    http: SharedHttpClient,
    credentials: Option<SharedCredentialsProvider>,
    /// Loaded once: its clients share the credentials, which may come from the metadata service.
    shared: OnceCell<SdkConfig>,
    identity: OnceCell<IdentityDocument>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    account_id: String,
    region: String,
}

impl IdentityDocument {
    /// For machines without metadata: the SDKs' own variables.
    fn of_the_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            account_id: variable("AWS_ACCOUNT_ID")?,
            region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))?,
        })
    }
}

impl Aws {
    /// With the system's names and certificates and the SDK's chain of credentials. Nothing is sent yet.
    pub fn of_the_system() -> Result<Self, AwsError> {
        let trust = TrustStore::empty().with_pem_certificate(roots::pem()?);
        let context = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|e| AwsError::Tls(e.to_string()))?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(context)
            .build_with_resolver(Names::of_the_system());
        Ok(Self { http, credentials: None, shared: OnceCell::new(), identity: OnceCell::new() })
    }

    /// With an HTTP client and credentials of the caller's.
    pub fn with_client(http: SharedHttpClient, credentials: SharedCredentialsProvider) -> Self {
        Self { http, credentials: Some(credentials), shared: OnceCell::new(), identity: OnceCell::new() }
    }

    async fn config(&self, region: &str) -> SdkConfig {
        let region = Region::new(region.to_owned());
        let shared = self.shared.get_or_init(|| async {
            let timeouts =
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
            let mut config = aws_config::defaults(BehaviorVersion::v2026_01_12())
                .http_client(self.http.clone())
                .region(region.clone())
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                .timeout_config(timeouts);
            if let Some(credentials) = &self.credentials {
                config = config.credentials_provider(credentials.clone());
            }
            config.load().await
        });
        shared.await.to_builder().region(region).build()
    }

    /// The whole name of a repository. One without a host is in the account and region of this instance, by its metadata
    /// or, where there are none, by `AWS_ACCOUNT_ID` and `AWS_REGION`.
    pub async fn whole_name(&self, repository: &Repository) -> Result<EcrRepository, AwsError> {
        let path = match repository {
            Repository::Full(full) => return Ok(full.clone()),
            Repository::Here(path) => path,
        };
        let look_up = || async {
            let found = self.identity_document().await;
            found.or_else(|why| {
                IdentityDocument::of_the_environment()
                    .ok_or_else(|| AwsError::Nowhere { repository: path.clone(), why })
            })
        };
        let document = self.identity.get_or_try_init(look_up).await?;
        Ok(EcrRepository::of(&document.account_id, &document.region, path))
    }

    async fn identity_document(&self) -> Result<IdentityDocument, String> {
        if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|v| v.eq_ignore_ascii_case("true")) {
            return Err("AWS_EC2_METADATA_DISABLED is set".to_owned());
        }
        let provider = ProviderConfig::default().with_http_client(self.http.clone());
        let client = imds::Client::builder().configure(&provider).build();
        let document =
            client.get("/latest/dynamic/instance-identity/document").await.map_err(|e| chain(&e))?;
        serde_json::from_str(document.as_ref())
            .map_err(|e| format!("the identity document is not what it should be: {e}"))
    }

    /// The password of a registry, valid for twelve hours, so asked for once in the process that pulls.
    pub async fn registry_login(&self, repository: &EcrRepository) -> Result<RegistryLogin, AwsError> {
        let act = format!("get a password for registry '{}' (ecr:GetAuthorizationToken)", repository.host);
        let client = aws_sdk_ecr::Client::new(&self.config(&repository.region).await);
        let answer = client.get_authorization_token().send().await.map_err(|e| error(&act, e))?;
        let unusable = |what| AwsError::Unusable { act: act.clone(), what };
        let token = answer
            .authorization_data()
            .first()
            .and_then(|data| data.authorization_token())
            .ok_or_else(|| unusable("holds no token"))?;
        let plain = base64::engine::general_purpose::STANDARD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| unusable("holds a token that is not Base64"))?;
        let (user, password) =
            plain.split_once(':').ok_or_else(|| unusable("holds a token without a user"))?;
        Ok(RegistryLogin {
            user: user.to_owned(),
            password: SecretString::from(password),
            host: repository.host.clone(),
        })
    }

    /// A secret, or a version of it that was read before in the same deployment.
    pub async fn secret(
        &self,
        region: &str,
        id: &str,
        version: Option<&str>,
    ) -> Result<SecretValue, AwsError> {
        // The region in an ARN is the secret's own.
        let region = id.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(region);
        let act = format!("read secret '{id}' (secretsmanager:GetSecretValue)");
        let client = aws_sdk_secretsmanager::Client::new(&self.config(region).await);
        let asked = client.get_secret_value().secret_id(id).set_version_id(version.map(str::to_owned));
        let answer = asked.send().await.map_err(|e| error(&act, e))?;
        let unusable = |what| AwsError::Unusable { act: act.clone(), what };
        match (answer.secret_string, answer.version_id) {
            (Some(text), Some(version)) => Ok(SecretValue { text: SecretString::from(text), version }),
            (None, _) => Err(unusable("holds binary data, and only text can be injected")),
            (_, None) => Err(unusable("has no version")),
        }
    }
}

fn error<E, R>(act: &str, error: SdkError<E, R>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error().map(|service| (service.code(), service.message())) {
        Some((Some(code), message)) => AwsError::Refused {
            act: act.to_owned(),
            code: code.to_owned(),
            message: one_line(message.unwrap_or("no message")),
        },
        _ => AwsError::Failed { act: act.to_owned(), why: chain(&error) },
    }
}

/// Layers of the SDK that say nothing once there is a cause below them.
const LAYERS: &[&str] =
    &["dispatch failure", "io error", "client error (Connect)", "dns error", "failed to perform DNS lookup"];

/// The causes of an error, outermost first, without the debug text that the SDK would add.
fn chain(error: &dyn std::error::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = one_line(&cause.to_string());
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    let last = causes.pop().unwrap_or_default();
    causes.retain(|cause| !LAYERS.contains(&cause.as_str()));
    causes.push(last);
    causes.join(": ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
