//! Who is in charge. Deployment ids are random, so none is newer: under the run lock, the first sight of an unknown id
//! retires the one before. Its run is first brought to an end, and a late hook of it does not act any more.

use jiff::Timestamp;

use super::clock::Clock;
use super::context::{Context, Gathered};
use super::driver::{Run, drive};
use super::outage::Outage;
use super::rollback::{live_release, planned_by};
use super::{DeployError, Request, handoff, plan, returning, serving};
use crate::config::Config;
use crate::host::Host;
use crate::host::docker::DockerError;
use crate::install;
use crate::journal::{Direction, Entry, FORMAT, Header, History, Inverse, Journal, Lock, StepState};
use crate::model::{AppName, AtBoot, DeploymentId, Phase, ReleaseNumber};
use crate::printer::Talk;
use crate::report::Outcome;
use crate::signal::Termination;
use crate::state::{Home, Record, Releases};

/// How many retired ids are remembered. A late hook comes minutes late, not hundreds of deployments.
const REMEMBERED: usize = 50;

/// Takes up the run of this deployment, or begins it.
pub(super) async fn enter<'a>(
    lock: &Lock,
    request: Request,
    host: &'a Host,
    talk: &'a dyn Talk,
) -> Result<Run<'a>, DeployError> {
    let taker = Taker {
        host,
        talk,
        termination: request.termination.clone(),
        clock: request.clock,
        command: request.command.clone(),
    };
    let app = &request.config.settings.app;
    crate::fs::private_dir(&host.paths.app(app))?;
    let releases = Releases::of(&host.paths.app(app));
    let Some(journal) = Journal::open(lock, releases.dir())? else {
        return open(lock, request, &taker, None, Gathered::default()).await;
    };
    let header = journal.header().clone();
    if header.deployment == request.deployment {
        return resume_own(journal, request.config, &taker).await;
    }
    if header.retired.contains(&request.deployment) {
        return Err(DeployError::Retired { deployment: request.deployment, by: header.deployment });
    }
    let mut inherited = Gathered::default();
    if journal.history().ended().is_none() {
        if request.is_refresh() {
            return Err(DeployError::Underway { deployment: header.deployment });
        }
        talk.say(&format!(
            "deployment {} did not come to its end: it is brought there first",
            header.deployment
        ));
        let cause = format!("it was given up for deployment {}", request.deployment);
        let mut run = take_up(journal, Some(&request.config), &taker).await?;
        let outcome = settle(&mut run, &cause, false).await?;
        inherited.outage = run.gathered.outage;
        inherited.notes = run.gathered.notes;
        let how = if outcome == Outcome::Deployed { "finished" } else { "undone" };
        inherited
            .notes
            .push(format!("deployment {} had not come to its end, and was {how} first", header.deployment));
    }
    if request.is_refresh() {
        still_live(&request, host).await?;
    }
    open(lock, request, &taker, Some(&header), inherited).await
}

/// What is to be made again has to be what is live: a deployment may have come and gone while AWS was asked.
async fn still_live(request: &Request, host: &Host) -> Result<(), DeployError> {
    let app = &request.config.settings.app;
    let live = live_release(&host.docker.containers_of(app).await?);
    match (&request.rollback, live) {
        (Some(rollback), live) if live != Some(rollback.to) => {
            Err(DeployError::Overtaken { of: rollback.to })
        }
        _ => Ok(()),
    }
}

async fn resume_own<'a>(journal: Journal, asked: Config, taker: &Taker<'a>) -> Result<Run<'a>, DeployError> {
    let releases = taker.releases(journal.header());
    let config = releases.config(journal.header().release)?.unwrap_or(asked);
    let mut run = taker.run_that_was_left(journal, config).await?;
    if run.journal.history().ended().is_none() {
        if !handoff::is_understood(run.journal.history()) {
            return Err(DeployError::foreign(&run.context.header));
        }
        run.resumed()?;
    }
    Ok(run)
}

/// Who takes a run up that another process has left.
pub(super) struct Taker<'a> {
    pub(super) host: &'a Host,
    pub(super) talk: &'a dyn Talk,
    pub(super) termination: Termination,
    pub(super) clock: Clock,
    pub(super) command: String,
}

