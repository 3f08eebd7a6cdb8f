//! Which app a command is about, when nobody says.

use std::path::PathBuf;

use crate::config::{self, Config};
use crate::host::{Host, Paths};
use crate::release::AppName;
use crate::report::text::chain;
use crate::state::Releases;

/// The one that is meant.
pub(super) fn the_one(paths: &Paths, named: Option<&str>) -> Result<AppName, String> {
    if let Some(name) = named {
        return name.parse().map_err(|e: crate::release::Malformed| e.to_string());
    }
    match paths.apps().as_slice() {
        [] => Err("nothing has been deployed here".to_owned()),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<&str> = several.iter().map(AppName::as_str).collect();
            Err(format!("several apps are deployed here: {}; say which with --app", names.join(", ")))
        }
    }
}

/// Which configuration a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The folder of the bundle; the configuration of the last good release by default
    bundle: Option<PathBuf>,
    /// Which app, when several are deployed here and no bundle is given
    #[arg(long)]
    app: Option<String>,
}

impl Which {
    /// The bundle's configuration, or that of the last release that went well, so that an operator needs no bundle.
    pub(super) fn config(&self) -> Result<Config, String> {
        if let Some(bundle) = &self.bundle {
            return config::load(bundle).map_err(|e| chain(&e));
        }
        let paths = Paths::of_the_system();
        let app =
            the_one(&paths, self.app.as_deref()).map_err(|e| format!("{e}; give the folder of a bundle"))?;
        let releases = Releases::of(&paths.app(&app));
        let last = releases
            .last_good()
            .ok_or_else(|| format!("no release of {app} is on record: give the folder of a bundle"))?;
        releases.config(last.release).map_err(|e| chain(&e))?.ok_or_else(|| {
            format!("the configuration of {app} {} is lost: give the folder of a bundle", last.release)
        })
    }
}

/// Whether a live container of an app runs.
pub(super) async fn something_serves(host: &Host, app: &AppName) -> bool {
    let containers = host.docker.containers_of(app).await;
    containers.is_ok_and(|containers| containers.iter().any(|c| c.running && c.is_live()))
}
