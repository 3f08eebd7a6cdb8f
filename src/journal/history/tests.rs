//! The transition table, line by line: what may follow what. The walk of `deploy::next` only writes what may follow.

use super::*;
use crate::journal::{FORMAT, Planned};
use crate::model::{Failure, FailureKind, Nature, Phase, ReleaseNumber};

const STEP: &str = "stop-live web";

fn opened(plan: Vec<PlannedItem>) -> Entry {
    let plan = plan.into_iter().map(|item| Planned { phase: Phase::Switch, item }).collect();
    Entry::Opened(Box::new(Header {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        binary: None,
        app: "a".parse().unwrap(),
        deployment: "d-1".parse().unwrap(),
        release: ReleaseNumber(2),
        group: None,
        rollback: None,
        returned: None,
        plan,
        retired: vec![],
        began: Timestamp::UNIX_EPOCH,
    }))
}

fn planned(at_boot: AtBoot) -> PlannedItem {
    PlannedItem::Step { step: STEP.to_owned(), nature: Nature::CHANGES_LIVE.at_boot(at_boot) }
}

fn began() -> Entry {
    Entry::Began { step: STEP.to_owned(), inverse: vec![] }
}

fn done(facts: Vec<Fact>) -> Entry {
    Entry::Done { step: STEP.to_owned(), facts }
}

fn failed() -> Entry {
    Entry::Failed { step: STEP.to_owned(), failure: Failure::because("it failed") }
}

fn abandoned(forced: bool) -> Entry {
    Entry::Abandoned { cause: "given up".to_owned(), forced }
}

fn undone() -> Entry {
    Entry::Undone { step: STEP.to_owned() }
}

fn undo_failed() -> Entry {
    Entry::UndoFailed { step: STEP.to_owned(), cause: "refused".to_owned() }
}

fn regated() -> Entry {
    Entry::Regated { healthy: true, why: vec![] }
}

fn ended() -> Entry {
    Entry::Ended { ended: Ended::Deployed }
}

fn resumed() -> Entry {
    Entry::Resumed { pid: 1, by: "test".to_owned(), version: "0.1.0".to_owned() }
}

/// Of entries that may follow each other.
fn history(entries: impl IntoIterator<Item = Entry>) -> History {
    let mut history = History::default();
    for entry in entries {
        history.record(&entry, Timestamp::UNIX_EPOCH).unwrap();
    }
    history
}

/// Of a run with one step.
fn run(at_boot: AtBoot, entries: impl IntoIterator<Item = Entry>) -> History {
    history(std::iter::once(opened(vec![planned(at_boot)])).chain(entries))
}

