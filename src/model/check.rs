//! What an app needs of others, and how that is asked: a database, a cache, a name, a way to the outside.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::StatusRange;

/// One thing that an app needs of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub needed: Needed,
    /// From where it is asked.
    pub from: Vantage,
    /// Whether a release that lacks it is refused. What is not ours is reported, and never a verdict.
    pub required: bool,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long it is asked again.
    pub deadline: Duration,
}

/// From where a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vantage {
    /// From the instance.
    #[default]
    Host,
    /// From inside the network of the release's containers.
    Container,
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// A `PostgreSQL` database that lets us in and answers.
    Postgres(Postgres),
    /// A Redis that lets us in and answers.
    Redis(Redis),
    /// A URL that answers with one of these codes.
    Web {
        /// The URL.
        url: String,
        /// The codes.
        status: Vec<StatusRange>,
    },
    /// A TCP port that accepts a connection.
    Tcp(Place),
    /// A name that has an address.
    Dns(String),
}

impl Needed {
    /// The secret that it takes to ask.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Postgres(postgres) => Some(&postgres.secret),
            Self::Redis(redis) => redis.secret.as_deref(),
            Self::Web { .. } | Self::Tcp(_) | Self::Dns(_) => None,
        }
    }
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Place {
    /// From `HOST:PORT`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let is_bare_v6 = inner.is_none() && host.contains(':');
        (is_host(host) && !is_bare_v6).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether this may be the name or the address of a host.
pub fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
}

/// How a connection to `PostgreSQL` is secured, as libpq's `sslmode` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only where the server wants it.
    Allow,
    /// Where the server has it.
    Prefer,
    /// Always; whoever answers. With a CA, like `verify-ca`.
    Require,
    /// Always, and a CA that is trusted vouches for the server.
    VerifyCa,
    /// The same, and for its name.
    #[default]
    VerifyFull,
}

/// A `PostgreSQL` database. What the secret has is left out here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The secret with the user, the password and as much of the rest as it has.
    pub secret: String,
    /// How it is secured.
    pub tls: TlsMode,
    /// A file with the CAs that are trusted; the system's without one.
    pub ca: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The database.
    pub dbname: Option<String>,
    /// The user.
    pub username: Option<String>,
}

/// A Redis. What the secret has is left out here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// The secret with the password, where it wants one.
    pub secret: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// A file with the CAs that are trusted; the system's without one.
    pub ca: Option<String>,
    /// The user of an ACL.
    pub username: Option<String>,
    /// Whether it is a cluster, all of whose masters have to answer.
    pub cluster: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_every_notation() {
        for text in ["db.internal:5432", "10.0.0.1:1", "[::1]:6379"] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
        for bad in ["db.internal", "db:0", "db:70000", ":80", "::1:80", "a b:80", "http://db:80", "[db:80"] {
            assert!(Place::parse(bad).is_none(), "{bad}");
        }
    }
}
