//! Values with a unit, as people write them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time: `35s`, `10m`, `1h30m`, `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan(pub Duration);

impl TryFrom<String> for TimeSpan {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|span| Duration::try_from(span).ok())
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a duration: write a number and a unit, such as \"35s\", \"10m\" or \"250ms\""))
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> String {
        jiff::SignedDuration::try_from(span.0)
            .map_or_else(|_| format!("{}s", span.0.as_secs()), |d| format!("{d:#}"))
    }
}

/// Whether Docker takes this as the name of a container or a volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn is_docker_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// A transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port of the host that is forwarded to a port of the container: `[ADDRESS:]HOST:CONTAINER[/tcp|udp]`; or one that Docker
/// picks at each start: `[ADDRESS::]CONTAINER[/tcp|udp]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Publish {
    /// The host's address; all of them when there is none.
    pub address: Option<IpAddr>,
    /// The host's port; one that Docker picks when there is none.
    pub host: Option<u16>,
    /// The container's port.
    pub container: u16,
    /// TCP unless said otherwise.
    pub protocol: Protocol,
}

impl Publish {
    /// Docker's key for the container's side: `8000/tcp`.
    pub fn container_key(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        format!("{}/{protocol}", self.container)
    }
}

impl TryFrom<String> for Publish {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a published port: write \"HOST:CONTAINER\", \"ADDRESS:HOST:CONTAINER\", or \"CONTAINER\" alone for a port that Docker picks; with /udp if it is UDP"
            )
        };
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.split('/').next().unwrap_or_default(), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong()),
        };
        let mut parts = ports.rsplitn(3, ':');
        let port = |text: &str| text.parse::<u16>().ok().filter(|p| *p != 0).ok_or_else(wrong);
        let container = port(parts.next().unwrap_or_default())?;
        let host = parts.next();
        let address = match parts.next() {
            None => None,
            Some(address) => Some(address.trim_matches(['[', ']']).parse().map_err(|_| wrong())?),
        };
        let host = match (host, address) {
            (None, _) | (Some(""), Some(_)) => None,
            (Some(host), _) => Some(port(host)?),
        };
        Ok(Self { address, host, container, protocol })
    }
}

impl From<Publish> for String {
    fn from(publish: Publish) -> String {
        publish.to_string()
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        match (self.host, self.address) {
            (Some(host), _) => write!(f, "{host}:")?,
            (None, Some(_)) => f.write_str(":")?,
            (None, None) => {}
        }
        f.write_str(&self.container_key())
    }
}

/// A range of HTTP status codes: `200` or `200-399`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// From `first` to `last`, both included.
    pub const fn new(first: u16, last: u16) -> Self {
        Self { first, last }
    }

    /// Whether a code is in it.
    pub fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}

impl TryFrom<String> for StatusRange {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if (100..=last).contains(&first) && last <= 599 => Ok(Self { first, last }),
            _ => Err(format!("'{text}' is not a range of HTTP status codes: write \"200\" or \"200-399\"")),
        }
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> String {
        format!("{}-{}", range.first, range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_every_notation() {
        for (text, shown) in [
            ("8000:80", "8000:80/tcp"),
            ("127.0.0.1:8000:80/tcp", "127.0.0.1:8000:80/tcp"),
            ("[::1]:53:5353/udp", "[::1]:53:5353/udp"),
            ("8000", "8000/tcp"),
            ("53/udp", "53/udp"),
            ("127.0.0.1::8000", "127.0.0.1::8000/tcp"),
            ("[::1]::8000/udp", "[::1]::8000/udp"),
        ] {
            assert_eq!(Publish::try_from(text.to_owned()).unwrap().to_string(), shown);
        }
        for bad in ["0", "0:80", ":80", "::80", "127.0.0.1:80", "a:b", "1:2/sctp", "999999:1", "host:1:2", ""]
        {
            assert!(Publish::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_of_time() {
        assert_eq!(TimeSpan::try_from("1m30s".to_owned()).unwrap().0, Duration::from_secs(90));
        assert!(TimeSpan::try_from("-1s".to_owned()).is_err());
        assert!(TimeSpan::try_from("10".to_owned()).is_err());
    }

    #[test]
    fn status_codes() {
        let range = StatusRange::try_from("200-399".to_owned()).unwrap();
        assert!(range.contains(302) && !range.contains(400));
        assert!(StatusRange::try_from("399-200".to_owned()).is_err());
    }
}
