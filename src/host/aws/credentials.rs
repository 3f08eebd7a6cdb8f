//! No credentials: why, and where they should come from.

use std::error::Error;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;

use super::Aws;
use super::error::{AwsError, chain};
use crate::model::Finding;

impl Aws {
    /// Sees that there are credentials, before several requests each wait for them and fail for the same reason.
    pub async fn see_credentials(&self, region: &str) -> Result<(), AwsError> {
        let Some(provider) = self.config(region).await.credentials_provider() else { return Ok(()) };
        match provider.provide_credentials().await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(AwsError::Credentials(problem(&error).unwrap_or_else(|| Finding::new(chain(&error), ""))))
            }
        }
    }
}

/// What keeps this process from its credentials, if that is what an error is about.
pub(super) fn problem(error: &(dyn Error + 'static)) -> Option<Finding> {
    let causes = || std::iter::successors(Some(error), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes().find(|cause| cause.is::<CredentialsError>())?;
    for cause in causes() {
        match cause.downcast_ref::<ImdsError>() {
            Some(ImdsError::ErrorResponse(answer)) => {
                let status = answer.response().status().as_u16();
                return Some(of_status(status));
            }
            // What failed below is private to the SDK: its words tell a time-out from an answer.
            Some(ImdsError::FailedToLoadToken(token)) => {
                let silent = token.is_dispatch_failure() || chain(cause).contains("timed out");
                return Some(because(if silent { SILENT } else { DISABLED }));
            }
            Some(_) => return Some(because(SILENT)),
            None => {}
        }
    }
    // The chain of providers tells what each of them said, in words only.
    let said = causes().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let known = [
        ("404 from IMDS", NO_PROFILE),
        (
            "IMDS disabled by",
            (
                "AWS_EC2_METADATA_DISABLED is set, and there are no others",
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
        status => {
            Finding::new(format!("the instance's metadata (169.254.169.254) answer with status {status}"), "")
        }
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
    "the instance's metadata (169.254.169.254) do not answer",
    "see that they are enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled), that nothing filters that address, and, if handover runs in a container, that the hop limit is 2",
);

const DISABLED: (&str, &str) = (
    "the instance's metadata (169.254.169.254) refuse a token",
    "see that they are enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled --http-tokens required)",
);
