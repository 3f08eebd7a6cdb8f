//! The journal as a file: what is torn is dropped, what is damaged stops the tool, what is illegal is refused.
#![expect(clippy::disallowed_methods, reason = "damage is written as it comes")]

use std::time::Duration;

use super::*;
use crate::deploy::step::Step;
use crate::release::{DeploymentId, ReleaseNumber};

struct Fixture {
    dir: tempfile::TempDir,
    lock: Lock,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let who = Who { deployment: None, command: "test".to_owned(), hook: false };
        let lock =
            Lock::take(dir.path(), &"status-page".parse().unwrap(), &who, Duration::ZERO).await.unwrap();
        Self { dir, lock }
    }

    fn create(&self) -> Journal {
        let header = Header {
            format: FORMAT,
            version: "0.1.0".to_owned(),
            app: "status-page".parse().unwrap(),
            deployment: "d-1".parse::<DeploymentId>().unwrap(),
            release: ReleaseNumber(12),
            group: None,
            plan: vec!["preflight".to_owned(), "create web".to_owned()],
            retired: vec![],
            began: jiff::Timestamp::UNIX_EPOCH,
        };
        Journal::create(&self.lock, self.dir.path(), header).unwrap()
    }

    fn open(&self) -> Result<Option<Journal>, JournalError> {
        Journal::open(&self.lock, self.dir.path())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(Journal::path(self.dir.path())).unwrap()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_step_that_was_begun_keeps_its_first_inverse() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let stop = Step::StopLive("web".parse().unwrap());
    let _ = journal.begin(&stop, || vec![Inverse::Start { id: "a".to_owned() }]).unwrap();
    drop(journal);
    let mut journal = fixture.open().unwrap().unwrap();
    let begun = journal.begin(&stop, Vec::new).unwrap();
    assert_eq!(journal.history().taken()[0].inverse, [Inverse::Start { id: "a".to_owned() }]);
    journal.finish(begun, vec![]).unwrap();
    assert!(fixture.open().unwrap().unwrap().history().is_done("stop-live web"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_torn_last_line_never_happened_and_is_cut_off() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let begun = journal.begin(&Step::Preflight, Vec::new).unwrap();
    journal.finish(begun, vec![]).unwrap();
    let whole = fixture.text();
    for cut in 1..whole.lines().last().unwrap().len() {
        std::fs::write(Journal::path(fixture.dir.path()), &whole[..whole.len() - cut]).unwrap();
        let mut journal = fixture.open().unwrap().unwrap();
        assert!(!journal.history().is_done("preflight"), "{cut}");
        let begun = journal.begin(&Step::Preflight, Vec::new).unwrap();
        journal.finish(begun, vec![]).unwrap();
        assert_eq!(fixture.open().unwrap().unwrap().history().taken().len(), 1, "{cut}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn any_other_damage_stops_the_tool_and_names_the_line() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let begun = journal.begin(&Step::Preflight, Vec::new).unwrap();
    journal.finish(begun, vec![]).unwrap();
    let whole = fixture.text();
    let lines: Vec<&str> = whole.lines().collect();
    for damaged in [
        format!("{}\nrubbish\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n", lines[0], lines[1].replace("began", "no-such-entry")),
    ] {
        std::fs::write(Journal::path(fixture.dir.path()), damaged).unwrap();
        let error = fixture.open().unwrap_err().to_string();
        assert!(error.starts_with("line 2 of the journal"), "{error}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_illegal_entry_never_reaches_the_disk() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let before = fixture.text();
    for illegal in [
        Entry::Done { step: "create web".to_owned(), facts: vec![] },
        Entry::Undone { step: "create web".to_owned() },
        Entry::Regated { healthy: true },
    ] {
        assert!(matches!(journal.note(illegal), Err(JournalError::Refused(_))));
    }
    journal.note(Entry::Committed).unwrap();
    assert!(journal.note(Entry::Abandoned { cause: "late".to_owned() }).is_err());
    assert_eq!(fixture.text().lines().count(), before.lines().count() + 1);
}
