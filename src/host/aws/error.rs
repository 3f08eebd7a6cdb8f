//! What goes wrong at AWS, for people.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::host::roots::RootsError;

/// An answer of AWS that is not what was needed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service refused.
    #[error("AWS refuses to {act}: {code}: {message}")]
    Refused {
        /// What was asked for.
        act: String,
        /// The service's error code.
        code: String,
        /// Its words.
        message: String,
    },
    /// The service was not reached, or did not answer.
    #[error("failed to {act}: {why}")]
    Failed {
        /// What was asked for.
        act: String,
        /// The chain of causes.
        why: String,
    },
    /// The answer cannot be used.
    #[error("AWS's answer to '{act}' {what}")]
    Unusable {
        /// What was asked for.
        act: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing says which account or region is meant.
    #[error(
        "cannot tell the account and region of repository '{repository}': the instance's metadata do not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set; write its whole name, ACCOUNT.dkr.ecr.REGION.amazonaws.com/{repository}"
    )]
    Nowhere {
        /// The repository.
        repository: String,
        /// What the metadata service said.
        why: String,
    },
    /// The certificates cannot be read.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// TLS cannot be set up.
    #[error("failed to set up TLS: {0}")]
    Tls(String),
}

/// What became of a call, by what was asked for.
pub(super) fn error<E, R>(act: &str, error: SdkError<E, R>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error().map(|service| (service.code(), service.message())) {
        Some((Some(code), message)) => AwsError::Refused {
            act: act.to_owned(),
            code: code.to_owned(),
            message: one_line(message.unwrap_or("no message")),
        },
        _ => AwsError::Failed { act: act.to_owned(), why: chain(&error) },
    }
}

/// Layers of the SDK that say nothing once there is a cause below them.
const LAYERS: &[&str] =
    &["dispatch failure", "io error", "client error (Connect)", "dns error", "failed to perform DNS lookup"];

/// The causes of an error, outermost first, without the debug text that the SDK would add.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = one_line(&cause.to_string());
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    let last = causes.pop().unwrap_or_default();
    causes.retain(|cause| !LAYERS.contains(&cause.as_str()));
    causes.push(last);
    causes.join(": ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
