//! Where a bundle came from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The revision that `CodeDeploy` deploys: an object in S3 or a commit at GitHub, as far as it says; nothing of a local bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The bucket in S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its version; none where the bucket has no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The commit at GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Revision {
    /// As the variables of a hook say.
    pub fn of_hook(variable: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            bucket: said("BUNDLE_BUCKET"),
            key: said("BUNDLE_KEY"),
            version: said("BUNDLE_VERSION"),
            etag: said("BUNDLE_ETAG"),
            commit: said("BUNDLE_COMMIT"),
        }
    }

    /// Whether nobody has said anything.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(commit) = &self.commit {
            return write!(f, "commit {commit}");
        }
        let (bucket, key) = (self.bucket.as_deref().unwrap_or("?"), self.key.as_deref().unwrap_or("?"));
        write!(f, "s3://{bucket}/{key}")?;
        match (&self.version, &self.etag) {
            (Some(version), _) => write!(f, ", version {version}"),
            (None, Some(etag)) => write!(f, ", etag {etag}"),
            (None, None) => Ok(()),
        }
    }
}
