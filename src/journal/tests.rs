//! The journal as a file: what is torn is dropped, what is damaged stops the tool, what is illegal is refused.
#![expect(clippy::disallowed_methods, reason = "damage is written as it comes")]

use std::time::Duration;

use super::*;
use crate::model::{DeploymentId, Nature, Phase, ReleaseNumber};

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
        std::fs::create_dir_all(self.dir.path().join("12")).unwrap();
        let step = |step: &str| Planned {
            phase: Phase::Prepare,
            item: PlannedItem::Step { step: step.to_owned(), nature: Nature::LOOKS },
        };
        let header = Header {
            format: FORMAT,
            version: "0.1.0".to_owned(),
            binary: None,
            app: "status-page".parse().unwrap(),
            deployment: "d-1".parse::<DeploymentId>().unwrap(),
            release: ReleaseNumber(12),
            group: None,
            rollback: None,
            returned: None,
            plan: vec![step("preflight"), step("create web")],
            retired: vec![],
            began: jiff::Timestamp::UNIX_EPOCH,
        };
        Journal::create(&self.lock, self.dir.path(), header).unwrap()
    }

    fn open(&self) -> Result<Option<Journal>, JournalError> {
        Journal::open(&self.lock, self.dir.path())
    }

    fn path(&self) -> PathBuf {
        Journal::path(self.dir.path(), ReleaseNumber(12))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_step_that_was_begun_keeps_its_first_inverse() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let stop = "stop-live web";
    let start = || Inverse::Start { id: "a".to_owned(), started_at: String::new() };
    let _ = journal.begin(stop, vec![start()]).unwrap();
    drop(journal);
    let mut journal = fixture.open().unwrap().unwrap();
    let begun = journal.begin(stop, vec![]).unwrap();
    assert_eq!(journal.history().steps()[0].inverse, [start()]);
    journal.finish(begun, vec![]).unwrap();
    assert!(fixture.open().unwrap().unwrap().history().is_done("stop-live web"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_torn_last_line_never_happened_and_is_cut_off() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let begun = journal.begin("preflight", vec![]).unwrap();
    journal.finish(begun, vec![]).unwrap();
    let whole = fixture.text();
    for cut in 1..whole.lines().last().unwrap().len() {
        std::fs::write(fixture.path(), &whole[..whole.len() - cut]).unwrap();
        let mut journal = fixture.open().unwrap().unwrap();
        assert!(!journal.history().is_done("preflight"), "{cut}");
        let begun = journal.begin("preflight", vec![]).unwrap();
        journal.finish(begun, vec![]).unwrap();
        assert_eq!(fixture.open().unwrap().unwrap().history().steps().len(), 1, "{cut}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn any_other_damage_stops_the_tool_and_names_the_line() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let begun = journal.begin("preflight", vec![]).unwrap();
    journal.finish(begun, vec![]).unwrap();
    let whole = fixture.text();
    let lines: Vec<&str> = whole.lines().collect();
    for damaged in [
        format!("{}\nrubbish\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n", lines[0], lines[2]),
        format!("{}\n{}\n", lines[0], lines[1].replace("\"step\"", "\"stop\"")),
    ] {
        std::fs::write(fixture.path(), damaged).unwrap();
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
        Entry::Regated { healthy: true, why: vec![] },
    ] {
        assert!(matches!(journal.note(illegal), Err(JournalError::Refused(_))));
    }
    journal.note(Entry::Committed).unwrap();
    assert!(journal.note(Entry::Abandoned { cause: "late".to_owned(), forced: false }).is_err());
    assert_eq!(fixture.text().lines().count(), before.lines().count() + 1);
}

/// Within a format, a newer version may write more than this one knows.
#[tokio::test(flavor = "current_thread")]
async fn what_another_version_writes_is_read_as_unknown_and_not_as_damage() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    let begun = journal.begin("preflight", vec![]).unwrap();
    journal.finish(begun, vec![]).unwrap();
    let known = fixture.text();
    let at = "\"at\":\"2026-11-26T00:00:00Z\"";
    for (newer, inverse) in [
        (format!("{{\"seq\":3,{at},\"entry\":\"rehearsed\",\"step\":\"x\"}}"), None),
        (
            format!(
                "{{\"seq\":3,{at},\"entry\":\"began\",\"step\":\"redirect web\",\"inverse\":[{{\"do\":\"delete-rules\",\"tag\":\"t\"}}]}}"
            ),
            Some(Inverse::Unknown),
        ),
        (format!("{{\"seq\":3,{at},\"entry\":\"ended\",\"outcome\":\"transcended\"}}"), None),
    ] {
        std::fs::write(fixture.path(), format!("{known}{newer}\n")).unwrap();
        let journal = fixture.open().unwrap().unwrap();
        let history = journal.history();
        assert!(history.has_unknown() || history.ended() == Some(&Ended::Unknown), "{newer}");
        assert_eq!(history.step("redirect web").map(|step| step.inverse[0].clone()), inverse);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_last_run_is_that_of_the_highest_release_with_a_journal() {
    let fixture = Fixture::new().await;
    fixture.create();
    for folder in ["3", "13", "notes"] {
        std::fs::create_dir_all(fixture.dir.path().join(folder)).unwrap();
    }
    std::fs::copy(fixture.path(), Journal::path(fixture.dir.path(), ReleaseNumber(3))).unwrap();
    assert_eq!(Journal::last(fixture.dir.path()).unwrap(), Some(fixture.path()));
}

/// Half a line may be at the end of the file then: another one behind it would be damage.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "current_thread")]
async fn after_an_entry_that_could_not_be_written_nothing_is_written() {
    let fixture = Fixture::new().await;
    let mut journal = fixture.create();
    fail::cfg("journal-cannot-append", "1*return").unwrap();
    assert!(journal.begin("preflight", vec![]).is_err());
    let before = fixture.text();
    assert!(journal.begin("preflight", vec![]).is_err(), "the disk has room again, and it does not matter");
    assert_eq!(fixture.text(), before);
}
