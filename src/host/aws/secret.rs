//! Secrets of Secrets Manager and of Parameter Store, as plain data.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Which version of which secret of Secrets Manager.
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

/// Which version of which parameter of Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterVersion {
    /// The parameter's name or ARN.
    pub parameter: String,
    /// Where it is.
    pub region: String,
    /// The number of a version, or a label. Without one, it is the newest.
    pub selector: Option<String>,
}

impl ParameterVersion {
    /// The selector of a version that was read.
    pub fn selector_of(version: &str) -> String {
        super::parameter_store::number_of(version).to_owned()
    }
}

/// All parameters below a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParametersBelow {
    /// The path, without a slash at its end.
    pub path: String,
    /// Where they are.
    pub region: String,
    /// The versions that were read before. Without them, what is there now.
    pub known: Option<String>,
}

/// A secret or a parameter as it was read.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Its text.
    pub text: SecretString,
    /// Secrets Manager's `VersionId`; or Parameter Store's number, and when it was changed.
    pub version: String,
}

/// Parameters as they were read.
#[derive(Debug, Clone)]
pub struct ParametersRead {
    /// Their texts, by their names below the path.
    pub texts: BTreeMap<String, SecretString>,
    /// The versions of all of them.
    pub version: String,
}
