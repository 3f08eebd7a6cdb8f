//! Which Docker Engine an instance has: the machine's, or one whose packages were unpacked into a folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::kept::Kept;
use crate::spec::Bind;
use crate::tools;

/// The variable that names the folder. What is not in there (runc, for one) is the machine's.
const FOLDER: &str = "LAB_ENGINE";
/// The variable that says where the Engine keeps its images: `containerd`, or its own `overlay2`.
const IMAGE_STORE: &str = "LAB_IMAGE_STORE";

/// Where an instance sees the folder.
const INSIDE: &str = "/run/engine";
/// Where a package, or a plain archive, has its programs.
const PLACES: [&str; 4] = ["", "/usr/sbin", "/usr/bin", "/usr/libexec/docker"];

/// The Docker Engine of an instance. An instance keeps the one that it was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Engine {
    /// The folder with its programs; without it, the machine's own.
    folder: Option<PathBuf>,
    /// Whether its images are in containerd.
    in_containerd: bool,
}

impl Kept for Engine {
    const FILE: &str = "engine.json";
}

impl Engine {
    /// The one that the environment asks for.
    pub(crate) fn of_the_environment() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let folder = match set(FOLDER) {
            Some(folder) => Some(with_an_engine(Path::new(&folder))?),
            None => None,
        };
        let in_containerd = match set(IMAGE_STORE) {
            None => false,
            Some(store) if store == "containerd" => true,
            Some(store) if store == "overlay2" => false,
            Some(store) => bail!("{IMAGE_STORE} is {}: it can be containerd or overlay2", store.display()),
        };
        Ok(Self { folder, in_containerd })
    }

    /// What shows the folder to the instance, wherever it is on the machine.
    pub(crate) fn bind(&self) -> Option<Bind> {
        self.folder.as_ref().map(|folder| Bind::new(folder, INSIDE))
    }

    /// What the Engine, and all that it starts, finds its programs by.
    pub(crate) fn path(&self) -> String {
        let own = self.folder.iter().flat_map(|_| PLACES.map(|place| format!("{INSIDE}{place}:")));
        own.chain([tools::PATH.to_owned()]).collect()
    }

    /// The arguments that make it keep its images where it shall.
    pub(crate) fn arguments(&self) -> &'static [&'static str] {
        if self.in_containerd {
            // The first Engine that takes a feature as an argument is 27.
            &["--feature", "containerd-snapshotter=true", "--storage-driver", "overlayfs"]
        } else {
            &["--storage-driver", "overlay2"]
        }
    }
}

fn with_an_engine(folder: &Path) -> Result<PathBuf> {
    let whole = folder
        .canonicalize()
        .with_context(|| format!("{FOLDER} is {}, and there is no such folder", folder.display()))?;
    for program in ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"] {
        let mut places = PLACES.iter().map(|place| PathBuf::from(format!("{}{place}", whole.display())));
        if !places.any(|place| place.join(program).is_file()) {
            bail!(
                "{FOLDER} is {}, and {program} is not in it: scripts/lab-setup --engine SUITE makes such a folder",
                whole.display()
            );
        }
    }
    Ok(whole)
}