impl<'a> Taker<'a> {
    fn releases(&self, header: &Header) -> Releases {
        Releases::of(&self.host.paths.app(&header.app))
    }

    fn context(&self, mut config: Config, header: Header) -> Context<'a> {
        returning::apply(header.returned.as_ref(), &mut config.settings);
        Context {
            host: self.host,
            config,
            releases: self.releases(&header),
            header,
            talk: self.talk,
            clock: self.clock,
            termination: self.termination.clone(),
            command: self.command.clone(),
        }
    }

    async fn run_that_was_left(&self, journal: Journal, config: Config) -> Result<Run<'a>, DeployError> {
        let context = self.context(config, journal.header().clone());
        let outage = outage_so_far(journal.history(), self.host).await?;
        Ok(Run { context, gathered: Gathered { outage, ..Gathered::default() }, journal })
    }
}

/// Takes up the unfinished run of a journal, whoever's it is. `fallback` is a configuration of the app, for a run that is
/// undone and has lost its own: what serves then has to be found and gated.
pub(super) async fn take_up<'a>(
    journal: Journal,
    fallback: Option<&Config>,
    taker: &Taker<'a>,
) -> Result<Run<'a>, DeployError> {
    let header = journal.header();
    let releases = taker.releases(header);
    let kept = |release| releases.config(release).ok().flatten();
    let config = kept(header.release)
        .or_else(|| kept(releases.last_good()?.release))
        .or_else(|| fallback.cloned())
        .ok_or_else(|| DeployError::NoConfig { deployment: header.deployment.clone() })?;
    let mut run = taker.run_that_was_left(journal, config).await?;
    run.resumed()?;
    Ok(run)
}

impl Run<'_> {
    fn resumed(&mut self) -> Result<(), DeployError> {
        let by = self.context.command.clone();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(self.journal.note(Entry::Resumed { pid: std::process::id(), by, version })?)
    }
}

/// Brings an interrupted run to its end: forward when it has passed the gate, else back. Forward only with what it was
/// begun with: another release's configuration would gate on the wrong port. `forced`: where it cannot be finished, back.
pub(super) async fn settle(run: &mut Run<'_>, cause: &str, forced: bool) -> Result<Outcome, DeployError> {
    let history = run.journal.history();
    if *history.direction() == Direction::Forward {
        if !history.is_committed() {
            run.journal.note(Entry::Abandoned { cause: cause.to_owned(), forced: false })?;
        } else if let Some(hindrance) = hindrance(run) {
            let gone_for_good = matches!(hindrance, DeployError::ForeignRun { .. });
            if !forced && !gone_for_good {
                return Err(hindrance);
            }
            run.journal.note(Entry::Abandoned { cause: hindrance.to_string(), forced: true })?;
        }
    }
    match drive(run, Phase::Finish).await? {
        Outcome::Waiting | Outcome::Unfinished => Err(DeployError::Unsettled {
            deployment: run.context.header.deployment.clone(),
            left_over: match run.journal.history().stuck() {
                Some(why) => vec![why.to_string()],
                None if run.gathered.left_over.is_empty() => vec!["handover was asked to stop".to_owned()],
                None => run.gathered.left_over.clone(),
            },
        }),
        outcome => Ok(outcome),
    }
}

/// Why a committed run cannot be finished by this process.
fn hindrance(run: &Run<'_>) -> Option<DeployError> {
    let header = &run.context.header;
    if !handoff::is_understood(run.journal.history()) {
        return Some(DeployError::foreign(header));
    }
    let folder = run.context.releases.folder(header.release);
    let lost = |why: String| DeployError::ConfigLost {
        deployment: header.deployment.clone(),
        release: header.release,
        folder,
        why,
    };
    match run.context.releases.config(header.release) {
        Ok(Some(_)) => None,
        Ok(None) => Some(lost("it is not there".to_owned())),
        Err(error) => Some(lost(crate::text::chain(&error))),
    }
}

