//! The way back to an earlier release: which one, and whether anything stands in its way. The run itself is an ordinary one.

pub mod standing;

use super::serving;
use crate::config::Config;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::host::docker::{Container, DockerError, LocalImage};
use crate::journal::Rollback;
use crate::model::container::Source;
use crate::model::{AppName, Explain, ImageDigest, ImageName, ProcessName, ReleaseNumber, image_tag};
use crate::state::{Past, Record, Releases, StateError, Verdict};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The release; the last good one before live by default.
    pub release: Option<ReleaseNumber>,
    /// Also where a schema was moved since.
    pub across_migration: bool,
    /// Whether the digests that live has and the target has not are blocked once it serves.
    pub block_digest: bool,
}

/// What a run towards an earlier release needs.
#[derive(Debug)]
pub struct Chosen {
    /// The configuration that is kept of it.
    pub config: Config,
    /// Its deployment group.
    pub group: Option<String>,
    /// What stands in the journal.
    pub rollback: Rollback,
    /// The release that is live.
    pub live: Option<ReleaseNumber>,
}

/// Why there is no way back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// Nothing good is older than what serves.
    #[error("there is no earlier good release of {app} here")]
    NothingEarlier {
        /// The app.
        app: AppName,
    },
    /// Nothing is known of the release.
    #[error("nothing is known of {app} {release}")]
    NotKnown {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
    },
    /// It is history.
    #[error("{app} {release} is not kept any more: only its record and its journal are")]
    NotKept {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
    },
    /// It was never good.
    #[error("{app} {release} is nothing to go back to: {why}")]
    NotGood {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
        /// What it is instead.
        why: String,
    },
    /// Its configuration is lost.
    #[error("the configuration of {app} {release} is lost")]
    ConfigLost {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
    },
    /// The record lacks an image that the configuration names.
    #[error("the record of {app} {release} does not name its image '{image}'")]
    ImageUnknown {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
        /// The image.
        image: String,
    },
    /// A schema was moved since.
    #[error("{by} moved the schema of a database, and {release} is from before that")]
    AcrossMigration {
        /// The release.
        release: ReleaseNumber,
        /// The tasks and their releases.
        by: String,
    },
    /// What is kept of it cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The Engine does not do its part.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl Explain for RollbackError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::NothingEarlier { .. } => {
                Some("deploy a bundle that is good; handover history says what was here".to_owned())
            }
            Self::NotKnown { .. } | Self::NotKept { .. } | Self::NotGood { .. } => {
                Some("see what can be gone back to: handover releases".to_owned())
            }
            Self::ConfigLost { .. } | Self::ImageUnknown { .. } => {
                Some("go back to another one (handover releases), or deploy its bundle".to_owned())
            }
            Self::AcrossMigration { .. } => Some(
                "if the old code works with the new schema, add --across-migration; else deploy a corrected release"
                    .to_owned(),
            ),
            Self::State(error) => error.fix(),
            Self::Docker(error) => error.fix(),
        }
    }
}

/// The release that serves: the newest of the live containers.
pub(super) fn live_release(containers: &[Container]) -> Option<ReleaseNumber> {
    let live = containers.iter().filter(|container| serving::is_live_among(containers, container));
    live.filter_map(|container| container.labels.as_ref().map(|labels| labels.release)).max()
}

/// Chooses the release to go back to, and sees that it can be.
pub async fn choose(app: &AppName, host: &Host, wanted: Wanted) -> Result<Chosen, RollbackError> {
    let state = host.paths.app(app);
    let releases = Releases::of(&state);
    let live = live_release(&host.docker.containers_of(app).await?);
    let target = match wanted.release {
        Some(release) => named(app, &releases, &Past::of(&state), release)?,
        None => last_before(&releases, live).ok_or(RollbackError::NothingEarlier { app: app.clone() })?,
    };
    let release = target.release;
    let lost = RollbackError::ConfigLost { app: app.clone(), release };
    let config = releases.config(release)?.ok_or(lost)?;
    if let Some(image) = config.settings.images.keys().find(|name| !target.images.contains_key(*name)) {
        return Err(RollbackError::ImageUnknown { app: app.clone(), release, image: image.to_string() });
    }
    let moved = moved_since(&releases, release);
    if !moved.is_empty() && !wanted.across_migration {
        let by = moved.iter().map(|(task, release)| format!("task {task} of {release}")).collect::<Vec<_>>();
        return Err(RollbackError::AcrossMigration { release, by: by.join(" and ") });
    }
    let served = live.and_then(|live| releases.record(live).ok().flatten());
    let block =
        served.filter(|_| wanted.block_digest).map(|live| only_of(&live, &target)).unwrap_or_default();
    Ok(Chosen {
        config,
        group: target.group,
        rollback: Rollback { to: release, images: target.images, block, from: live, refresh: false },
        live,
    })
}

