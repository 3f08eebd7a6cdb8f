//! How `CodeDeploy` calls a hook: with environment variables, and the path of the executable.

use std::path::{Path, PathBuf};

use super::event::{LifecycleEvent, UnknownEvent};
use crate::model::{DeploymentId, Malformed, Revision};

/// A hook, as it was called.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Which event.
    pub event: LifecycleEvent,
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Which deployment group.
    pub group: Option<String>,
    /// Which revision, as far as it says.
    pub revision: Revision,
    /// The bundle that this executable belongs to.
    pub bundle: PathBuf,
    /// Our path in it. `appspec.yml` may name a link to it or a script that starts it.
    pub location: String,
}

/// Why this is not a valid call of a hook.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// A variable is missing.
    #[error("{0} is not set: CodeDeploy sets it for every hook; to deploy by hand, run 'handover deploy'")]
    Unset(&'static str),
    /// There is no such event.
    #[error(transparent)]
    Event(#[from] UnknownEvent),
    /// The id is not valid.
    #[error("DEPLOYMENT_ID is not valid")]
    Deployment(#[from] Malformed),
    /// The executable is not in a bundle.
    #[error("'{}' is not inside a bundle: no folder above it holds a {}", .0.display(), crate::config::FILE_NAME)]
    NoBundle(PathBuf),
}

/// The variable by which `CodeDeploy` names the deployment.
pub const DEPLOYMENT_VARIABLE: &str = "DEPLOYMENT_ID";

/// The variable by which `CodeDeploy` names the event.
pub const EVENT_VARIABLE: &str = "LIFECYCLE_EVENT";

impl Invocation {
    /// Reads a hook's call. `variable` gives an environment variable; `exe` is this executable; `event` overrides the
    /// variable's.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        exe: &Path,
        event: Option<&str>,
    ) -> Result<Self, InvocationError> {
        let event = match event {
            Some(event) => event.parse()?,
            None => variable(EVENT_VARIABLE).ok_or(InvocationError::Unset(EVENT_VARIABLE))?.parse()?,
        };
        let deployment =
            variable(DEPLOYMENT_VARIABLE).ok_or(InvocationError::Unset(DEPLOYMENT_VARIABLE))?.parse()?;
        let bundle = exe
            .ancestors()
            .skip(1)
            .find(|folder| {
                let mut names = super::appspec::NAMES.into_iter().chain([crate::config::FILE_NAME]);
                names.any(|name| folder.join(name).is_file())
            })
            .ok_or_else(|| InvocationError::NoBundle(exe.to_owned()))?;
        Ok(Self {
            event,
            deployment,
            group: variable("DEPLOYMENT_GROUP_NAME").filter(|name| !name.is_empty()),
            revision: Revision::of_hook(&variable),
            bundle: bundle.to_owned(),
            location: exe.strip_prefix(bundle).unwrap_or(exe).to_string_lossy().into_owned(),
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's files need not survive a power cut")]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "LIFECYCLE_EVENT" => Some("ApplicationStart".to_owned()),
            "DEPLOYMENT_ID" => Some("d-ABC123DEF".to_owned()),
            "DEPLOYMENT_GROUP_NAME" => Some("production".to_owned()),
            "BUNDLE_BUCKET" => Some("bundles".to_owned()),
            "BUNDLE_KEY" => Some("status-page.zip".to_owned()),
            "BUNDLE_ETAG" => Some("0f34".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_bundle_is_found_from_the_executable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::fs::write(dir.path().join("handover.toml"), "").unwrap();
        let hook = Invocation::read(variables, &dir.path().join("bin/handover"), None).unwrap();
        assert_eq!(hook.bundle, dir.path());
        assert_eq!(hook.location, "bin/handover");
        assert_eq!(hook.event, LifecycleEvent::ApplicationStart);
        assert_eq!(hook.revision.to_string(), "s3://bundles/status-page.zip, etag 0f34");
        let nowhere = Invocation::read(variables, Path::new("/nowhere/handover"), None).unwrap_err();
        assert!(nowhere.to_string().contains("handover.toml"), "{nowhere}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error =
            Invocation::read(|_| None, Path::new("/x"), Some("ApplicationStart")).unwrap_err().to_string();
        assert!(error.starts_with("DEPLOYMENT_ID is not set"), "{error}");
    }
}
