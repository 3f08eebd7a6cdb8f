//! Secrets that have changed since live was given them: live is made again, with its images and its configuration, and with the
//! secrets of now. The run itself is an ordinary one: start-first or stop-first, with every gate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::rollback::live_release;
use super::{checks, kept, secrets};
use crate::config::Config;
use crate::config::settings::SecretSource;
use crate::digest::sha256;
use crate::host::Host;
use crate::host::aws::AwsError;
use crate::host::docker::DockerError;
use crate::journal::{Journal, Rollback};
use crate::model::{AppName, DeploymentId, Explain, Failure, Finding, ReleaseNumber};
use crate::state::{LastLook, Record, Releases, StateError, Verdict};

/// What a look at the secrets comes to.
#[derive(Debug)]
pub enum Look {
    /// They are those that live was given.
    Same {
        /// The release that is live.
        live: ReleaseNumber,
        /// How many were asked for.
        asked: usize,
    },
    /// Some are not.
    Changed(Box<Changed>),
}

/// What a run needs that makes live again.
#[derive(Debug)]
pub struct Changed {
    /// Its configuration.
    pub config: Config,
    /// Its deployment group.
    pub group: Option<String>,
    /// What stands in the journal.
    pub rollback: Rollback,
    /// The secrets that have changed, by their names in the configuration, with their versions of now.
    pub secrets: BTreeMap<String, String>,
}

/// Why nobody can say whether a secret has changed, or why live cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Nothing good is live.
    #[error("no good release of {app} is live, so there is nothing to refresh")]
    NothingLive {
        /// The app.
        app: AppName,
    },
    /// Another deployment is at work, or waits.
    #[error("deployment {deployment} of {app} is not over, and secrets are not refreshed beside it")]
    Underway {
        /// The app.
        app: AppName,
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Its configuration is lost.
    #[error("the configuration of {app} {release} is lost")]
    ConfigLost {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
    },
    /// AWS does not give one or the other: each with the way out.
    #[error("{}", lines(_0))]
    Secrets(Failure),
    /// AWS cannot be asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What is kept of it cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The Engine does not do its part.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

fn lines(failure: &Failure) -> String {
    failure.clone().into_findings().iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}

impl Explain for RefreshError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::NothingLive { .. } | Self::ConfigLost { .. } => {
                Some("deploy a bundle, or see what can be gone back to: handover releases".to_owned())
            }
            Self::Underway { .. } => {
                Some("wait for its end; if CodeDeploy has given it up: handover recover --abandon".to_owned())
            }
            Self::Secrets(_) => None,
            Self::Aws(error) => error.fix(),
            Self::State(error) => error.fix(),
            Self::Docker(error) => error.fix(),
        }
    }
}

/// Whether it is an instance's turn to look: once in each window, at a moment of its own, so that a fleet does not hand over all at once.
pub fn is_due(instance: &str, window: Duration, last: Timestamp, now: Timestamp) -> bool {
    let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX).max(1);
    let digits = sha256(instance.as_bytes());
    let own = i64::from_str_radix(&digits[..12], 16).unwrap_or_default() % seconds;
    let turn = |at: Timestamp| (at.as_second() - own).div_euclid(seconds);
    turn(now) > turn(last)
}

/// Whether it is this instance's turn to look at the secrets of an app: since it looked last, or since live was deployed, which was
/// given those of then. Not where the configuration says that only people do.
pub fn is_our_turn(app: &AppName, host: &Host) -> bool {
    let Some((live, config)) = last_good(app, host) else { return false };
    let Some(window) = config.settings.refresh_window else { return false };
    if config.settings.secrets.values().all(SecretSource::is_literal) {
        return false;
    }
    let looked = LastLook::of(&host.paths.app(app)).read().map(|looked| looked.at);
    let last = looked.map_or(live.at, |looked| looked.max(live.at));
    // Elsewhere than on EC2 it is another machine all the same.
    let id = host.paths.instance_id();
    let id = id.or_else(|| crate::fs::read_if_there(Path::new("/etc/machine-id")).ok().flatten());
    is_due(&format!("{} {app}", id.unwrap_or_default().trim()), window, last, Timestamp::now())
}