#[test]
fn what_cannot_follow_is_refused() {
    for (entries, entry, why) in [
        (vec![], opened(vec![]), "'opened' stands in the middle of a run"),
        (vec![ended()], resumed(), "'an entry' stands after the end of the run"),
        (vec![ended()], opened(vec![]), "'opened' stands in the middle of a run"),
        (vec![abandoned(false)], began(), "'began' stands in a run that goes back"),
        (vec![began(), done(vec![])], began(), "'began' names a step that is done or undone"),
        (vec![], done(vec![]), "'done' names a step that is not under way"),
        (vec![began(), abandoned(false)], done(vec![]), "'done' names a step that is not under way"),
        (vec![began(), done(vec![])], failed(), "'failed' names a step that is not under way"),
        (vec![abandoned(false)], failed(), "'failed' stands in a run that goes back"),
        (
            vec![abandoned(false)],
            abandoned(true),
            "'abandoned' stands in a run that cannot be given up any more",
        ),
        (
            vec![Entry::Committed],
            abandoned(false),
            "'abandoned' stands in a run that cannot be given up any more",
        ),
        (vec![Entry::Committed], Entry::Committed, "'committed' stands twice, or in a run that goes back"),
        (vec![abandoned(false)], Entry::Committed, "'committed' stands twice, or in a run that goes back"),
        (vec![began()], undone(), "'undone' stands in a run that goes forward"),
        (vec![abandoned(false)], undone(), "'undone' names a step that is not there to undo"),
        (vec![began(), failed(), undone()], undone(), "'undone' names a step that is not there to undo"),
        (vec![began()], undo_failed(), "'undo-failed' names a step that is not there to undo"),
        (
            vec![began(), failed(), undone()],
            undo_failed(),
            "'undo-failed' names a step that is not there to undo",
        ),
        (
            vec![began(), failed(), undo_failed()],
            undo_failed(),
            "'undo-failed' names a step that is not there to undo",
        ),
        (vec![], regated(), "'regated' stands in a run that goes forward"),
    ] {
        let mut before = run(AtBoot::Stays, entries.clone());
        let refused = before.record(&entry, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refused.to_string(), why, "{entry:?} after {entries:?}");
    }
    let first = History::default().record(&began(), Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(first.to_string(), "'an entry' stands before the run was opened");
}

/// A boot starts and stops containers by their restart policies; what it may have taken back is made again. A run that
/// rests between two hooks rests where a boot changes nothing.
#[test]
fn another_process_makes_sure_of_what_a_boot_may_have_undone() {
    let made = [began(), done(vec![])];
    for (at_boot, before_the_commit, after_it) in [
        (AtBoot::Stays, StepState::Done, StepState::Done),
        (AtBoot::UndoneUntilCommit, StepState::Begun, StepState::Done),
        (AtBoot::Undone, StepState::Begun, StepState::Begun),
    ] {
        let state =
            |after: &[Entry]| run(at_boot, made.iter().chain(after).cloned()).step(STEP).unwrap().state;
        assert_eq!(state(&[]), StepState::Done);
        assert_eq!(state(&[resumed()]), before_the_commit, "{at_boot:?}");
        assert_eq!(state(&[Entry::Committed, resumed()]), after_it, "{at_boot:?}");
        assert_eq!(state(&[Entry::Waiting, resumed()]), StepState::Done, "{at_boot:?}");
        assert_eq!(state(&[Entry::Waiting, resumed(), resumed()]), before_the_commit, "{at_boot:?}");
        assert_eq!(state(&[abandoned(false), resumed()]), StepState::Done, "{at_boot:?}: it goes back");
    }
}

#[test]
fn another_process_may_do_what_its_predecessor_could_not() {
    let stuck = run(AtBoot::Stays, [Entry::Committed, failed()]);
    assert_eq!(stuck.stuck().unwrap().what, "it failed");
    assert!(run(AtBoot::Stays, [Entry::Committed, failed(), resumed()]).stuck().is_none());

    let sick = Entry::Regated { healthy: false, why: vec!["it is sick".to_owned()] };
    let back = [began(), failed(), undo_failed(), sick];
    let history = run(AtBoot::Stays, back.clone());
    assert_eq!((history.regated(), history.sick()), (Some(false), &["it is sick".to_owned()][..]));
    let history = run(AtBoot::Stays, back.into_iter().chain([resumed()]));
    assert_eq!((history.regated(), history.sick().len()), (None, 0));
    assert_eq!(history.step(STEP).unwrap().state, StepState::Begun, "taking it back is tried again");
}

#[test]
fn a_step_is_in_doubt_from_its_beginning_to_its_end() {
    let in_doubt = |entries: &[Entry]| run(AtBoot::Undone, entries.to_vec()).step(STEP).unwrap().in_doubt;
    assert!(in_doubt(&[began()]));
    assert!(!in_doubt(&[began(), done(vec![])]));
    assert!(in_doubt(&[began(), failed()]));
    assert!(in_doubt(&[began(), done(vec![]), resumed(), began()]), "it is made again");
}

#[test]
fn a_verdict_turns_a_committed_run_back_and_nothing_else_does() {
    for (kind, turns) in [(FailureKind::Verdict, true), (FailureKind::Refused, false)] {
        let failure = Failure { kind, ..Failure::because("it failed") };
        let entry = Entry::Failed { step: STEP.to_owned(), failure: failure.clone() };
        let history = run(AtBoot::Stays, [Entry::Committed, began(), entry]);
        assert_eq!(*history.direction() == Direction::Backward(failure), turns, "{kind:?}");
        assert_eq!(history.stuck().is_none(), turns, "{kind:?}");
    }
}

#[test]
fn a_word_of_another_version_is_seen_wherever_it_stands() {
    let of = |entries: &[Entry]| run(AtBoot::Stays, entries.to_vec()).has_unknown();
    assert!(!of(&[began(), done(vec![Fact::Unchanged { release: ReleaseNumber(1) }])]));
    assert!(of(&[Entry::Unknown, began()]));
    assert!(of(&[Entry::Began { step: STEP.to_owned(), inverse: vec![Inverse::Unknown] }, done(vec![])]));
    assert!(of(&[began(), done(vec![Fact::Unknown])]));
    // It stays, whatever is known of what follows.
    let unknown = || opened(vec![planned(AtBoot::Stays), PlannedItem::Unknown]);
    assert!(history([unknown(), began(), done(vec![])]).has_unknown());
}

#[test]
fn a_run_waits_until_somebody_takes_it_up() {
    let since = |entries: &[Entry]| run(AtBoot::Stays, entries.to_vec()).waiting_since();
    assert_eq!(since(&[Entry::Waiting]), Some(Timestamp::UNIX_EPOCH));
    assert_eq!(since(&[Entry::Waiting, resumed()]), None);
    assert_eq!(since(&[]), None);
}
