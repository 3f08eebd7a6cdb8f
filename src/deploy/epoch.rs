//! Who is in charge. Deployment ids are random, so none is newer: under the run lock, the first sight of an unknown id
//! retires the one before. Its run is first brought to an end, and a late hook of it does not act any more.

use jiff::Timestamp;

use super::driver::{Outcome, drive};
use super::run::Run;
use super::step::Phase;
use super::{DeployError, Request, plan};
use crate::config::Config;
use crate::host::Host;
use crate::journal::{Direction, Ended, Entry, FORMAT, Header, Journal, Lock};
use crate::release::{DeploymentId, ReleaseNumber};
use crate::state::{RECORD_FORMAT, Record, Releases, Verdict};

/// How many retired ids are remembered. A late hook comes minutes late, not hundreds of deployments.
const REMEMBERED: usize = 50;

/// Takes up the run of this deployment, or begins it.
pub async fn enter<'a>(
    lock: &Lock,
    request: Request,
    host: &'a Host,
    talk: &'a dyn crate::printer::Talk,
) -> Result<Run<'a>, DeployError> {
    let state = host.paths.app(&request.config.settings.app);
    crate::fs::private_dir(&state)?;
    let Some(journal) = Journal::open(lock, &state)? else {
        return open(lock, request, host, talk, None).await;
    };
    let header = journal.history().header().cloned().ok_or(DeployError::NoHeader)?;
    if header.deployment == request.deployment {
        let config = Releases::of(&state).config(header.release)?.unwrap_or(request.config);
        let mut run = Run::new(host, config, journal, talk, request.termination, request.clock);
        check_format(&run)?;
        if run.journal.history().ended().is_none() {
            run.journal.note(Entry::Resumed { pid: std::process::id(), by: request.command })?;
        }
        return Ok(run);
    }
    if header.retired.contains(&request.deployment) {
        return Err(DeployError::Retired { deployment: request.deployment, by: header.deployment });
    }
    if journal.history().ended().is_none() {
        talk.say(&format!(
            "deployment {} did not come to its end: it is brought there first",
            header.deployment
        ));
        let fallback = request.config.clone();
        let cause = format!("it was given up for deployment {}", request.deployment);
        let mut run = resume(journal, &fallback, host, talk, request.termination.clone(), &request.command)?;
        settle(&mut run, &cause).await?;
    }
    open(lock, request, host, talk, Some(&header)).await
}

/// Takes up the unfinished run of a journal, whoever's it is.
pub fn resume<'a>(
    journal: Journal,
    fallback: &Config,
    host: &'a Host,
    talk: &'a dyn crate::printer::Talk,
    termination: crate::signal::Termination,
    command: &str,
) -> Result<Run<'a>, DeployError> {
    let header = journal.history().header().cloned().ok_or(DeployError::NoHeader)?;
    let releases = Releases::of(&host.paths.app(&header.app));
    let config = releases.config(header.release).ok().flatten().unwrap_or_else(|| fallback.clone());
    let mut run = Run::new(host, config, journal, talk, termination, super::run::Clock::unlimited());
    run.journal.note(Entry::Resumed { pid: std::process::id(), by: command.to_owned() })?;
    Ok(run)
}

/// Brings an interrupted run to its end: forward when it has passed the gate, else back.
pub async fn settle(run: &mut Run<'_>, cause: &str) -> Result<Ended, DeployError> {
    let history = run.journal.history();
    if *history.direction() == Direction::Forward && !history.is_committed() {
        run.journal.note(Entry::Abandoned { cause: cause.to_owned() })?;
    } else if *history.direction() == Direction::Forward {
        check_format(run)?;
    }
    match drive(run, Phase::Finish).await? {
        Outcome::Over(ended) => Ok(ended),
        Outcome::Waiting | Outcome::Stuck => Err(DeployError::Unsettled {
            deployment: run.header().deployment.clone(),
            left_over: match run.journal.history().stuck() {
                Some(why) => vec![why.to_owned()],
                None if run.left_over.is_empty() => vec!["handover was asked to stop".to_owned()],
                None => run.left_over.clone(),
            },
        }),
    }
}

/// Steps are resumed by the format that wrote them, and only as that plan has them. Undoing needs neither.
fn check_format(run: &Run<'_>) -> Result<(), DeployError> {
    let header = run.header();
    let plan: Vec<String> = run.plan.iter().map(super::step::Step::name).collect();
    if header.format == FORMAT && header.plan == plan {
        return Ok(());
    }
    Err(DeployError::ForeignRun { deployment: header.deployment.clone(), version: header.version.clone() })
}

async fn open<'a>(
    lock: &Lock,
    request: Request,
    host: &'a Host,
    talk: &'a dyn crate::printer::Talk,
    last: Option<&Header>,
) -> Result<Run<'a>, DeployError> {
    let settings = &request.config.settings;
    let state = host.paths.app(&settings.app);
    let releases = Releases::of(&state);
    let release = next_number(host, &releases, settings, last).await?;
    let mut retired: Vec<DeploymentId> = last.map(|h| h.retired.clone()).unwrap_or_default();
    retired.extend(last.map(|h| h.deployment.clone()));
    retired.drain(..retired.len().saturating_sub(REMEMBERED));
    let header = Header {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        app: settings.app.clone(),
        deployment: request.deployment,
        release,
        group: request.group,
        plan: plan::plan(settings).iter().map(super::step::Step::name).collect(),
        retired,
        began: Timestamp::now(),
    };
    // The configuration first: a journal without it could be undone, but not finished.
    releases.keep_config(release, &request.config)?;
    releases.write(&Record {
        format: RECORD_FORMAT,
        release,
        deployment: header.deployment.clone(),
        group: header.group.clone(),
        image: None,
        secret_versions: std::collections::BTreeMap::default(),
        fingerprint: None,
        verdict: Verdict::Unproven,
        at: header.began,
    })?;
    let journal = Journal::create(lock, &state, header)?;
    Ok(Run::new(host, request.config, journal, talk, request.termination, request.clock))
}

/// One more than anything that was ever numbered here: folders, the journal and, should they be lost, containers.
pub(super) async fn next_number(
    host: &Host,
    releases: &Releases,
    settings: &crate::config::Settings,
    last: Option<&Header>,
) -> Result<ReleaseNumber, DeployError> {
    let kept = releases.numbers()?.into_iter().max();
    let labelled = host.docker.containers_of(&settings.app).await?;
    let labelled = labelled.iter().filter_map(|c| c.labels.as_ref().map(|l| l.release)).max();
    let used = [kept, labelled, last.map(|h| h.release)].into_iter().flatten().max();
    Ok(used.unwrap_or(ReleaseNumber::NONE).next())
}
