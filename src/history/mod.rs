//! What happened here: `handover history`. It reads what is kept, and changes nothing.

mod spans;
mod story;
mod table;
mod waterfall;

use std::path::Path;

use serde::Serialize;

use crate::deploy::serving;
use crate::host::docker::Container;
use crate::model::{AppName, ReleaseNumber};
use crate::state::{Past, Record, Releases};

pub use spans::{How, Span};
pub use story::{Story, StoryError, story};
pub use table::text;

/// The format of `handover history --json`.
pub const HISTORY_FORMAT: u32 = 1;

/// The releases of one app that are known here.
#[derive(Debug, Serialize)]
pub struct History {
    /// [`HISTORY_FORMAT`].
    pub format: u32,
    /// The app.
    pub app: AppName,
    /// The newest first.
    pub releases: Vec<Known>,
    /// Those of which the record is damaged, or was written by a version that says it otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<ReleaseNumber>,
}

/// One release.
#[derive(Debug, Serialize)]
pub struct Known {
    /// What is known of it.
    #[serde(flatten)]
    pub record: Record,
    /// Whether its containers serve now; nothing where the Engine does not say.
    pub serves: Option<bool>,
    /// Whether more of it is kept than its record and its journal.
    pub kept: bool,
}

/// The releases of an app, from its state folder and from its containers, as far as the Engine can be asked.
pub fn of(app: &AppName, state: &Path, containers: Option<&[Container]>) -> History {
    let (releases, past) = (Releases::of(state), Past::of(state));
    let kept = releases.numbers().unwrap_or_default();
    let (mut known, mut unreadable) = (vec![], vec![]);
    for number in &kept {
        match releases.record(*number) {
            Ok(Some(record)) => known.push((record, true)),
            Ok(None) => {}
            Err(_) => unreadable.push(*number),
        }
    }
    // What is being moved may be in both.
    known.extend(past.records().into_iter().filter(|r| !kept.contains(&r.release)).map(|r| (r, false)));
    known.sort_by_key(|(record, _)| std::cmp::Reverse(record.release));
    let releases = known.into_iter().map(|(record, kept)| Known {
        serves: containers.map(|containers| serves(record.release, containers)),
        record,
        kept,
    });
    History { format: HISTORY_FORMAT, app: app.clone(), releases: releases.collect(), unreadable }
}

fn serves(release: ReleaseNumber, containers: &[Container]) -> bool {
    let mut its = containers.iter().filter(|c| c.labels.as_ref().is_some_and(|l| l.release == release));
    its.any(|container| container.running && serving::is_live_among(containers, container))
}
