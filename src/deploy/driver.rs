//! The driver: asks the decider, does what it says, writes it down. All of a deployment passes through [`drive`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::context::{Context, Gathered};
use super::health::judge;
use super::next::{Move, next};
use super::step::{self, Step};
use super::{serving, undo};
use crate::host::docker::DockerError;
use crate::journal::{Direction, Ended, Entry, Fact, Facts, Inverse, Journal, JournalError, StepState};
use crate::model::{Failure, FailureKind, Phase, ProcessName};
use crate::report::Outcome;
use crate::state::{Blocked, Record, Verdict};
use crate::text::{LONGEST_LINE, chain, clean, shorten_middle};

/// The longest cause in a journal or a report, in characters. Docker puts the reason at the end of what it says.
const LONGEST_CAUSE: usize = 600;

/// How often the Engine is asked again to take a step back that it refused.
const REFUSALS: u32 = 2;

/// A process at work on a deployment.
pub struct Run<'a> {
    /// What does not change.
    pub context: Context<'a>,
    /// What this process has gathered.
    pub gathered: Gathered,
    /// What was done.
    pub journal: Journal,
}

/// Drives a run forward up to the end of a phase, or back, until there is nothing left for this process to do.
pub async fn drive(run: &mut Run<'_>, until: Phase) -> Result<Outcome, JournalError> {
    let driven = Box::pin(drive_by_the_journal(run, until)).await;
    if driven.is_err() {
        run.put_live_back().await;
    }
    driven
}

