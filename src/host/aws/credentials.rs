//! Missing credentials: why, and where they should come from.

use std::error::Error;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;

use super::Aws;
use super::error::{AwsError, chain};
use crate::model::Finding;

impl Aws {
    /// Checks that there are credentials, before several requests each wait for them and fail for the same reason.
    pub async fn check_credentials(&self, region: &str) -> Result<(), AwsError> {
        let Some(provider) = self.config(region).await.credentials_provider() else { return Ok(()) };
        match provider.provide_credentials().await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(AwsError::Credentials(missing(&error).unwrap_or_else(|| Finding::new(chain(&error), ""))))
            }
        }
    }
}

/// Why there are no credentials, if that is what an error is about.
pub(super) fn missing(error: &(dyn Error + 'static)) -> Option<Finding> {
    let causes = || std::iter::successors(Some(error), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes().find(|cause| cause.is::<CredentialsError>())?;
    for cause in causes() {
        match cause.downcast_ref::<ImdsError>() {
            Some(ImdsError::ErrorResponse(answer)) => {
                let status = answer.response().status().as_u16();
                return Some(of_status(status));
            }
            // The cause below is private to the SDK: only its text distinguishes a timeout from an answer.
            Some(ImdsError::FailedToLoadToken(token)) => {
                let silent = token.is_dispatch_failure() || chain(cause).contains("timed out");
                return Some(because(if silent { SILENT } else { DISABLED }));
            }
            Some(_) => return Some(because(SILENT)),
            None => {}
        }
    }
    // The provider chain reports what each of its members said, but only as text.
    let said = causes().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let known = [
        ("404 from IMDS", NO_PROFILE),
        (
            "IMDS disabled by",
            (
                "AWS_EC2_METADATA_DISABLED is set, and there are no other credentials",
                "unset it, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ),
        ),
        ("communicate with IMDS", SILENT),
        ("timed out", SILENT),
    ];
    let why = known.iter().find(|(words, _)| said.contains(words)).map(|(_, why)| because(*why));
    Some(why.unwrap_or_else(|| Finding::new(chain(error), NO_PROFILE.1)))
}

fn of_status(status: u16) -> Finding {
    match status {
        404 => because(NO_PROFILE),
        401 | 403 => because(DISABLED),
        status => Finding::new(
            format!("the instance metadata service (169.254.169.254) answers with status {status}"),
            "",
        ),
    }
}

fn because((what, fix): (&str, &str)) -> Finding {
    Finding::new(what, fix)
}

const NO_PROFILE: (&str, &str) = (
    "this instance has no IAM role",
    "attach an instance profile to it (aws ec2 associate-iam-instance-profile)",
);

const SILENT: (&str, &str) = (
    "the instance metadata service (169.254.169.254) does not answer",
    "check that it is enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled), that nothing blocks that address, and, if handover runs in a container, that the hop limit is 2",
);

const DISABLED: (&str, &str) = (
    "the instance metadata service (169.254.169.254) refuses a token",
    "check that it is enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled --http-tokens required)",
);
