//! What was asked of AWS, and what to do when it is refused.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{AwsError, chain, one_line};
use super::secret::{ParameterVersion, ParametersBelow, SecretVersion};
use super::subject::{self, Subject};
use super::{clock, credentials};
use crate::host::iam::Refusal;
use crate::host::web;

/// A request, as errors name it.
pub(super) struct Request<'a>(Subject<'a>);

impl<'a> Request<'a> {
    /// To read a secret.
    pub(super) fn secret(version: &'a SecretVersion) -> Self {
        Self(Subject::Secret(version))
    }

    /// To read a parameter.
    pub(super) fn parameter(version: &'a ParameterVersion) -> Self {
        Self(Subject::Parameter(version))
    }

    /// To read all parameters below a path.
    pub(super) fn parameters(below: &'a ParametersBelow) -> Self {
        Self(Subject::Parameters(below))
    }

    /// To read what a deployment is.
    pub(super) fn deployment(id: &'a str, region: &'a str) -> Self {
        Self(Subject::Deployment(id, region))
    }

    /// To get the password of a registry.
    pub(super) fn registry_password(registry: &'a str, region: &'a str) -> Self {
        Self(Subject::Password(registry, region))
    }

    /// There is an answer, but it cannot be used.
    pub(super) fn unusable(&self, what: &'static str) -> AwsError {
        AwsError::Unusable { act: self.0.act(), what }
    }

    /// There is no usable answer.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> AwsError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let act = self.0.act();
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
        let host = self.0.host();
        if let Some(fix) = web::advice(why, &host) {
            return fix;
        }
        format!(
            "check that it can be reached: a subnet without a NAT gateway needs the VPC endpoint com.amazonaws.{}.{} with private DNS, whose security group has to let this instance in on port 443",
            self.0.region(),
            self.0.endpoint()
        )
    }

    fn fix(&self, code: &str, message: &str) -> String {
        match (code, self.0) {
            (
                "ExpiredToken" | "ExpiredTokenException" | "UnrecognizedClientException"
                | "InvalidClientTokenId" | "InvalidSignatureException" | "IncompleteSignature",
                _,
            ) => "the credentials have expired or are not valid: look for AWS_* variables and ~/.aws, which come before the instance profile".to_owned(),
            (throttled, _) if is_throttling(throttled) => {
                format!("tried {} times: deploy to fewer instances at a time, or later", super::ATTEMPTS)
            }
            ("AccessDeniedException" | "AccessDenied", subject) => denied(subject, message),
            ("DecryptionFailure" | "InvalidKeyId", subject) if subject.encrypted().is_some() => format!(
                "its KMS key cannot be used: check that the key is enabled and that kms:Decrypt is allowed {ROLE} ('{}' names the key)",
                subject.names_its_key()
            ),
            ("ResourceNotFoundException", Subject::Secret(secret)) => not_found(secret, message),
            ("ParameterNotFound", Subject::Parameter(parameter)) => no_parameter(parameter),
            ("ParameterVersionNotFound", Subject::Parameter(parameter)) => format!(
                "the parameter exists, but this version or label of it does not: aws ssm get-parameter-history --name {} --region {}",
                subject::name_of(parameter), parameter.region
            ),
            ("InvalidRequestException", Subject::Secret(secret)) if is_about_deletion(message) => format!(
                "restore it: aws secretsmanager restore-secret --secret-id {} --region {}",
                secret.secret, secret.region
            ),
            _ => String::new(),
        }
    }
}

const ROLE: &str = "in the policy of the instance profile's role";

/// The action that IAM names is the one to allow; the one that was asked for where it names none.
fn denied(subject: Subject<'_>, message: &str) -> String {
    let refusal = Refusal::in_text(message);
    let beside = refusal.map(|refusal| refusal.beside_the_role()).unwrap_or_default();
    let action = refusal.map(|refusal| refusal.action).filter(|action| *action != subject.action());
    match (subject.encrypted(), action) {
        (Some(encrypted), action)
            if action.unwrap_or(message).starts_with("kms:") || is_about_kms(message) =>
        {
            let action = action.unwrap_or("kms:Decrypt");
            format!(
                "allow {action} on the key that encrypts {encrypted}, {ROLE} and in the key's own policy{beside}"
            )
        }
        (_, Some(action)) => {
            let on = refusal.and_then(|refusal| refusal.resource).unwrap_or("*");
            format!("allow {action} on {on}, {ROLE}{beside}")
        }
        (_, None) => format!("allow {} on {}, {ROLE}{beside}", subject.action(), subject.resource()),
    }
}

fn is_throttling(code: &str) -> bool {
    aws_runtime::retries::classifiers::THROTTLING_ERRORS.contains(&code)
}

/// Secrets Manager has two messages for it: "was marked for deletion", "currently marked deleted".
fn is_about_deletion(message: &str) -> bool {
    message.contains("marked for deletion") || message.contains("marked deleted")
}

/// Parameter Store passes KMS's own words on: "The ciphertext refers to a customer master key that does not exist ...".
fn is_about_kms(message: &str) -> bool {
    ["kms:", "KMS", "ciphertext"].iter().any(|word| message.contains(word))
}

const ELSEWHERE: &str =
    ", and write the full ARN if it is in another account or region than the image's repository";

fn not_found(secret: &SecretVersion, message: &str) -> String {
    if message.contains("staging label") || message.contains("VersionId") {
        return "the secret exists, but this version of it does not: check the stage and version in its id"
            .to_owned();
    }
    let account = if secret.secret.starts_with("arn:") { "" } else { ELSEWHERE };
    format!(
        "asked in {}: check its name with 'aws secretsmanager list-secrets --region {}'{account}",
        secret.region, secret.region
    )
}

fn no_parameter(parameter: &ParameterVersion) -> String {
    let account = if parameter.parameter.starts_with("arn:") { "" } else { ELSEWHERE };
    format!(
        "asked in {}: check its name, letter by letter, with 'aws ssm describe-parameters --region {}'{account}; for all below a path write 'parameters'",
        parameter.region, parameter.region
    )
}
