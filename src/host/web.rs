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

/// What to do about an error of a client of ours that is about the way and not about the other side: the proxy, or who is
/// trusted. `why` is the chain of its causes, `host` who was asked.
pub fn advice(why: &str, host: &str) -> Option<String> {
    advice_with(why, host, proxy::shown().as_deref(), &roots::shown())
}

/// Its environment is not that of a shell.
const OF_A_HOOK: &str = "a hook has the environment of CodeDeploy's agent";

fn advice_with(why: &str, host: &str, proxy: Option<&str>, trusted: &str) -> Option<String> {
    let is = |words: &str| why.contains(words);
    if let (true, Some(proxy)) = (is("tunnel error"), proxy) {
        return Some(if is("proxy authorization required") {
            format!(
                "the proxy {proxy} wants a user and a password: write them into the variable, http://USER:PASSWORD@HOST:PORT; {OF_A_HOOK}"
            )
        } else if is("underlying connection") || is("io error") || is("unexpected end") {
            format!(
                "the proxy {proxy} cannot be reached: check its address, that it runs, and that its security group lets this instance in; {OF_A_HOOK}"
            )
        } else {
            format!(
                "the proxy {proxy} does not let it through to {host}: allow it there, or name it in NO_PROXY; {OF_A_HOOK}"
            )
        });
    }
    if is("invalid peer certificate") {
        return Some(if is("expired") || is("not valid yet") {
            format!(
                "the certificate of {host} has expired, or this instance's clock is wrong: see 'timedatectl'"
            )
        } else if is("not valid for name") {
            format!(
                "something else answers in place of {host}: look at its name (getent hosts {host}) and at what is in between"
            )
        } else {
            let between =
                proxy.map(|proxy| format!(" (asked through the proxy {proxy})")).unwrap_or_default();
            format!(
                "who signed the certificate of {host}{between} is not among {trusted}: if a proxy inspects TLS, add its CA there, or name a file with all CAs in AWS_CA_BUNDLE or SSL_CERT_FILE; {OF_A_HOOK}"
            )
        });
    }
    // Nothing in the error says whether it came that far.
    proxy.filter(|_| is("timed out") || is("timeout")).map(|proxy| {
        format!("it is asked through the proxy {proxy}, unless NO_PROXY names it: check that the proxy answers and can reach {host}; {OF_A_HOOK}")
    })
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

#[cfg(test)]
mod tests {
    use super::advice_with;

    #[test]
    fn the_proxy_and_the_store_are_named_and_nothing_of_endpoints() {
        let (proxy, store) = (Some("squid:3128 (HTTPS_PROXY)"), "'/etc/ca.pem' (SSL_CERT_FILE)");
        for (why, proxy, words) in [
            (
                "tunnel error: unsuccessful",
                proxy,
                ["squid:3128 (HTTPS_PROXY) does not let it through to h", "NO_PROXY"],
            ),
            (
                "tunnel error: proxy authorization required",
                proxy,
                ["squid:3128 (HTTPS_PROXY) wants a user", "USER:PASSWORD"],
            ),
            (
                "tunnel error: failed to create underlying connection: Connection refused",
                proxy,
                ["squid:3128 (HTTPS_PROXY) cannot be reached", "security group"],
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                None,
                ["'/etc/ca.pem' (SSL_CERT_FILE)", "AWS_CA_BUNDLE"],
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                proxy,
                ["through the proxy squid:3128", "AWS_CA_BUNDLE"],
            ),
            ("invalid peer certificate: certificate expired: x", None, ["clock", "h has expired"]),
            (
                "invalid peer certificate: certificate not valid for name \"h\"",
                None,
                ["in place of h", "getent"],
            ),
            ("HTTP connect timeout: timed out", proxy, ["squid:3128 (HTTPS_PROXY)", "NO_PROXY"]),
        ] {
            let fix = advice_with(why, "h", proxy, store).unwrap();
            assert!(words.iter().all(|word| fix.contains(word)) && !fix.contains("endpoint"), "{why}: {fix}");
        }
        for why in ["Connection refused", "timed out"] {
            assert_eq!(advice_with(why, "h", None, store), None, "{why}");
        }
    }
}
