//! What can go wrong with AWS, for people: what was asked for, what the answer was, and the fix.

use crate::host::web::WebError;
use crate::model::{Explain, Finding};

/// Why AWS did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service refused.
    #[error("AWS refuses to {act}: {code}: {message}")]
    Refused {
        /// What was asked for.
        act: String,
        /// The service's error code.
        code: String,
        /// Its message.
        message: String,
        /// What to do about it, where that is known.
        fix: String,
    },
    /// The service could not be reached, or did not answer.
    #[error("failed to {act}: {why}")]
    Failed {
        /// What was asked for.
        act: String,
        /// The chain of causes.
        why: String,
        /// What to do about it, where that is known.
        fix: String,
    },
    /// There are no credentials, whatever is asked for.
    #[error("no credentials for AWS: {}", .0.what)]
    Credentials(Finding),
    /// The instance's clock is wrong, so every request is refused.
    #[error("{}", .0.what)]
    Clock(Finding),
    /// The answer cannot be used.
    #[error("AWS's answer to '{act}' {what}")]
    Unusable {
        /// What was asked for.
        act: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is nothing below a path.
    #[error("there is no parameter below '{path}/' in {region}")]
    NoneBelow {
        /// The path.
        path: String,
        /// Where it was asked for.
        region: String,
    },
    /// The account and region are not known.
    #[error(
        "cannot tell the account and region of repository '{repository}': the instance metadata service does not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set"
    )]
    NoAccount {
        /// The repository.
        repository: String,
        /// What the metadata service said.
        why: String,
    },
    /// The region is not known.
    #[error(
        "cannot tell the region: the instance metadata service does not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set"
    )]
    NoRegion {
        /// What the metadata service said.
        why: String,
    },
    /// There can be no HTTPS at all.
    #[error(transparent)]
    Web(#[from] WebError),
}

impl Explain for AwsError {
    fn fix(&self) -> Option<String> {
        let fix = match self {
            Self::Refused { fix, .. } | Self::Failed { fix, .. } => fix.clone(),
            Self::Credentials(finding) | Self::Clock(finding) => finding.fix.clone(),
            Self::NoAccount { repository, .. } => {
                format!("write its full name, ACCOUNT.dkr.ecr.REGION.amazonaws.com/{repository}")
            }
            Self::NoneBelow { path, region } => format!(
                "check the path, letter by letter: aws ssm describe-parameters --parameter-filters Key=Path,Option=Recursive,Values={path} --region {region}"
            ),
            Self::NoRegion { .. } => "add region to [image]".to_owned(),
            Self::Unusable { .. } | Self::Web(_) => String::new(),
        };
        Some(fix).filter(|fix| !fix.is_empty())
    }
}

/// Messages of the SDK's layers that add nothing to the cause below them.
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

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