/// The digests that a release has and another has not.
fn only_of(live: &Record, target: &Record) -> Vec<ImageDigest> {
    let theirs: Vec<&ImageDigest> = target.images.values().map(|image| &image.digest).collect();
    let digests = live.images.values().map(|image| &image.digest);
    let mut only: Vec<ImageDigest> = digests.filter(|digest| !theirs.contains(digest)).cloned().collect();
    only.sort();
    only.dedup();
    only
}

fn named(
    app: &AppName,
    releases: &Releases,
    past: &Past,
    release: ReleaseNumber,
) -> Result<Record, RollbackError> {
    let app = app.clone();
    let Some(record) = releases.record(release)? else {
        return Err(match past.record(release) {
            Some(_) => RollbackError::NotKept { app, release },
            None => RollbackError::NotKnown { app, release },
        });
    };
    let why = match &record.verdict {
        Verdict::Good => return Ok(record),
        Verdict::Refused { cause } => format!("it was refused: {cause}"),
        Verdict::Unchanged { same_as } => format!("it was the same as {same_as}: go back to that"),
        Verdict::Unproven => "its deployment is not over".to_owned(),
        Verdict::Unknown => "another version says how it went".to_owned(),
    };
    Err(RollbackError::NotGood { app, release, why })
}

/// The last good release before the one that is live. Where that is itself one that was gone back to, before that: so who
/// goes back twice does not come out where it began.
fn last_before(releases: &Releases, live: Option<ReleaseNumber>) -> Option<Record> {
    // Also those that are not kept any more say where one has come from.
    let all = releases.every_record();
    let of = |number| all.get(&number);
    let mut before = live;
    // A record that somebody has edited must not lead in a circle.
    while let Some(earlier) =
        before.and_then(of).and_then(|record| record.rollback_to).filter(|earlier| Some(*earlier) < before)
    {
        before = Some(earlier);
    }
    // What a refresh has taken the place of is the code that it has itself.
    let superseded = Record::superseded(all.values());
    let is_good = |record: &&Record| record.verdict == Verdict::Good && !superseded.contains(&record.release);
    let records = releases.records();
    let mut good = records.iter().rev().filter(is_good);
    good.find(|record| before.is_none_or(|before| record.release < before)).cloned()
}

/// The tasks that have moved a schema since a release, also those of releases that were refused after it: nobody takes that back.
fn moved_since(releases: &Releases, release: ReleaseNumber) -> Vec<(ProcessName, ReleaseNumber)> {
    let all = releases.every_record();
    let since = all.values().filter(|record| record.release > release);
    since.flat_map(|record| record.moved_schema().map(|task| (task.clone(), record.release))).collect()
}

/// The image of a release by the tag that handover gave it: its name in its registry may be gone.
pub(super) async fn by_our_tag(
    app: &AppName,
    host: &Host,
    release: ReleaseNumber,
    name: &ImageName,
) -> Result<Option<LocalImage>, DockerError> {
    let tag = format!("{}:{}", image_tag::repository(app), image_tag::of_release(name, release));
    host.docker.image_called(&tag).await
}

/// The settings that a way back is planned by: no task runs but one that fills a volume of its release, which is a new one.
pub(super) fn planned_by(settings: &Settings) -> Settings {
    let mut planned = settings.clone();
    planned.tasks.retain(|_, task| {
        let mut volumes = task.workload.options.volumes.iter();
        !task.schema && volumes.any(|volume| matches!(volume.source, Source::Release(_)))
    });
    planned
}
