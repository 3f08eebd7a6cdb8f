//! Secrets Manager: one version of one secret at a time.

use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::SecretString;

use super::Aws;
use super::error::AwsError;
use super::request::Request;
use super::secret::{SecretValue, SecretVersion};

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

impl Aws {
    /// Reads one version of a secret.
    pub async fn secret(&self, version: &SecretVersion) -> Result<SecretValue, AwsError> {
        let request = Request::secret(version);
        let by_code =
            AwsErrorCodeClassifier::<GetSecretValueError>::builder().transient_errors(TRANSIENT).build();
        let config = aws_sdk_secretsmanager::config::Builder::from(&self.config(&version.region).await)
            .retry_classifier(by_code)
            .build();
        let answer = aws_sdk_secretsmanager::Client::from_conf(config)
            .get_secret_value()
            .secret_id(&version.secret)
            .set_version_stage(version.stage.clone())
            .set_version_id(version.version.clone())
            .send()
            .await
            .map_err(|e| request.failed(e))?;
        match (answer.secret_string, answer.version_id) {
            (Some(text), Some(id)) => Ok(SecretValue { text: SecretString::from(text), version: id }),
            (None, _) => Err(request.unusable(
                "has binary data (SecretBinary), and only text can be injected: store it as a SecretString",
            )),
            (_, None) => Err(request.unusable("has no version")),
        }
    }
}
