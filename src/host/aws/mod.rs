//! AWS: the instance's account and region, the registry's password, the secrets. One HTTP client for all of it.

mod clock;
mod code_deploy;
mod credentials;
mod ecr;
mod error;
mod identity;
mod parameter_store;
mod request;
mod secret;
mod secrets_manager;
mod subject;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::OnceCell;

pub use error::AwsError;
pub use secret::{ParameterVersion, ParametersBelow, ParametersRead, SecretValue, SecretVersion};

use super::clock::ServerClock;
use super::web::Web;
use identity::IdentityDocument;

/// Four tries, as a first boot needs: the SDK waits between them, with jitter.
const ATTEMPTS: u32 = 4;
const CONNECT: Duration = Duration::from_secs(4);
const ATTEMPT: Duration = Duration::from_secs(10);

/// The connection to AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    http: SharedHttpClient,
    clock: ServerClock,
    credentials: Option<SharedCredentialsProvider>,
    /// Loaded once: its clients share the credentials, which may come from the metadata service.
    shared: OnceCell<SdkConfig>,
    identity: OnceCell<IdentityDocument>,
}

impl Aws {
    /// With the system's names, certificates and proxy and the SDK's chain of credentials. Nothing is sent yet.
    pub fn of_the_system() -> Result<Self, AwsError> {
        Ok(Self::over(Web::of_the_system()?.for_aws(), None))
    }

    /// With an HTTP client and credentials of the caller's.
    pub fn with_client(http: SharedHttpClient, credentials: SharedCredentialsProvider) -> Self {
        Self::over(http, Some(credentials))
    }

    fn over(http: SharedHttpClient, credentials: Option<SharedCredentialsProvider>) -> Self {
        let clock = ServerClock::default();
        let http = clock.watch(http);
        Self { http, clock, credentials, shared: OnceCell::new(), identity: OnceCell::new() }
    }

    /// What the answers so far say about this machine's clock.
    pub fn clock(&self) -> &ServerClock {
        &self.clock
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
}

#[cfg(test)]
mod tests;
