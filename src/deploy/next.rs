//! The decider: from what the journal tells to the next move. Pure and total, so that a model check can walk through
//! every history there can be.

use jiff::Timestamp;

use super::step::{Phase, Step};
use crate::journal::{Direction, Doing, Ended, Fact, History, Inverse, Taken};

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Make this step.
    Run(Step),
    /// Write down that the new release has passed its gate.
    Commit,
    /// Take this step back.
    Undo {
        /// Its name; it may be a step of another version.
        step: String,
        /// How.
        inverse: Vec<Inverse>,
        /// When it was begun, if its effect may still be under way in the Engine.
        in_doubt_since: Option<Timestamp>,
    },
    /// Gate the release that was put back.
    Regate,
    /// Rest until the hook of the next phase.
    Wait,
    /// Write down that the run is over.
    End(Ended),
    /// The run is over.
    Rest(Ended),
    /// The process at work cannot get further; another one may.
    Stuck,
}

/// The next move of a run that may go on up to the end of phase `until`.
pub fn next(history: &History, plan: &[Step], until: Phase) -> Move {
    if let Some(ended) = history.ended() {
        return Move::Rest(ended.clone());
    }
    match history.direction() {
        Direction::Forward => forward(history, plan, until),
        Direction::Backward { cause, .. } => backward(history, cause),
    }
}

fn forward(history: &History, plan: &[Step], until: Phase) -> Move {
    let unchanged = history.facts().iter().any(|f| matches!(f, Fact::Unchanged { .. }));
    let open = plan
        .iter()
        .filter(|step| !(unchanged && step.is_for_a_change()))
        .find(|step| !history.is_done(&step.name()));
    match open {
        _ if history.stuck().is_some() => Move::Stuck,
        None if unchanged => Move::End(Ended::Unchanged),
        None => Move::End(Ended::Deployed),
        Some(step) if step.phase() > until => Move::Wait,
        Some(step) if step.is_after_commit() && !history.is_committed() && !unchanged => Move::Commit,
        Some(step) => Move::Run(step.clone()),
    }
}

fn backward(history: &History, cause: &str) -> Move {
    // By the ledger of restart policies: what could not be started again has to come back at a boot, at least.
    let is_down = |container: &str| {
        let failed = history.taken().iter().filter(|taken| taken.doing == Doing::UndoFailed);
        failed.flat_map(|taken| &taken.inverse).any(|i| matches!(i, Inverse::Start { id } if id == container))
    };
    let has_to_wait = |taken: &Taken| {
        taken.inverse.iter().any(|i| matches!(i, Inverse::SetRestartPolicy { id, .. } if is_down(id)))
    };
    let to_undo = history.taken().iter().rev().find(|taken| {
        matches!(taken.doing, Doing::Begun | Doing::Done | Doing::Failed) && !has_to_wait(taken)
    });
    if let Some(taken) = to_undo {
        return Move::Undo {
            step: taken.step.clone(),
            inverse: taken.inverse.clone(),
            in_doubt_since: taken.in_doubt_since,
        };
    }
    if history.taken().iter().any(|taken| taken.doing == Doing::UndoFailed) {
        return Move::Stuck;
    }
    match history.regated() {
        None => Move::Regate,
        Some(serving) => Move::End(Ended::Reverted { cause: cause.to_owned(), serving }),
    }
}

#[cfg(test)]
mod tests;
