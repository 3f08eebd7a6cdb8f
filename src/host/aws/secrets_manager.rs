//! Secrets Manager: one version of one secret at a time.

use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::SecretString;

use super::Aws;
use super::error::{Asked, AwsError};

/// What is worth another try, whatever the status: the service's documentation gives `InternalServiceError` both 400 and
/// 500.
const TRANSIENT: &[&str] = &[
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalFailure",
    "InternalServiceError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// One version of a secret, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretVersion {
    /// The secret's name or ARN.
    pub secret: String,
    /// Where it is.
    pub region: String,
    /// A staging label.
    pub stage: Option<String>,
    /// A version's id. With neither, the current one is meant.
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

impl Aws {
    /// Reads one version of a secret.
    pub async fn secret(&self, wanted: &SecretVersion) -> Result<SecretValue, AwsError> {
        let asked = Asked::secret(wanted);
        let by_code =
            AwsErrorCodeClassifier::<GetSecretValueError>::builder().transient_errors(TRANSIENT).build();
        let config = aws_sdk_secretsmanager::config::Builder::from(&self.config(&wanted.region).await)
            .retry_classifier(by_code)
            .build();
        let answer = aws_sdk_secretsmanager::Client::from_conf(config)
            .get_secret_value()
            .secret_id(&wanted.secret)
            .set_version_stage(wanted.stage.clone())
            .set_version_id(wanted.version.clone())
            .send()
            .await
            .map_err(|e| asked.failed(e))?;
        match (answer.secret_string, answer.version_id) {
            (Some(text), Some(version)) => Ok(SecretValue { text: SecretString::from(text), version }),
            (None, _) => Err(asked.unusable(
                "holds binary data (SecretBinary), and only text can be injected: store it as a SecretString",
            )),
            (_, None) => Err(asked.unusable("has no version")),
        }
    }
}
