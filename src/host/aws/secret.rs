//! Secrets of Secrets Manager, as plain data.

use secrecy::SecretString;

/// Which version of which secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretVersion {
    /// The secret's name or ARN.
    pub secret: String,
    /// Where it is.
    pub region: String,
    /// A staging label.
    pub stage: Option<String>,
    /// A version's id. With neither, it is the current version.
    pub version: Option<String>,
}

/// A secret as it was read.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Its text.
    pub text: SecretString,
    /// Secrets Manager's `VersionId`.
    pub version: String,
}
