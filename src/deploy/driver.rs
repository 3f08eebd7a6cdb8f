//! The driver: asks the decider, does what it says, writes it down. All of a deployment passes through [`drive`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

use backon::{ExponentialBuilder, Retryable as _};

use super::gate::{self, At, GateError};
use super::next::{Move, next};
use super::run::Run;
use super::step::{Phase, Step};
use super::steps::{self, StepError, undo};
use crate::host::docker::DockerError;
use crate::journal::{Direction, Doing, Ended, Entry, Finding, Inverse, JournalError};
use crate::release::ProcessName;
use crate::report::text::{LONGEST_LINE, chain, clean, shorten_middle};
use crate::signal::Termination;

/// Where a process leaves a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The run is over.
    Over(Ended),
    /// The run waits for the hook of the next phase.
    Waiting,
    /// This process cannot bring it to an end; another one may.
    Stuck,
}

/// The longest cause in a journal or a report. Docker puts the reason at the end of what it says.
const LONGEST_CAUSE: usize = 600;

/// How long the old release is looked at when there is no time: a process that was sent SIGTERM has about two seconds
/// before it may be killed (`CodeDeploy`'s agents).
const HASTY: Duration = Duration::from_secs(1);

/// How often the Engine is asked again to take a step back that it refused.
const REFUSALS: u32 = 2;

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
        match next(run.journal.history(), &run.plan, until) {
            Move::Run(step) => {
                if run.act(step).await? == Acted::Interrupted {
                    return Ok(Outcome::Stuck);
                }
            }
            Move::Commit => run.journal.note(Entry::Committed)?,
            Move::Undo { step, inverse, in_doubt_since } => run.undo(step, &inverse, in_doubt_since).await?,
            Move::Regate => {
                if run.regate().await? == Acted::Interrupted {
                    return Ok(Outcome::Stuck);
                }
            }
            Move::End(ended) => run.end(ended)?,
            Move::Wait => {
                run.journal.note(Entry::Waiting)?;
                return Ok(Outcome::Waiting);
            }
            Move::Rest(ended) => return Ok(Outcome::Over(ended)),
            Move::Stuck => return Ok(Outcome::Stuck),
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
    async fn act(&mut self, step: Step) -> Result<Acted, JournalError> {
        if self.termination.is_requested() && !self.journal.history().is_committed() {
            self.journal.note(Entry::Abandoned { cause: "handover was asked to stop".to_owned() })?;
            return Ok(Acted::Written);
        }
        let began = Instant::now();
        self.talk.begin(&step.label());
        // What cannot be observed cannot be undone either, so it is not begun for real: it fails with nothing to undo.
        let observed = if self.journal.history().has_begun(&step.name()) {
            Ok(vec![])
        } else {
            steps::inverse(&step, self).await
        };
        let (inverse, failed) = match observed {
            Ok(inverse) => (inverse, None),
            Err(error) => (vec![], Some(error)),
        };
        let begun = self.journal.begin(&step, || inverse)?;
        let result = match failed {
            None if step.only_looks() => {
                let termination = self.termination.clone();
                tokio::select! {
                    result = steps::perform(&step, self) => result,
                    () = termination.requested() => Err(StepError::Interrupted),
                }
            }
            None => steps::perform(&step, self).await,
            Some(error) => Err(error),
        };
        let took = began.elapsed();
        self.timings.push((step.name(), took));
        match result {
            Ok(facts) => {
                self.talk.done(&step.label(), took);
                self.journal.finish(begun, facts)?;
            }
            Err(StepError::Interrupted) => {
                self.talk.failed(&step.label(), "interrupted");
                if self.journal.history().is_committed() {
                    return Ok(Acted::Interrupted);
                }
                let cause = format!("handover was asked to stop while it had to {}", step.label());
                self.journal.note(Entry::Abandoned { cause })?;
            }
            Err(StepError::Found(findings)) => {
                let (cause, findings) = self.told(&step, findings);
                self.talk.failed(&step.label(), &cause);
                self.journal.fail(begun, cause, vec![], findings, false)?;
            }
            Err(StepError::Failed { cause, evidence, verdict }) => {
                // A cause stands in one line of the report; the whole of it is in the log.
                tracing::error!(step = step.name(), "{}", clean(&self.redactor.redact(&cause)));
                let cause = self.fit_for_a_report(&cause, LONGEST_CAUSE);
                let evidence: Vec<String> =
                    evidence.iter().map(|line| self.fit_for_a_report(line, LONGEST_LINE)).collect();
                self.talk.failed(&step.label(), &cause);
                self.journal.fail(begun, cause, evidence, vec![], verdict)?;
            }
        }
        Ok(Acted::Written)
    }

    /// The journal cannot be written any more, as on a full disk: nothing new is begun, but the old release must not stay
    /// down for it. What a later process needs in order to go on or to undo the rest is left as it is.
    async fn put_live_back(&mut self) {
        let history = self.journal.history();
        if history.is_committed() && *history.direction() == Direction::Forward {
            return;
        }
        for taken in history.taken().iter().rev().filter(|taken| taken.doing != Doing::Undone) {
            if matches!(taken.step.parse(), Ok(Step::Create(_) | Step::ProtectLive(_))) {
                continue;
            }
            let undone =
                undo::apply(&self.host.docker, &taken.inverse, taken.in_doubt_since, &self.termination).await;
            if let Err(error) = undone {
                tracing::error!(step = taken.step, "failed to put back: {}", chain(&error));
            }
        }
    }

    /// Takes one step back. An Engine that is restarting is waited for, and one that refuses is asked again; whatever else
    /// fails is left for the next process.
    async fn undo(
        &mut self,
        step: String,
        inverse: &[Inverse],
        in_doubt_since: Option<Timestamp>,
    ) -> Result<(), JournalError> {
        if inverse.is_empty() {
            return self.journal.note(Entry::Undone { step });
        }
        self.talk.begin(&format!("undo {step}"));
        let began = Instant::now();
        // About two minutes, as long as an Engine may take to come up.
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(60);
        let (docker, termination) = (&self.host.docker, &self.termination);
        let (mut refusals, mut absences) = (0, 0);
        let undone = (|| undo::apply(docker, inverse, in_doubt_since, termination))
            .retry(patience)
            .when(|error: &DockerError| {
                if matches!(error, DockerError::Unreachable { .. }) {
                    absences += 1;
                    return !termination.is_requested() || absences <= REFUSALS;
                }
                refusals += 1;
                refusals <= REFUSALS
            })
            .await;
        match undone {
            Ok(()) => {
                self.talk.done(&format!("undo {step}"), began.elapsed());
                self.journal.note(Entry::Undone { step })
            }
            Err(error) => {
                let cause = self.fit_for_a_report(&chain(&error), LONGEST_CAUSE);
                self.talk.failed(&format!("undo {step}"), &cause);
                self.left_over.push(format!("undo {step}: {cause}"));
                self.journal.note(Entry::UndoFailed { step, cause })
            }
        }
    }

    /// Looks at the release that is to serve now that everything is undone. What cannot be found out is left open.
    async fn regate(&mut self) -> Result<Acted, JournalError> {
        let touched = self.journal.history().taken().iter().any(|taken| {
            // A step of another version may have done anything.
            taken.step.parse::<Step>().map_or(true, |step| step.touches_live())
        });
        let label = "check the release that serves";
        self.talk.begin(label);
        let began = Instant::now();
        let mut healthy = true;
        for process in self.processes() {
            match self.regate_process(&process, touched).await {
                Ok(passed) => healthy &= passed,
                Err(why) => {
                    let why = self.fit_for_a_report(&why, LONGEST_CAUSE);
                    self.talk.failed(label, &why);
                    self.left_over.push(why);
                    return Ok(Acted::Interrupted);
                }
            }
        }
        if healthy {
            self.talk.done(label, began.elapsed());
        } else {
            self.talk.failed(label, "nothing healthy is serving");
        }
        self.journal.note(Entry::Regated { healthy })?;
        Ok(Acted::Written)
    }

    /// Whether what serves for a process is healthy; an error says why that is not known.
    async fn regate_process(&mut self, process: &ProcessName, touched: bool) -> Result<bool, String> {
        let Some(live) = self.live(process).await.map_err(|error| chain(&error))? else { return Ok(false) };
        if live.running && !touched {
            return Ok(true);
        }
        self.learn_what_it_knows(&live);
        let mut health = self.health_of_old(process, &live);
        if let Some(left) = self.clock.left(Duration::ZERO) {
            health.deadline = health.deadline.min(left);
        }
        let docker = &self.host.docker;
        // Where a stranger listens inside is not known.
        let publish = &self.process(process).publish;
        let at = if live.labels.is_some() { At::Container } else { At::Published(publish) };
        let mut gated = gate::await_healthy(docker, &live.id, &health, at, &self.termination).await;
        let hurry = matches!(gated, Err(GateError::Interrupted));
        if hurry {
            let never = Termination::never();
            gated = gate::await_healthy(docker, &live.id, &health.at_a_glance(HASTY), at, &never).await;
        }
        match gated {
            Ok(answering) => {
                self.answers_again(answering);
                Ok(true)
            }
            Err(GateError::Unhealthy(_)) if hurry && live.running => {
                Err(format!("{} was started again, and there was no time to see it healthy", live.name))
            }
            Err(GateError::Unhealthy(why)) => {
                let why = self.fit_for_a_report(&format!("{}: {why}", live.name), LONGEST_CAUSE);
                self.left_over.push(why);
                Ok(false)
            }
            Err(error) => Err(format!("{}: {}", live.name, chain(&error))),
        }
    }

    /// Findings as they may stand in a report, and the cause that they come to: the only one itself, or how many.
    fn told(&self, step: &Step, findings: Vec<Finding>) -> (String, Vec<Finding>) {
        for found in &findings {
            let line = self.redactor.redact(&format!("{}; {}", found.what, found.fix));
            tracing::error!(step = step.name(), "{line}");
        }
        let fit = |text: &str| self.fit_for_a_report(text, LONGEST_CAUSE);
        let findings: Vec<Finding> =
            findings.iter().map(|found| Finding::new(fit(&found.what), fit(&found.fix))).collect();
        let cause = match findings.as_slice() {
            [only] => only.what.clone(),
            several => format!("{} findings", several.len()),
        };
        (cause, findings)
    }

    /// One line without secrets. They are masked first: what is cut or made ASCII is no secret that could be found.
    fn fit_for_a_report(&self, text: &str, longest: usize) -> String {
        shorten_middle(&clean(&self.redactor.redact(text)), longest)
    }

    fn end(&mut self, ended: Ended) -> Result<(), JournalError> {
        if let Ended::Reverted { cause, .. } = &ended {
            // Its containers are gone: nothing reads its files any more. They go before the end is written down, so that
            // whoever is cut off here does it again.
            if let Err(error) = self.releases.remove_files(self.release()) {
                self.left_over.push(chain(&error));
            }
            self.refuse_release(cause);
        }
        self.journal.note(Entry::Ended { ended })
    }
}
