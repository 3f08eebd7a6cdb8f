//! What can be gone back to, and what stands in the way of each: `handover releases`.

use jiff::Timestamp;
use serde::Serialize;

use super::{live_release, moved_since};
use crate::deploy::serving;
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::host::docker::{Container, DockerError};
use crate::model::{AppName, ImageDigest, ImageName, ImageRef, ReleaseNumber, container_name};
use crate::state::{Blocked, Record, Releases, Verdict};
use crate::text::{chain, clean, wrap};

/// The format of `handover releases --json`.
pub const RELEASES_FORMAT: u32 = 1;

/// The good releases of an app that are kept.
#[derive(Debug, Serialize)]
pub struct Standings {
    /// [`RELEASES_FORMAT`].
    pub format: u32,
    /// The app.
    pub app: AppName,
    /// The release that is live.
    pub live: Option<ReleaseNumber>,
    /// The newest first.
    pub releases: Vec<Standing>,
    /// Those of which the record cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<ReleaseNumber>,
    /// The digests that no deployment may bring.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<ImageDigest>,
}

/// One release.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Its number.
    pub release: ReleaseNumber,
    /// When it was recorded as good.
    pub at: Timestamp,
    /// The release whose images and configuration it has, where it is one that was gone back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<ReleaseNumber>,
    /// The digest of its default image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<ImageDigest>,
    /// Whether `handover rollback` goes there.
    pub possible: bool,
    /// What stands in the way, or has to be known.
    pub obstacles: Vec<Obstacle>,
}

/// Something in the way.
#[derive(Debug, Serialize)]
pub struct Obstacle {
    /// What it is.
    pub what: String,
    /// Whether the way back is refused for it.
    pub hinders: bool,
}

fn hinders(what: impl Into<String>) -> Obstacle {
    Obstacle { what: what.into(), hinders: true }
}

fn told(what: impl Into<String>) -> Obstacle {
    Obstacle { what: what.into(), hinders: false }
}

/// Looks at every good release of an app that is kept. Nothing is changed, and neither AWS nor a registry is asked.
pub async fn standings(app: &AppName, host: &Host) -> Result<Standings, DockerError> {
    let state = host.paths.app(app);
    let (releases, blocked) = (Releases::of(&state), Blocked::of(&state).all());
    let containers = host.docker.containers_of(app).await?;
    let live = live_release(&containers);
    let numbers = releases.numbers().unwrap_or_default().into_iter();
    let unreadable = numbers.filter(|release| releases.record(*release).is_err()).collect();
    let mut all = vec![];
    let records = releases.records().into_iter().rev();
    for record in records.filter(|r| r.verdict == Verdict::Good && Some(r.release) != live) {
        let mut obstacles = vec![];
        configured(&record, &releases, &containers, &mut obstacles);
        for (name, image) in &record.images {
            if let Ok(blocked) = &blocked
                && blocked.contains_key(&image.digest)
            {
                let digest = image.digest.short();
                obstacles.push(hinders(format!(
                    "digest {digest} is blocked: handover releases --unblock {digest}"
                )));
            }
            obstacles.extend(image_gone(app, host, &record, name, image).await?);
        }
        for (task, by) in moved_since(&releases, record.release) {
            obstacles
                .push(hinders(format!("task {task} of {by} has moved the schema since: --across-migration")));
        }
        let digest = record.images.get(&ImageName::default_image()).map(|image| image.digest.clone());
        all.push(Standing {
            release: record.release,
            at: record.at,
            rollback_to: record.rollback_to,
            digest,
            possible: !obstacles.iter().any(|obstacle| obstacle.hinders),
            obstacles,
        });
    }
    let blocked = blocked.map(|all| all.into_keys().collect()).unwrap_or_default();
    Ok(Standings { format: RELEASES_FORMAT, app: app.clone(), live, releases: all, unreadable, blocked })
}

/// What is wrong with its configuration, and which of its containers are gone.
fn configured(record: &Record, releases: &Releases, containers: &[Container], obstacles: &mut Vec<Obstacle>) {
    let config = match releases.config(record.release) {
        Ok(Some(config)) => config,
        Ok(None) => return obstacles.push(hinders("its configuration is lost")),
        Err(error) => {
            let text = chain(&error);
            let first = text.lines().next().unwrap_or_default();
            return obstacles.push(hinders(first.trim_end_matches(':')));
        }
    };
    let settings = &config.settings;
    for process in settings.processes.keys() {
        let is_its = |container: &&Container| {
            let labels = container.labels.as_ref();
            labels.is_some_and(|labels| {
                (labels.release, &labels.process, &labels.kind) == (record.release, process, &Kind::Serve)
            })
        };
        if !containers.iter().any(|container| is_its(&container)) {
            let name = container_name::of_release(&settings.app, process, record.release);
            let instead = if containers.iter().any(|other| serving::is_live_among(containers, other)) {
                "live's container"
            } else {
                "no container"
            };
            obstacles.push(told(format!("{name} is gone: without AWS its secrets come from {instead}")));
        }
    }
}

async fn image_gone(
    app: &AppName,
    host: &Host,
    record: &Record,
    name: &ImageName,
    image: &ImageRef,
) -> Result<Option<Obstacle>, DockerError> {
    if host.docker.has_image(image).await?
        || super::by_our_tag(app, host, record.release, name).await?.is_some()
    {
        return Ok(None);
    }
    Ok(Some(if image.is_local() {
        hinders(format!("image {name} is gone from this instance, and no registry has it"))
    } else {
        told(format!("image {name} is gone from this instance: it is pulled by its digest"))
    }))
}

/// How wide the obstacles are, and how far they are indented.
const WIDTH: usize = 62;
const INDENT: usize = 17;

/// The human form: at most 80 columns.
pub fn text(apps: &[Standings]) -> String {
    if apps.is_empty() {
        return "nothing has been deployed here".to_owned();
    }
    apps.iter().map(Standings::text).collect::<Vec<_>>().join("\n\n")
}

impl Standings {
    fn text(&self) -> String {
        let live = self.live.map_or_else(|| "nothing is live".to_owned(), |live| format!("{live} is live"));
        let mut lines = vec![format!("{}: {live}", self.app)];
        if self.releases.is_empty() {
            lines.push("there is no other good release to go back to".to_owned());
        }
        for one in &self.releases {
            let digest = one.digest.as_ref().map_or("-", |digest| digest.short());
            let like = one.rollback_to.map(|to| format!(", made like {to}")).unwrap_or_default();
            let can = if one.possible { "can be gone back to" } else { "NOT as it is" };
            lines.push(format!(
                "{:<5} {:<12} of {}{like}: {can}",
                one.release.to_string(),
                digest,
                one.at.strftime("%Y-%m-%d %H:%M UTC")
            ));
            for Obstacle { what, hinders } in &one.obstacles {
                let mark = if *hinders { "in the way:" } else { "to know:" };
                for (nth, line) in wrap(&clean(what), WIDTH).iter().enumerate() {
                    let mark = if nth == 0 { mark } else { "" };
                    lines.push(format!("{:<INDENT$} {line}", format!("      {mark}")));
                }
            }
        }
        let unreadable = self.unreadable.iter();
        lines.extend(
            unreadable.map(|release| format!("{release}: its record is damaged or of another version")),
        );
        let blocked = self.blocked.iter().map(|digest| {
            let digest = digest.short();
            format!("blocked: {digest}, until: handover releases --unblock {digest}")
        });
        lines.extend(blocked);
        lines.join("\n")
    }
}
