//! Secrets Manager: one secret at a time.

use secrecy::SecretString;

use super::Aws;
use super::error::{AwsError, error};

/// A secret as it was read.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Its text.
    pub text: SecretString,
    /// Secrets Manager's `VersionId`.
    pub version: String,
}

impl Aws {
    /// A secret, or a version of it that was read before in the same deployment.
    pub async fn secret(
        &self,
        region: &str,
        id: &str,
        version: Option<&str>,
    ) -> Result<SecretValue, AwsError> {
        // The region in an ARN is the secret's own.
        let region = id.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(region);
        let act = format!("read secret '{id}' (secretsmanager:GetSecretValue)");
        let client = aws_sdk_secretsmanager::Client::new(&self.config(region).await);
        let asked = client.get_secret_value().secret_id(id).set_version_id(version.map(str::to_owned));
        let answer = asked.send().await.map_err(|e| error(&act, e))?;
        let unusable = |what| AwsError::Unusable { act: act.clone(), what };
        match (answer.secret_string, answer.version_id) {
            (Some(text), Some(version)) => Ok(SecretValue { text: SecretString::from(text), version }),
            (None, _) => Err(unusable("holds binary data, and only text can be injected")),
            (_, None) => Err(unusable("has no version")),
        }
    }
}
