//! HTTPS to the outside: one set of certificates, one resolver and one proxy for every client of ours.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};

use super::names::Names;
use super::proxy::{self, ProxyError};
use super::roots::{self, RootsError};

/// Why there can be no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The certificates cannot be read.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The proxy's address cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// TLS cannot be set up.
    #[error("failed to set up TLS: {0}")]
    Tls(String),
}

/// What every client uses.
#[derive(Debug, Clone)]
pub struct Web {
    tls: TlsContext,
    names: Names,
    proxy: ProxyConfig,
}

impl Web {
    /// As the system and the environment configure it.
    pub fn of_the_system() -> Result<Self, WebError> {
        Self::trusting(&[])
    }

    /// The same, also trusting these root certificates (PEM).
    pub fn trusting(more: &[u8]) -> Result<Self, WebError> {
        let trust = TrustStore::empty().with_pem_certificate(roots::pem()?).with_pem_certificate(more);
        let tls = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|e| WebError::Tls(e.to_string()))?;
        Ok(Self { tls, names: Names::of_the_system(), proxy: proxy::of_the_environment()? })
    }

    /// The client of the AWS SDKs.
    pub fn for_aws(self) -> SharedHttpClient {
        Builder::new().build_with_connector_fn(move |settings, _| {
            self.connector(settings.cloned().unwrap_or_else(|| HttpConnectorSettings::builder().build()))
        })
    }

    /// A client for anything else.
    pub fn connector(&self, settings: HttpConnectorSettings) -> Connector {
        Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(self.tls.clone())
            .proxy_config(self.proxy.clone())
            .connector_settings(settings)
            .build_with_resolver(self.names.clone())
    }
}
