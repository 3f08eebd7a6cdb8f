//! Which app a command is about, when nobody says.

use crate::deploy::serving;
use crate::host::docker::Container;
use crate::host::{Host, Paths};
use crate::journal::Journal;
use crate::model::AppName;
use crate::state::Releases;

/// The one that is named, or the only one.
pub(super) fn the_one(paths: &Paths, named: Option<&str>) -> Result<AppName, String> {
    let here = paths.apps();
    if let Some(name) = named {
        let app: AppName = name.parse().map_err(|e: crate::model::Malformed| e.to_string())?;
        let names: Vec<&str> = here.iter().map(AppName::as_str).collect();
        return if here.contains(&app) {
            Ok(app)
        } else if names.is_empty() {
            Err(format!("no app '{app}' was deployed here, and no other one either"))
        } else {
            Err(format!("no app '{app}' was deployed here; there are: {}", names.join(", ")))
        };
    }
    match here.as_slice() {
        [] => Err("nothing has been deployed here".to_owned()),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<&str> = several.iter().map(AppName::as_str).collect();
            Err(format!("several apps are deployed here: {}; say which with --app", names.join(", ")))
        }
    }
}

/// The one that is named, or every app of this instance.
pub(super) fn named_or_all(paths: &Paths, named: Option<&str>) -> Result<Vec<AppName>, String> {
    match named {
        Some(_) => the_one(paths, named).map(|app| vec![app]),
        None => Ok(paths.apps()),
    }
}

/// The containers of an app, as far as the Engine can be asked.
pub(super) async fn containers(host: &Host, app: &AppName) -> Option<Vec<Container>> {
    host.docker.containers_of(app).await.ok()
}

/// Why what serves was not healthy when the last run checked it.
pub(super) fn sick(host: &Host, app: &AppName) -> Vec<String> {
    let releases = Releases::of(&host.paths.app(app));
    let history = Journal::read(releases.dir()).ok().flatten();
    history.map(|history| history.sick().to_vec()).unwrap_or_default()
}

/// What to say, and to type, when an app that was good once does not run.
pub(super) async fn down(host: &Host, app: &AppName) -> Option<(String, String)> {
    let containers = containers(host, app).await?;
    let last_good = Releases::of(&host.paths.app(app)).last_good();
    let next = serving::remedy(app, &containers, last_good.is_some())?;
    Some((format!("NOTHING healthy of {app} is serving"), next))
}