async fn drive_by_the_journal(run: &mut Run<'_>, until: Phase) -> Result<Outcome, JournalError> {
    loop {
        match next(run.journal.history(), until) {
            Move::Run(name) => {
                if run.act(&name).await? == Acted::Interrupted {
                    return Ok(Outcome::Unfinished);
                }
            }
            Move::Commit => run.journal.note(Entry::Committed)?,
            Move::Undo { step, inverse, in_doubt } => run.undo(step, &inverse, in_doubt).await?,
            Move::Regate => {
                if run.regate().await? == Acted::Interrupted {
                    return Ok(Outcome::Unfinished);
                }
            }
            Move::End(ended) => run.end(ended)?,
            Move::Wait => {
                run.journal.note(Entry::Waiting)?;
                return Ok(Outcome::Waiting);
            }
            Move::Rest(ended) => return Ok(Outcome::of(&ended)),
            Move::Stuck => return Ok(Outcome::Unfinished),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Acted {
    /// Its end, good or bad, is in the journal.
    Written,
    /// It was begun and has to wait for another process.
    Interrupted,
}

impl Run<'_> {
    /// Makes one step: observe, write down, act, write down.
    async fn act(&mut self, name: &str) -> Result<Acted, JournalError> {
        let committed = self.journal.history().is_committed();
        if self.context.termination.is_requested() && !committed {
            let cause = "handover was asked to stop".to_owned();
            self.journal.note(Entry::Abandoned { cause, forced: false })?;
            return Ok(Acted::Written);
        }
        let Some(step) = step::named(name) else {
            let failure = Failure::because(format!("this version of handover has no step '{name}'"));
            return self.failed(name, failure, None);
        };
        let shown = step.applies(self.journal.history().facts());
        let (began, label) = (Instant::now(), step.label());
        if shown {
            self.context.talk.begin(&label);
        }
        // What cannot be observed cannot be undone either, so it is not begun.
        let inverse = if self.journal.history().has_begun(name) {
            vec![]
        } else {
            self.gathered.begun_first.insert(name.to_owned());
            match self.observe(&*step).await {
                Ok(inverse) => inverse,
                Err(failure) => return self.not_made(&*step, failure, None),
            }
        };
        let begun = self.journal.begin(name, inverse)?;
        let result = self.perform(&*step).await;
        let took = began.elapsed();
        self.gathered.timings.push((name.to_owned(), took));
        match result {
            Ok(facts) => {
                if shown {
                    self.context.talk.done(&label, took);
                }
                self.journal.finish(begun, facts)?;
                step.tidy(&self.context).await;
                Ok(Acted::Written)
            }
            Err(failure) => self.not_made(&*step, failure, Some(begun)),
        }
    }

    async fn observe(&mut self, step: &dyn Step) -> Result<Vec<Inverse>, Failure> {
        let mut patience = Patience::forward(&self.context, self.journal.history().is_committed());
        loop {
            match step.inverse(&self.context, self.journal.history().facts()).await {
                Err(failure) if patience.endures(&failure, &self.context).await => {}
                observed => return observed,
            }
        }
    }

    async fn perform(&mut self, step: &dyn Step) -> Result<Vec<Fact>, Failure> {
        let Self { context, gathered, journal } = self;
        let facts = journal.history().facts();
        let mut patience = Patience::forward(context, journal.history().is_committed());
        loop {
            // On the heap: the state of all the clients that are called is large, and deep.
            let performed = Box::pin(perform_once(step, context, facts, gathered)).await;
            match performed {
                Err(failure) if patience.endures(&failure, context).await => {}
                performed => return performed,
            }
        }
    }

    fn not_made(
        &mut self,
        step: &dyn Step,
        failure: Failure,
        begun: Option<crate::journal::Begun>,
    ) -> Result<Acted, JournalError> {
        if failure.kind != FailureKind::Interrupted {
            let failure = self.fit(failure);
            self.context.talk.failed(&step.label(), &failure.what);
            return self.failed(&step.name(), failure, begun);
        }
        self.context.talk.failed(&step.label(), "interrupted");
        if self.journal.history().is_committed() {
            return Ok(Acted::Interrupted);
        }
        self.journal.note(Entry::Abandoned { cause: failure.what, forced: false })?;
        Ok(Acted::Written)
    }

    fn failed(
        &mut self,
        name: &str,
        failure: Failure,
        begun: Option<crate::journal::Begun>,
    ) -> Result<Acted, JournalError> {
        match begun {
            Some(begun) => self.journal.fail(begun, failure)?,
            None => self.journal.note(Entry::Failed { step: name.to_owned(), failure })?,
        }
        Ok(Acted::Written)
    }

    /// The journal cannot be written any more, as on a full disk: nothing new is begun, but the old release must not stay
    /// down for it. What a later process needs in order to go on or to undo the rest is left as it is.
    async fn put_live_back(&mut self) {
        let Self { context, gathered, journal } = self;
        let history = journal.history();
        let forward = *history.direction() == Direction::Forward;
        if history.is_committed() && forward {
            return;
        }
        for begun in history.steps().iter().rev().filter(|begun| begun.state != StepState::Undone) {
            let to_apply = |inverse: &&Inverse| match inverse {
                Inverse::RemoveContainer { .. }
                | Inverse::RemoveNetwork { .. }
                | Inverse::RemoveVolume { .. }
                | Inverse::RemoveFiles { .. }
                | Inverse::Retire { .. }
                | Inverse::RemoveRedirect
                | Inverse::Unknown => false,
                Inverse::SetRestartPolicy { .. } => !forward,
                Inverse::Start { .. }
                | Inverse::Stop { .. }
                | Inverse::Rename { .. }
                | Inverse::EndRedirect
                | Inverse::Stall { .. }
                | Inverse::EndStall { .. } => true,
            };
            for inverse in begun.inverse.iter().filter(to_apply) {
                let undone =
                    Box::pin(undo::apply(inverse, begun.in_doubt, context, history.facts(), gathered)).await;
                if let Err(failure) = undone {
                    tracing::error!(step = begun.name, "failed to put back: {failure}");
                }
            }
        }
    }

    /// Takes one step back. An Engine that is away is waited for; one that refuses is asked again.
    async fn undo(&mut self, step: String, inverse: &[Inverse], in_doubt: bool) -> Result<(), JournalError> {
        let began = Instant::now();
        let (mut patience, mut refusals) = (Patience::back(&self.context), 0);
        let undone = loop {
            let Self { context, gathered, journal } = &mut *self;
            let facts = journal.history().facts();
            let Err(failure) = Box::pin(take_back(inverse, in_doubt, context, facts, gathered)).await else {
                break Ok(());
            };
            let again = if failure.kind == FailureKind::Passing {
                // A process that was asked to stop asks only so often.
                refusals += u32::from(context.termination.is_requested());
                refusals <= REFUSALS && patience.endures(&failure, context).await
            } else {
                refusals += 1;
                refusals <= REFUSALS && patience.pause(context).await
            };
            if !again {
                break Err(failure);
            }
        };
        match undone {
            Ok(()) => {
                if !inverse.is_empty() {
                    self.context.talk.done(&format!("undo {step}"), began.elapsed());
                }
                self.journal.note(Entry::Undone { step })
            }
            Err(failure) => {
                let failure = self.fit(failure);
                let cause =
                    failure.into_findings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                self.context.talk.failed(&format!("undo {step}"), &cause);
                self.gathered.left_over.push(format!("undo {step}: {cause}"));
                self.journal.note(Entry::UndoFailed { step, cause })
            }
        }
    }

    /// Looks at the release that is to serve now that everything is undone. What cannot be found out is left open.
    async fn regate(&mut self) -> Result<Acted, JournalError> {
        let header = self.journal.header();
        let mut begun = self.journal.history().steps().iter();
        let touched = begun.any(|begun| header.nature(&begun.name).touches_live);
        let label = "check the release that serves";
        self.context.talk.begin(label);
        let began = Instant::now();
        let mut sick = vec![];
        let processes = match self.were_live().await {
            Ok(processes) => processes,
            Err(error) => {
                let why = self.fit(Failure::from(error)).what;
                self.context.talk.failed(label, &why);
                self.gathered.left_over.push(why);
                return Ok(Acted::Interrupted);
            }
        };
        for process in processes {
            match self.regate_process(&process, touched).await {
                Ok(None) => {}
                Ok(Some(why)) => sick.push(why),
                Err(failure) => {
                    let why = self.fit(failure).what;
                    self.context.talk.failed(label, &why);
                    self.gathered.left_over.push(why);
                    return Ok(Acted::Interrupted);
                }
            }
        }
        if sick.is_empty() {
            self.context.talk.done(label, began.elapsed());
        } else {
            self.context.talk.failed(label, "nothing healthy is serving");
        }
        self.gathered.left_over.extend(sick.iter().cloned());
        self.journal.note(Entry::Regated { healthy: sick.is_empty(), why: sick })?;
        Ok(Acted::Written)
    }

    /// The processes that served when the run began, or serve now. One that is new in the configuration has nothing to go
    /// back to; on a first deployment that is true of all.
    async fn were_live(&self) -> Result<BTreeSet<ProcessName>, DockerError> {
        let live = serving::live_of_all(&self.context.host.docker, self.context.settings()).await?;
        let known = self.journal.history().facts().live.keys().cloned();
        let all: BTreeSet<ProcessName> = live.into_keys().chain(known).collect();
        Ok(if all.is_empty() { self.context.processes().into_iter().collect() } else { all })
    }

    /// Why what serves for a process is not healthy; nothing when it is. A failure says why that is not known.
    async fn regate_process(
        &mut self,
        process: &ProcessName,
        touched: bool,
    ) -> Result<Option<String>, Failure> {
        let Self { context, gathered, .. } = &mut *self;
        let Some(live) = serving::live(&context.host.docker, context.settings(), process).await? else {
            return Ok(Some(format!("there is no container {}", context.live_name(process))));
        };
        if live.running && !touched {
            return Ok(None);
        }
        gathered.learn_what_it_knows(&live, context);
        let mut gated = judge::regate(context, gathered, process, &live, None).await;
        let hurry = matches!(&gated, Err(failure) if failure.kind == FailureKind::Interrupted);
        if hurry {
            gated = judge::regate(context, gathered, process, &live, Some(judge::HASTY)).await;
        }
        match gated {
            Ok(()) => Ok(None),
            Err(failure) if failure.kind == FailureKind::Verdict && hurry && live.running => {
                let what =
                    format!("{} was started again, and there was no time to see it healthy", live.name);
                Err(Failure::because(what))
            }
            Err(failure) if failure.kind == FailureKind::Verdict => {
                let what = format!("{}: {}", live.name, failure.what);
                Ok(Some(self.fit(Failure { what, ..failure }).what))
            }
            Err(failure) => Err(Failure { what: format!("{}: {}", live.name, failure.what), ..failure }),
        }
    }

    /// A failure as it may stand in the journal and in a report: lines without secrets. They are masked first: what is cut
    /// or made ASCII is no secret that could be found. The whole of it is in the log.
    fn fit(&self, failure: Failure) -> Failure {
        let redactor = &self.gathered.redactor;
        for found in failure.clone().into_findings() {
            tracing::error!("{}", clean(&redactor.redact(&found.to_string())));
        }
        let fit = |text: &str, longest| shorten_middle(&clean(&redactor.redact(text)), longest);
        failure.map(|text| fit(text, LONGEST_CAUSE), |line| fit(line, LONGEST_LINE))
    }

    fn end(&mut self, ended: Ended) -> Result<(), JournalError> {
        if let Some(verdict) = self.verdict(&ended) {
            // The journal has the truth, so a failure here changes nothing.
            if let (Some(rollback), Verdict::Good) = (&self.context.header.rollback, &verdict)
                && !rollback.block.is_empty()
            {
                let blocked = Blocked::of(&self.context.host.paths.app(&self.context.header.app));
                let from = rollback.from.unwrap_or(rollback.to);
                if let Err(error) = blocked.block(&rollback.block, from) {
                    self.gathered.notes.push(format!("no digest could be blocked: {}", chain(&error)));
                }
            }
            let history = self.journal.history();
            let record = Record { phases: history.phases(), ..self.context.record(history.facts(), verdict) };
            if let Err(error) = self.context.releases.write(&record) {
                tracing::warn!("failed to record how it ended: {error}");
            }
        }
        self.journal.note(Entry::Ended { ended })
    }

    fn verdict(&self, ended: &Ended) -> Option<Verdict> {
        match ended {
            Ended::Deployed => Some(Verdict::Good),
            Ended::Unchanged => {
                self.journal.history().facts().unchanged.map(|same_as| Verdict::Unchanged { same_as })
            }
            Ended::Reverted { cause, .. } => Some(Verdict::Refused { cause: cause.clone() }),
            Ended::Unknown => None,
        }
    }
}

async fn perform_once(
    step: &dyn Step,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<Vec<Fact>, Failure> {
    if !step.nature().only_looks {
        return step.perform(context, facts, gathered).await;
    }
    let performed = context.termination.unless_requested(step.perform(context, facts, gathered)).await;
    performed.unwrap_or_else(|| Err(Failure::interrupted(&format!("had to {}", step.words()))))
}

async fn take_back(
    inverse: &[Inverse],
    in_doubt: bool,
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    for inverse in inverse {
        undo::apply(inverse, in_doubt, context, facts, gathered).await?;
    }
    Ok(())
}

/// How an Engine is borne that is away for a moment, forward and back: a restart of it takes seconds, and turning round
/// would need it, too.
struct Patience {
    since: Option<Instant>,
    longest: Duration,
    pauses: backon::ExponentialBackoff,
    /// Kept of a hook's time.
    reserve: Duration,
    /// Whether a request to stop ends it.
    heeds_termination: bool,
    reported: bool,
}

impl Patience {
    /// Before the commit there has to be time for the way back; after it there is none.
    fn forward(context: &Context<'_>, committed: bool) -> Self {
        let reserve = if committed { Duration::ZERO } else { context.settings().reserve() };
        Self { reserve, heeds_termination: !committed, ..Self::back(context) }
    }

    fn back(context: &Context<'_>) -> Self {
        let longest = context.host.docker.patience().away;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200).min(longest))
            .with_max_delay(Duration::from_secs(5).min(longest))
            .without_max_times()
            .build();
        Self {
            since: None,
            longest,
            pauses,
            reserve: Duration::ZERO,
            heeds_termination: false,
            reported: false,
        }
    }

    /// Whether a failure was passing, and a pause has gone by after which it is worth another try.
    async fn endures(&mut self, failure: &Failure, context: &Context<'_>) -> bool {
        if failure.kind != FailureKind::Passing {
            return false;
        }
        if !std::mem::replace(&mut self.reported, true) {
            context.talk.say(&format!("  waiting: {}", failure.what));
        }
        self.pause(context).await
    }

    /// Whether there was time for a pause.
    async fn pause(&mut self, context: &Context<'_>) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = self.pauses.next().unwrap_or_default();
        let time = context.clock.left(self.reserve).unwrap_or(Duration::MAX);
        if since.elapsed() + pause > self.longest || pause > time {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = context.termination.requested(), if self.heeds_termination => false,
        }
    }
}
