//! What was asked of AWS, and what to do when it is refused.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{AwsError, chain, one_line};
use super::secret::SecretVersion;
use super::{clock, credentials};
use crate::host::iam::Refusal;
use crate::host::web;

/// A request, as errors name it.
pub(super) struct Request<'a> {
    act: String,
    /// The service, as the name of its VPC endpoint spells it.
    endpoint: &'static str,
    region: &'a str,
    secret: Option<&'a SecretVersion>,
}

impl<'a> Request<'a> {
    /// To read a secret.
    pub(super) fn secret(version: &'a SecretVersion) -> Self {
        let act = format!("read secret '{}' (secretsmanager:GetSecretValue)", version.secret);
        Self { act, endpoint: "secretsmanager", region: &version.region, secret: Some(version) }
    }

    /// To get the password of a registry.
    pub(super) fn registry_password(registry: &str, region: &'a str) -> Self {
        let act = format!("get a password for registry '{registry}' in {region} (ecr:GetAuthorizationToken)");
        Self { act, endpoint: "ecr.api", region, secret: None }
    }

    /// There is an answer, but it cannot be used.
    pub(super) fn unusable(&self, what: &'static str) -> AwsError {
        AwsError::Unusable { act: self.act.clone(), what }
    }

    /// There is no usable answer.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> AwsError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let act = self.act.clone();
        if let Some((Some(code), message)) = error.as_service_error().map(|e| (e.code(), e.message())) {
            let message = one_line(message.unwrap_or("no message"));
            let date = error.raw_response().and_then(|response| response.headers().get("date"));
            if let Some(finding) = clock::wrong_clock(code, &message, date) {
                return AwsError::Clock(finding);
            }
            let fix = self.fix(code, &message);
            return AwsError::Refused { act, code: code.to_owned(), message, fix };
        }
        if let Some(why) = credentials::missing(&error) {
            return AwsError::Credentials(why);
        }
        let unreached = matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_));
        let why = chain(&error);
        let fix = if unreached { self.reachability_fix(&why) } else { String::new() };
        AwsError::Failed { act, why, fix }
    }

    fn reachability_fix(&self, why: &str) -> String {
        let host = match self.endpoint {
            "ecr.api" => format!("api.ecr.{}.amazonaws.com", self.region),
            service => format!("{service}.{}.amazonaws.com", self.region),
        };
        if let Some(fix) = web::advice(why, &host) {
            return fix;
        }
        format!(
            "check that it can be reached: a subnet without a NAT gateway needs the VPC endpoint com.amazonaws.{}.{} with private DNS, whose security group has to let this instance in on port 443",
            self.region, self.endpoint
        )
    }

    fn fix(&self, code: &str, message: &str) -> String {
        let role = "in the policy of the instance profile's role";
        match (code, self.secret) {
            (
                "ExpiredToken" | "ExpiredTokenException" | "UnrecognizedClientException"
                | "InvalidClientTokenId" | "InvalidSignatureException" | "IncompleteSignature",
                _,
            ) => "the credentials have expired or are not valid: look for AWS_* variables and ~/.aws, which come before the instance profile".to_owned(),
            (throttled, _) if is_throttling(throttled) => {
                format!("tried {} times: deploy to fewer instances at a time, or later", super::ATTEMPTS)
            }
            ("AccessDeniedException" | "AccessDenied", secret) => denied(secret, message),
            ("DecryptionFailure", Some(secret)) => format!(
                "its KMS key cannot be used: check that the key is enabled and that kms:Decrypt is allowed {role} ('aws secretsmanager describe-secret --secret-id {} --region {}' names the key)",
                secret.secret, secret.region
            ),
            ("ResourceNotFoundException", Some(secret)) => not_found(secret, message),
            ("InvalidRequestException", Some(secret)) if is_about_deletion(message) => format!(
                "restore it: aws secretsmanager restore-secret --secret-id {} --region {}",
                secret.secret, secret.region
            ),
            _ => String::new(),
        }
    }
}

/// The action that IAM names is the one to allow; the one that was asked for where it names none.
fn denied(secret: Option<&SecretVersion>, message: &str) -> String {
    let role = "in the policy of the instance profile's role";
    let refusal = Refusal::in_text(message);
    let beside = refusal.map(|refusal| refusal.beside_the_role()).unwrap_or_default();
    let asked = if secret.is_some() { "secretsmanager:GetSecretValue" } else { "ecr:GetAuthorizationToken" };
    let action = refusal.map(|refusal| refusal.action).filter(|action| *action != asked);
    match (secret, action) {
        (Some(secret), action) if action.unwrap_or(message).starts_with("kms:") || is_about_kms(message) => {
            format!(
                "allow {} on the key that encrypts '{}', {role} and in the key's own policy{beside}",
                action.unwrap_or("kms:Decrypt"),
                secret.secret
            )
        }
        (_, Some(action)) => {
            let on = refusal.and_then(|refusal| refusal.resource).unwrap_or("*");
            format!("allow {action} on {on}, {role}{beside}")
        }
        (Some(secret), None) => format!("allow {asked} on {}, {role}{beside}", resource(secret)),
        (None, None) => format!("allow {asked} on *, {role}{beside}"),
    }
}

fn is_throttling(code: &str) -> bool {
    aws_runtime::retries::classifiers::THROTTLING_ERRORS.contains(&code)
}

/// Secrets Manager has two messages for it: "was marked for deletion", "currently marked deleted".
fn is_about_deletion(message: &str) -> bool {
    message.contains("marked for deletion") || message.contains("marked deleted")
}

fn is_about_kms(message: &str) -> bool {
    message.contains("kms:") || message.contains("KMS")
}

/// The secret as a policy names it: Secrets Manager adds six random characters to a name.
fn resource(secret: &SecretVersion) -> String {
    if secret.secret.starts_with("arn:") {
        secret.secret.clone()
    } else {
        format!("arn:aws:secretsmanager:{}:ACCOUNT:secret:{}-??????", secret.region, secret.secret)
    }
}

fn not_found(secret: &SecretVersion, message: &str) -> String {
    if message.contains("staging label") || message.contains("VersionId") {
        return "the secret exists, but this version of it does not: check the stage and version in its id"
            .to_owned();
    }
    let elsewhere =
        ", and write the full ARN if it is in another account or region than the image's repository";
    let account = if secret.secret.starts_with("arn:") { "" } else { elsewhere };
    format!(
        "asked in {}: check its name with 'aws secretsmanager list-secrets --region {}'{account}",
        secret.region, secret.region
    )
}