/// The outage that earlier processes of a run have left behind: live was stopped, and no gate has been passed since. If a
/// boot has started it again meanwhile, the outage is over.
async fn outage_so_far(history: &History, host: &Host) -> Result<Outage, DockerError> {
    let mut outage = Outage::default();
    let passed = |begun: &&crate::journal::BegunStep| {
        let at_boot = history.header().map(|header| header.nature(&begun.name).at_boot);
        // That clients wait is no gate that was passed.
        let waits = begun.inverse.iter().any(|inverse| matches!(inverse, Inverse::EndStall { .. }));
        begun.done.is_some() && at_boot == Some(AtBoot::UndoneUntilCommit) && !waits
    };
    if history.ended().is_some() || history.steps().iter().any(|begun| passed(&begun)) {
        return Ok(outage);
    }
    for begun in history.steps().iter().filter(|begun| begun.state != StepState::Undone) {
        let stopped = begun.inverse.iter().find_map(|inverse| match inverse {
            Inverse::Start { id, .. } => Some(id),
            _ => None,
        });
        let Some(id) = stopped else { continue };
        let live = host.docker.inspect(id).await?.filter(|live| live.running);
        let started = live.and_then(|live| live.started_at.parse::<Timestamp>().ok());
        match started {
            Some(started) if started > begun.began => {
                outage.down(begun.done.unwrap_or(begun.began));
                outage.healthy(started);
            }
            // It was not even stopped.
            Some(_) => {}
            None => outage.down(begun.done.unwrap_or(begun.began)),
        }
    }
    Ok(outage)
}

async fn open<'a>(
    lock: &Lock,
    request: Request,
    taker: &Taker<'a>,
    last: Option<&Header>,
    mut gathered: Gathered,
) -> Result<Run<'a>, DeployError> {
    let (settings, host) = (&request.config.settings, taker.host);
    let releases = Releases::of(&host.paths.app(&settings.app));
    let release = next_number(host, &releases, &settings.app).await?;
    let mut retired: Vec<DeploymentId> = last.map(|h| h.retired.clone()).unwrap_or_default();
    retired.extend(last.map(|h| h.deployment.clone()));
    retired.drain(..retired.len().saturating_sub(REMEMBERED));
    // A copy of this binary is there before anything can be interrupted: it can finish what it began.
    let binary = match install::keep_copy(&host.paths) {
        Ok(copy) => Some(copy),
        Err(why) => {
            gathered.notes.push(why);
            None
        }
    };
    let (returned, note) = match request.rollback {
        None => returning::of(&request.revision, &request.deployment, settings, host).await,
        Some(_) => (None, None),
    };
    gathered.notes.extend(note);
    let header = Header {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary,
        app: settings.app.clone(),
        deployment: request.deployment,
        release,
        group: request.group,
        plan: plan::plan(
            &request.rollback.as_ref().map_or_else(|| settings.clone(), |_| planned_by(settings)),
            &serving::live_of_all(&host.docker, settings).await?,
            &plan::former(&releases),
        ),
        rollback: request.rollback,
        returned,
        retired,
        began: Timestamp::now(),
    };
    // The configuration first: a journal without it could be undone, but not finished.
    releases.keep_config(release, &request.config)?;
    let images = settings.images.iter().filter(|(_, source)| source.local.is_none());
    releases.write(&Record {
        revision: request.revision,
        tags: images.map(|(name, source)| (name.clone(), source.tag.clone())).collect(),
        // It is welcome, but nothing depends on it.
        platform: host.docker.platform().await.ok().map(|platform| platform.to_string()),
        ..Record::of_run(&header)
    })?;
    let journal = Journal::create(lock, releases.dir(), header.clone())?;
    let context = taker.context(request.config, header);
    Ok(Run { context, gathered, journal })
}

/// One more than anything that was ever numbered here: folders and, should they be lost, containers.
pub(super) async fn next_number(
    host: &Host,
    releases: &Releases,
    app: &AppName,
) -> Result<ReleaseNumber, DeployError> {
    let kept = releases.numbers()?.into_iter().max();
    let labelled = host.docker.containers_of(app).await?;
    let labelled = labelled.iter().filter_map(|c| c.labels.as_ref().map(|l| l.release)).max();
    let aside = Home::of(&host.paths.state).highest_put_aside(app);
    let used = [kept, labelled, aside].into_iter().flatten().max();
    Ok(used.map_or(ReleaseNumber::FIRST, ReleaseNumber::next))
}