/// The last good release, with its configuration.
fn last_good(app: &AppName, host: &Host) -> Option<(Record, Config)> {
    let releases = Releases::of(&host.paths.app(app));
    let live = releases.last_good()?;
    let config = releases.config(live.release).ok()??;
    Some((live, config))
}

/// Whether somebody does not take a password that live was given: then a secret has been rotated, and its turn is now. Where that cannot
/// be found out, nothing depends on it.
pub async fn live_is_refused(app: &AppName, host: &Host) -> bool {
    let Some((live, config)) = last_good(app, host) else { return false };
    let settings = &config.settings;
    let needed = settings.checks.values().filter_map(|check| check.needed.secret());
    let stored = needed.filter(|name| settings.secrets.get(*name).is_some_and(|source| !source.is_literal()));
    let names: BTreeSet<String> = stored.map(str::to_owned).collect();
    if settings.refresh_window.is_none() || names.is_empty() {
        return false;
    }
    match kept::find(host, settings, live.release, &names).await {
        Ok(kept) => checks::a_password_is_refused(settings, &kept.secrets).await,
        Err(_) => false,
    }
}

/// Asks AWS which versions the secrets of live have now. Nothing is changed, and what serves goes on serving whatever AWS says.
pub async fn look(app: &AppName, host: &Host) -> Result<Look, RefreshError> {
    let releases = Releases::of(&host.paths.app(app));
    let history = Journal::read(releases.dir()).ok().flatten().filter(|history| history.ended().is_none());
    if let Some(header) = history.as_ref().and_then(|history| history.header()) {
        return Err(RefreshError::Underway { app: app.clone(), deployment: header.deployment.clone() });
    }
    let live = live_release(&host.docker.containers_of(app).await?);
    let record = live.map(|live| releases.record(live)).transpose()?.flatten();
    let Some(record) = record.filter(|record| record.verdict == Verdict::Good) else {
        return Err(RefreshError::NothingLive { app: app.clone() });
    };
    let lost = RefreshError::ConfigLost { app: app.clone(), release: record.release };
    let config = releases.config(record.release)?.ok_or(lost)?;
    let (mut changed, mut failures, mut asked) = (BTreeMap::new(), vec![], 0);
    for (name, version) in secrets::versions(&config.settings, host).await? {
        asked += 1;
        match version {
            Ok(now) if record.secret_versions.get(&name) == Some(&now) => {}
            Ok(now) => drop(changed.insert(name, now)),
            Err(finding) => failures.push(finding),
        }
    }
    failures.sort();
    failures.dedup();
    if !failures.is_empty() {
        return Err(RefreshError::Secrets(Failure::found(failures)));
    }
    if changed.is_empty() {
        return Ok(Look::Same { live: record.release, asked });
    }
    let Record { release, images, group, .. } = record;
    let rollback = Rollback { to: release, from: Some(release), images, block: vec![], refresh: true };
    Ok(Look::Changed(Box::new(Changed { config, group, rollback, secrets: changed })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_looks_once_in_a_window_and_a_fleet_at_different_times() {
        let window = Duration::from_hours(1);
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let first_turn = |instance: &str| {
            let mut minutes = (1..=120).map(|minute| start + Duration::from_mins(minute));
            let first = minutes.find(|now| is_due(instance, window, start, *now)).unwrap();
            let again = minutes.find(|now| is_due(instance, window, first, *now)).unwrap();
            assert_eq!(again.duration_since(first).as_mins(), 60, "{instance}");
            first
        };
        let fleet: std::collections::BTreeSet<_> =
            (0..20).map(|n| first_turn(&format!("i-0{n:x} status-page"))).collect();
        assert!(fleet.len() > 10, "{fleet:?}");
        assert!(!is_due("i-1", window, start, start), "it has just looked");
    }
}
