//! Why a check failed: the layer, what was seen there, and what to look at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Place;

/// How far it came. Each layer needs the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// What the configuration and the secrets say.
    Configuration,
    /// The container from which it is asked.
    Container,
    /// The name.
    Dns,
    /// The connection.
    Connect,
    /// The handshake, and the certificate.
    Tls,
    /// User and password.
    Authentication,
    /// The question itself.
    Query,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Container => "container",
            Self::Dns => "DNS",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Authentication => "authentication",
            Self::Query => "query",
        })
    }
}

/// Why a check failed. Contains no secret, but maybe what a server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{layer}: {what}")]
pub struct Trouble {
    /// Where it came to an end.
    pub layer: Layer,
    /// What was seen.
    pub what: String,
    /// What to look at.
    pub fix: String,
    /// Whether it may be otherwise in a moment.
    pub passing: bool,
}

impl Trouble {
    /// What may pass.
    pub(super) fn passing(layer: Layer, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { layer, what: what.into(), fix: fix.into(), passing: true }
    }

    /// What will be the same the next time.
    pub(super) fn lasting(layer: Layer, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { passing: false, ..Self::passing(layer, what, fix) }
    }

    /// Nobody answers at this layer.
    pub(super) fn silence(layer: Layer, place: &str, within: &str) -> Self {
        let fix = match layer {
            Layer::Connect => no_way(place),
            Layer::Dns => {
                "the name servers in /etc/resolv.conf do not answer: may this instance reach them?".to_owned()
            }
            _ => format!(
                "{place} takes connections and says nothing: is it overloaded or hung, is it what is meant to listen there, and does it expect TLS?"
            ),
        };
        let what = match layer {
            Layer::Connect | Layer::Dns => format!("{place} did not answer within {within}"),
            _ => format!("{place} accepted the connection, and did not answer within {within}"),
        };
        Self::passing(layer, what, fix)
    }

    /// The connection was closed where an answer was due.
    pub(super) fn closed(layer: Layer, place: &Place, why: &str, fix: &str) -> Self {
        Self::passing(layer, format!("{place} closed the connection: {why}"), fix)
    }
}

/// What to look at when packets are dropped.
pub(super) fn no_way(place: &str) -> String {
    format!(
        "look at the way to {place}: does its security group let this instance in on that port, are there a route and a network ACL for the subnet, is it up?"
    )
}
