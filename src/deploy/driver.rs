//! The driver: asks the decider, does what it says, writes it down. All of a deployment passes through [`drive`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

use backon::{ExponentialBuilder, Retryable as _};

use super::gate::{self, At};
use super::next::{Move, next};
use super::run::Run;
use super::step::{Phase, Step};
use super::steps::{self, StepError, undo};
use crate::config::settings::Health;
use crate::host::docker::DockerError;
use crate::journal::{Ended, Entry, Inverse, JournalError};
use crate::report::text::{sanitize, shorten};

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

/// How long the old release is looked at when there is no time: a process that was sent SIGTERM has about two seconds
/// before it may be killed (`CodeDeploy`'s agents).
const HASTY: Duration = Duration::from_secs(1);

/// Drives a run forward up to the end of a phase, or back, until there is nothing left for this process to do.
pub async fn drive(run: &mut Run<'_>, until: Phase) -> Result<Outcome, JournalError> {
    loop {
        match next(run.journal.history(), &run.plan, until) {
            Move::Run(step) => {
                if run.act(step).await? == Acted::Interrupted {
                    return Ok(Outcome::Stuck);
                }
            }
            Move::Commit => run.journal.note(Entry::Committed)?,
            Move::Undo { step, inverse, in_doubt_since } => run.undo(step, &inverse, in_doubt_since).await?,
            Move::Regate => run.regate().await?,
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
            Err(StepError::Failed { cause, evidence }) => {
                // A cause stands in one line of the report; the whole of it is in the log.
                tracing::error!(step = step.name(), "{}", self.redactor.redact(&cause));
                let cause = shorten(&sanitize_long(&self.redactor.redact(&cause)), 600);
                let evidence = evidence.iter().map(|line| sanitize(&self.redactor.redact(line))).collect();
                self.talk.failed(&step.label(), &cause);
                self.journal.fail(begun, cause, evidence)?;
            }
        }
        Ok(Acted::Written)
    }

    /// Takes one step back. An Engine that is restarting is waited for; whatever else fails is left for the next process.
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
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(if self.termination.is_requested() { 3 } else { 12 });
        let (docker, hurry) = (&self.host.docker, self.termination.is_requested());
        let undone = (|| undo::apply(docker, inverse, in_doubt_since, hurry))
            .retry(patience)
            .when(DockerError::is_passing)
            .await;
        match undone {
            Ok(()) => {
                self.talk.done(&format!("undo {step}"), began.elapsed());
                self.journal.note(Entry::Undone { step })
            }
            Err(error) => {
                let cause = sanitize(&self.redactor.redact(&error.to_string()));
                self.talk.failed(&format!("undo {step}"), &cause);
                self.left_over.push(format!("undo {step}: {cause}"));
                self.journal.note(Entry::UndoFailed { step, cause })
            }
        }
    }

    /// Looks at the release that is to serve now that everything is undone.
    async fn regate(&mut self) -> Result<(), JournalError> {
        let touched = self.journal.history().taken().iter().any(|taken| {
            // A step of another version may have done anything.
            taken.step.parse::<Step>().map_or(true, |step| step.touches_live())
        });
        self.talk.begin("check the release that serves");
        let began = Instant::now();
        let mut healthy = true;
        for process in self.processes() {
            healthy &= match self.live(&process).await {
                Ok(Some(live)) if live.running && !touched => true,
                Ok(Some(live)) => {
                    let health = self.health_of_old(&process, &live);
                    let health = if self.termination.is_requested() { hasty(health) } else { health };
                    let never = crate::signal::Termination::never();
                    match gate::await_healthy(&self.host.docker, &live.id, &health, At::Container, &never)
                        .await
                    {
                        Ok(()) => true,
                        Err(why) => {
                            self.left_over.push(sanitize(&format!(
                                "{}: {}",
                                live.name,
                                self.redactor.redact(&why.to_string())
                            )));
                            false
                        }
                    }
                }
                Ok(None) => false,
                Err(why) => {
                    self.left_over.push(sanitize(&why.to_string()));
                    false
                }
            };
        }
        if healthy {
            self.talk.done("check the release that serves", began.elapsed());
        } else {
            self.talk.failed("check the release that serves", "nothing healthy is serving");
        }
        self.journal.note(Entry::Regated { healthy })
    }

    fn end(&mut self, ended: Ended) -> Result<(), JournalError> {
        if let Ended::Reverted { cause, .. } = &ended {
            self.refuse_release(cause);
        }
        self.journal.note(Entry::Ended { ended })
    }
}

/// One look that succeeds has to do.
fn hasty(health: Health) -> Health {
    Health {
        successes: 1,
        min_healthy: Duration::ZERO,
        deadline: HASTY,
        interval: HASTY / 10,
        timeout: HASTY,
        ..health
    }
}

/// Like [`sanitize`], for a cause, which may be longer than a line.
fn sanitize_long(text: &str) -> String {
    text.lines().map(sanitize).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
