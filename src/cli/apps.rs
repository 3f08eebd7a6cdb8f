//! Which app a command is about, when nobody says.

use crate::host::{Host, Paths};
use crate::release::AppName;

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

/// The one that is named, or every app of this instance.
pub(super) fn named_or_all(paths: &Paths, named: Option<&str>) -> Result<Vec<AppName>, String> {
    match named {
        Some(_) => the_one(paths, named).map(|app| vec![app]),
        None => Ok(paths.apps()),
    }
}

/// Whether a live container of an app runs.
pub(super) async fn something_serves(host: &Host, app: &AppName) -> bool {
    let containers = host.docker.containers_of(app).await;
    containers.is_ok_and(|containers| containers.iter().any(|c| c.running && c.is_live()))
}
