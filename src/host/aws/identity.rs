//! The account and region of this instance, from its metadata.

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use serde::Deserialize;

use super::Aws;
use super::error::{AwsError, chain};
use crate::model::{ImageSource, Repository, RepositoryName};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentityDocument {
    account_id: String,
    region: String,
}

impl IdentityDocument {
    /// For machines without metadata: the SDKs' own variables.
    fn of_the_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            account_id: variable("AWS_ACCOUNT_ID")?,
            region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))?,
        })
    }
}

impl Aws {
    /// The full name of a repository. One without a host is in the account and region of this instance, by its metadata
    /// or, where there are none, by `AWS_ACCOUNT_ID` and `AWS_REGION`.
    pub async fn full_name(&self, repository: &Repository) -> Result<RepositoryName, AwsError> {
        match repository {
            Repository::Full(name) => Ok(name.clone()),
            Repository::Here(path) => {
                let here = self
                    .identity()
                    .await
                    .map_err(|why| AwsError::NoAccount { repository: path.clone(), why })?;
                Ok(RepositoryName::in_ecr(&here.account_id, &here.region, path))
            }
        }
    }

    /// The region of an image: the one in its configuration, else that of this instance.
    pub async fn region(&self, image: &ImageSource) -> Result<String, AwsError> {
        if let Some(region) = &image.region {
            return Ok(region.clone());
        }
        let here = self.identity().await.map_err(|why| AwsError::NoRegion { why })?;
        Ok(here.region.clone())
    }

    async fn identity(&self) -> Result<&IdentityDocument, String> {
        let look_up = || async {
            let found = self.identity_document().await;
            found.or_else(|why| IdentityDocument::of_the_environment().ok_or(why))
        };
        self.identity.get_or_try_init(look_up).await
    }

    async fn identity_document(&self) -> Result<IdentityDocument, String> {
        if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|v| v.eq_ignore_ascii_case("true")) {
            return Err("AWS_EC2_METADATA_DISABLED is set".to_owned());
        }
        let provider = ProviderConfig::default().with_http_client(self.http.clone());
        let client = imds::Client::builder().configure(&provider).build();
        let document =
            client.get("/latest/dynamic/instance-identity/document").await.map_err(|e| chain(&e))?;
        serde_json::from_str(document.as_ref())
            .map_err(|e| format!("the identity document cannot be read: {e}"))
    }
}
