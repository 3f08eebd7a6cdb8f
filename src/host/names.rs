//! One resolver for every client. A static binary must not call the C library's resolver, which loads code at run time.

use std::net::IpAddr;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Names to addresses, by `/etc/hosts` and `/etc/resolv.conf`. Without the latter, by the former alone.
#[derive(Clone)]
pub struct Names {
    resolver: Result<TokioResolver, String>,
    has_servers: bool,
}

/// A name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("failed to look up '{name}': {why}")]
pub struct LookupError {
    name: String,
    why: String,
}

impl Names {
    /// Reads the system's configuration.
    pub fn of_the_system() -> Self {
        let (builder, has_servers) = if let Ok(builder) = TokioResolver::builder_tokio() {
            (builder, true)
        } else {
            let nothing = ResolverConfig::from_parts(None, vec![], vec![]);
            (TokioResolver::builder_with_config(nothing, TokioRuntimeProvider::default()), false)
        };
        Self { resolver: builder.build().map_err(|e| e.to_string()), has_servers }
    }

    /// The addresses of a name.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let error = |why| LookupError { name: name.to_owned(), why };
        let resolver = self.resolver.as_ref().map_err(|e| error(e.clone()))?;
        match resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(_) if !self.has_servers => {
                Err(error("it is not in /etc/hosts, and /etc/resolv.conf cannot be read".to_owned()))
            }
            Err(e) => Err(error(e.to_string())),
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl ResolveDns for Names {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move { self.lookup(name).await.map_err(ResolveDnsError::new) })
    }
}
