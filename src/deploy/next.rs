//! The decider: from what the journal tells to the next move. Pure and total, so that a model check can walk through
//! every history there can be.

use crate::journal::{BegunStep, Direction, Ended, History, Inverse, Planned, PlannedItem, StepState};
use crate::model::Phase;

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Make the step of this name.
    Run(String),
    /// Write down that the new release has passed its gate.
    Commit,
    /// Take a step back.
    Undo {
        /// Its name; it may be a step of another version.
        step: String,
        /// How.
        inverse: Vec<Inverse>,
        /// Whether its effect may still be under way in the Engine.
        in_doubt: bool,
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

/// The next move of a run that may go on up to the end of phase `until`, by the plan that its journal holds.
pub fn next(history: &History, until: Phase) -> Move {
    if let Some(ended) = history.ended() {
        return Move::Rest(ended.clone());
    }
    match history.direction() {
        Direction::Forward => forward(history, until),
        Direction::Backward(why) => backward(history, &why.what),
    }
}

fn forward(history: &History, until: Phase) -> Move {
    let unchanged = history.facts().unchanged.is_some();
    let is_open = |planned: &&Planned| match &planned.item {
        PlannedItem::Step { step, nature } => !(history.is_done(step) || unchanged && nature.for_a_change),
        PlannedItem::Commit => !unchanged && !history.is_committed(),
        PlannedItem::Unknown => true,
    };
    let plan = history.header().map(|header| header.plan.as_slice()).unwrap_or_default();
    match plan.iter().find(is_open) {
        _ if history.stuck().is_some() => Move::Stuck,
        None if unchanged => Move::End(Ended::Unchanged),
        None => Move::End(Ended::Deployed),
        Some(planned) if planned.phase == Phase::Unknown => Move::Stuck,
        Some(planned) if planned.phase > until => Move::Wait,
        Some(planned) => match &planned.item {
            PlannedItem::Step { step, .. } => Move::Run(step.clone()),
            PlannedItem::Commit => Move::Commit,
            PlannedItem::Unknown => Move::Stuck,
        },
    }
}

fn backward(history: &History, cause: &str) -> Move {
    // By the ledger of restart policies: what could not be started again has to come back at a boot, at least.
    let is_down = |container: &str| {
        let failed = history.steps().iter().filter(|begun| begun.state == StepState::UndoFailed);
        let mut inverses = failed.flat_map(|begun| &begun.inverse);
        inverses.any(|inverse| matches!(inverse, Inverse::Start { id, .. } if id == container))
    };
    let has_to_wait = |begun: &BegunStep| {
        begun.inverse.iter().any(|i| matches!(i, Inverse::SetRestartPolicy { id, .. } if is_down(id)))
    };
    // What stands before a redirect that could not be ended stays: its candidate has the clients.
    let has_clients = |begun: &&BegunStep| {
        begun.state == StepState::UndoFailed && begun.inverse.contains(&Inverse::EndRedirect)
    };
    let to_undo = history.steps().iter().rev().take_while(|begun| !has_clients(begun)).find(|begun| {
        matches!(begun.state, StepState::Begun | StepState::Done | StepState::Failed) && !has_to_wait(begun)
    });
    if let Some(begun) = to_undo {
        return Move::Undo {
            step: begun.name.clone(),
            inverse: begun.inverse.clone(),
            in_doubt: begun.in_doubt,
        };
    }
    if history.steps().iter().any(|begun| begun.state == StepState::UndoFailed) {
        return Move::Stuck;
    }
    match history.regated() {
        None => Move::Regate,
        Some(serving) => Move::End(Ended::Reverted { cause: cause.to_owned(), serving }),
    }
}

#[cfg(test)]
mod tests;
