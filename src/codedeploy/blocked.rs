//! Whether the load balancer keeps clients away while a deployment is under way: `CodeDeploy` says so by the events that it
//! runs around `BlockTraffic`. What they leave is a note for the hooks of the same deployment, no more: without it clients are
//! taken to be there.

use std::path::{Path, PathBuf};

use crate::fs;
use crate::model::DeploymentId;

fn note(folder: &Path) -> PathBuf {
    folder.join("traffic-blocked")
}

/// Notes that traffic is blocked for a deployment, in the folder of the locks. Nothing depends on it, so nothing is said of what
/// goes wrong; where nothing was ever deployed, in `state`, nothing is noted.
pub fn remember(folder: &Path, state: &Path, deployment: &DeploymentId) {
    if state.is_dir() {
        let _ = fs::private_dir(folder)
            .and_then(|()| fs::write_atomically(&note(folder), deployment.as_str().as_bytes(), 0o600));
    }
}

/// Whether that was noted for this deployment.
pub fn is_blocked(folder: &Path, deployment: &DeploymentId) -> bool {
    fs::read_if_there(&note(folder)).ok().flatten().is_some_and(|text| text == deployment.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_of_one_deployment_where_something_was_deployed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, state) = (dir.path().join("run"), dir.path().join("state"));
        let (one, other) = ("d-1".parse().unwrap(), "d-2".parse().unwrap());
        remember(&folder, &state, &one);
        assert!(!is_blocked(&folder, &one));
        std::fs::create_dir(&state).unwrap();
        remember(&folder, &state, &one);
        assert!(is_blocked(&folder, &one) && !is_blocked(&folder, &other));
        remember(&folder, &state, &other);
        assert!(!is_blocked(&folder, &one) && is_blocked(&folder, &other));
    }
}
