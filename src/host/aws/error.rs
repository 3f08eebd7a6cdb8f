//! What can go wrong with AWS, for people: what was asked for, what the answer was, and the fix.

use crate::host::web::WebError;
use crate::model::{Explain, Finding};

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
        /// What to do about it, where that is known.
        fix: String,
    },
    /// The service was not reached, or did not answer.
    #[error("failed to {act}: {why}")]
    Failed {
        /// What was asked for.
        act: String,
        /// The chain of causes.
        why: String,
        /// What to do about it, where that is known.
        fix: String,
    },
    /// There are no credentials to ask with. It is the same for whatever is asked.
    #[error("no credentials for AWS: {}", .0.what)]
    Credentials(Finding),
    /// Every request will be refused for the instance's clock.
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
    /// Nothing says which account or region is meant.
    #[error(
        "cannot tell the account and region of repository '{repository}': the instance's metadata do not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set"
    )]
    Nowhere {
        /// The repository.
        repository: String,
        /// What the metadata service said.
        why: String,
    },
    /// Nothing says which region is meant.
    #[error(
        "cannot tell the region: the instance's metadata do not answer ({why}), and AWS_ACCOUNT_ID and AWS_REGION are not set"
    )]
    NoRegion {
        /// What the metadata service said.
        why: String,
    },
    /// Nothing at all can be reached.
    #[error(transparent)]
    Web(#[from] WebError),
}

impl Explain for AwsError {
    fn fix(&self) -> Option<String> {
        let fix = match self {
            Self::Refused { fix, .. } | Self::Failed { fix, .. } => fix.clone(),
            Self::Credentials(finding) | Self::Clock(finding) => finding.fix.clone(),
            Self::Nowhere { repository, .. } => {
                format!("write its whole name, ACCOUNT.dkr.ecr.REGION.amazonaws.com/{repository}")
            }
            Self::NoRegion { .. } => "add region to [image]".to_owned(),
            Self::Unusable { .. } | Self::Web(_) => String::new(),
        };
        Some(fix).filter(|fix| !fix.is_empty())
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

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
