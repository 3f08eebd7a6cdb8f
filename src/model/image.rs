//! Which image, and how to log in to its registry.

use serde::Serialize;

use super::release::ImageDigest;
use super::repository::Repository;

/// Which image.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSource {
    /// Its repository.
    pub repository: Repository,
    /// How to log in to its registry.
    pub auth: Auth,
    /// The AWS region of the login token, and of secrets that name none; the instance's own when there is none.
    pub region: Option<String>,
    /// A tag, resolved to a digest once per deployment; a digest's text where the image is named by that alone.
    pub tag: String,
    /// What the tag means, if the bundle says so: then no registry is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<ImageDigest>,
    /// What names it on this instance, if it is there already: `REPOSITORY:TAG`, or its id. Then no registry is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
}

/// How to log in to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// With a token from ECR, which the instance's role may get.
    Ecr,
    /// Not at all.
    None,
    /// With the `username` and `password` of this secret.
    Secret(String),
}
