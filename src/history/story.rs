//! The story of one release: how it was made, and where the time went.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::spans::{self, Span};
use super::{HISTORY_FORMAT, table, waterfall};
use crate::journal::{Direction, Journal, JournalError, Line};
use crate::model::{AppName, Explain, Finding, ProcessName, ReleaseNumber};
use crate::report::{Outcome, tail};
use crate::state::{Past, Record, Releases, StateError};
use crate::text::{clean, duration, wrap};

/// How wide what stands beside a word is.
const WIDTH: usize = 68;

/// One release.
#[derive(Debug, Serialize)]
pub struct Story {
    /// [`HISTORY_FORMAT`].
    pub format: u32,
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseNumber,
    /// What is known of it; nothing where the record is lost.
    pub record: Option<Record>,
    /// The run that made it; nothing where its journal is lost.
    pub run: Option<Run>,
}

/// The run that made a release.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The version of the program that opened it.
    pub version: String,
    /// When it began.
    pub began: Timestamp,
    /// When the last line of its journal was written.
    pub ended: Timestamp,
    /// `deployed`, `unchanged`, `reverted`, or `unfinished`.
    pub outcome: &'static str,
    /// Why it was turned back, or is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What had to be fixed, where that is known one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Where the time went.
    pub spans: Vec<Span>,
}

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// Nothing is known of the release.
    #[error("nothing is known of {app} {release}")]
    NotKnown {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseNumber,
    },
    /// Its record cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Explain for StoryError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::NotKnown { .. } => Some("see which releases are: handover history".to_owned()),
            Self::State(error) => error.fix(),
            Self::Journal(error) => error.fix(),
        }
    }
}

/// The story of a release of an app, from its state folder.
pub fn story(app: &AppName, state: &Path, release: ReleaseNumber) -> Result<Story, StoryError> {
    let (releases, past) = (Releases::of(state), Past::of(state));
    let record = releases.record(release)?.or_else(|| past.record(release));
    let told = Journal::story(releases.dir(), release)?;
    let told = told.map_or_else(|| Journal::story(past.dir(), release), |told| Ok(Some(told)))?;
    if record.is_none() && told.is_none() {
        return Err(StoryError::NotKnown { app: app.clone(), release });
    }
    let run = told.and_then(|(lines, history)| {
        let header = history.header()?;
        let (cause, findings) = match history.direction() {
            Direction::Backward(failure) => (Some(failure.to_string()), failure.findings.clone()),
            Direction::Forward => (history.stuck().map(ToString::to_string), vec![]),
        };
        Some(Run {
            version: header.version.clone(),
            began: header.began,
            ended: lines.last().map_or(header.began, |line: &Line| line.at),
            outcome: history.ended().map_or("unfinished", |ended| Outcome::of(ended).word()),
            cause,
            findings,
            spans: spans::of(&lines),
        })
    });
    Ok(Story { format: HISTORY_FORMAT, app: app.clone(), release, record, run })
}

impl Story {
    /// The human form: at most 80 columns.
    pub fn text(&self) -> String {
        let mut lines = vec![self.title()];
        if let Some(record) = &self.record {
            lines.extend(told(record));
        } else {
            lines.push("its record is lost".to_owned());
        }
        let Some(run) = &self.run else {
            lines.push("its journal is lost: nobody knows where the time went".to_owned());
            return lines.join("\n");
        };
        // A single finding is the cause, and says it with its fix.
        if run.findings.len() == 1 {
            lines.extend(tail::of_findings(&run.findings).iter().flat_map(|line| beside("", line)));
        } else {
            lines.extend(run.cause.iter().flat_map(|cause| beside("why", cause)));
            lines.extend(run.findings.iter().flat_map(|found| beside("", &found.to_string())));
        }
        lines.push(String::new());
        lines.extend(waterfall::draw(&run.spans, run.began, run.ended));
        lines.push(format!("  {}", waterfall::legend(&run.spans)));
        lines.join("\n")
    }

    fn title(&self) -> String {
        let word = self.record.as_ref().map_or_else(|| "unknown".to_owned(), |r| table::word(&r.verdict));
        let Some(run) = &self.run else { return format!("{} {}: {word}", self.app, self.release) };
        let took = std::time::Duration::try_from(run.ended.duration_since(run.began)).unwrap_or_default();
        format!(
            "{} {}: {word}, begun {}, took {}",
            self.app,
            self.release,
            run.began.strftime("%Y-%m-%d %H:%M:%S UTC"),
            duration(took)
        )
    }
}

/// What a record says, line by line.
fn told(record: &Record) -> Vec<String> {
    let by = table::made_by(record);
    let id = record.deployment.as_str();
    let mut lines = beside("made by", &if by.contains(id) { by } else { format!("{by}, {id}") });
    lines.extend(record.group.iter().flat_map(|group| beside("group", group)));
    if !record.revision.is_unknown() {
        lines.extend(beside("bundle", &record.revision.to_string()));
    }
    for (name, image) in &record.images {
        lines.extend(beside("image", &image.repository));
        // Whole: it is what people copy.
        lines.push(format!("{:<8} {}", if image.is_local() { "image" } else { "" }, image.digest));
        lines.extend(record.tags.get(name).iter().flat_map(|tag| beside("", &format!("by tag {tag}"))));
    }
    for (secret, version) in &record.secret_versions {
        lines.extend(beside("secret", &format!("{secret}, version {version}")));
    }
    for secret in &record.kept_secrets {
        lines.extend(beside("secret", &format!("{secret}, as it was kept here: AWS did not give it")));
    }
    let moved: Vec<&ProcessName> = record.moved_schema().collect();
    for task in record.tasks.keys() {
        let schema = if moved.contains(&task) { ": it has moved the schema" } else { "" };
        lines.extend(beside("task", &format!("{task}{schema}")));
    }
    let containers: Vec<&str> = record.containers.values().map(String::as_str).collect();
    if !containers.is_empty() {
        lines.extend(beside("made", &containers.join(", ")));
    }
    lines
}

fn beside(word: &str, text: &str) -> Vec<String> {
    let lines = wrap(&clean(text), WIDTH);
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| format!("{:<8} {line}", if i == 0 { word } else { "" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

    /// The story of a fixture's run, as it is printed.
    fn told_of(journal: &str, record: Option<&str>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("releases/2");
        std::fs::create_dir_all(&folder).unwrap();
        for (from, to) in [(Some(journal), "journal.jsonl"), (record, "record.json")] {
            let Some(from) = from else { continue };
            std::fs::copy(Path::new(FOLDER).join(from), folder.join(to)).unwrap();
        }
        let text = story(&"status-page".parse().unwrap(), dir.path(), ReleaseNumber(2)).unwrap().text();
        assert!(text.lines().all(|line| line.len() <= 80 && line.is_ascii()), "{text}");
        text
    }

    #[test]
    fn a_deployment_is_told_with_where_the_time_went() {
        insta::assert_snapshot!(told_of("journal-v1-deployed.jsonl", Some("record-v1-good.json")), @r"
        status-page r2: good, begun 2026-11-23 10:00:00 UTC, took 36 s
        made by  CodeDeploy d-2
        group    test
        image    123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page
                 sha256:09dbe2c5eacb52c6dbca5a73ff4062a99b9ecf31b5442c308c7d14d6ba107d90
        secret   database, version 11111111-2222-3333-4444-555555555555

          check the host, the registry and t... |#                         |       1 s
          compare with the live release         |  #                       |       1 s
          pull the image                        |   #                      |       1 s
          render the files                      |     #                    |       1 s
          web: create the container             |      #                   |       1 s
          wait for the next hook                |        .                 |       1 s
          check that all is ready for the sw... |         #                |       1 s
          web: keep the live container safe ... |          #               |       1 s
          web: stop the live container          |            #             |       1 s
          web: start the new container          |             #            |       1 s
          web: wait until the new container ... |               #          |       1 s
          web: let a reboot bring the new co... |                 #        |       1 s
          web: keep a reboot from bringing t... |                  #       |       1 s
          web: park the old container           |                    #     |       1 s
          web: give the new container the li... |                     #    |       1 s
          web: check the container on its pu... |                       #  |       1 s
          record the release                    |                        # |       1 s
          # done   . nothing done
        ");
    }

    #[test]
    fn a_refused_one_says_why_and_what_was_taken_back() {
        insta::assert_snapshot!(told_of("journal-v1-reverted.jsonl", Some("record-v1-refused.json")), @r"
        status-page r2: refused, begun 2026-11-23 10:00:00 UTC, took 34 s
        made by  CodeDeploy d-2
        image    123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page
                 sha256:09dbe2c5eacb52c6dbca5a73ff4062a99b9ecf31b5442c308c7d14d6ba107d90
        secret   database, version 11111111-2222-3333-4444-555555555555
        why      container 'status-page-web.r2' is not healthy: it exited with code 1

          check the host, the registry and t... |#                         |       1 s
          compare with the live release         |  #                       |       1 s
          pull the image                        |   #                      |       1 s
          render the files                      |     #                    |       1 s
          web: create the container             |       #                  |       1 s
          check that all is ready for the sw... |        #                 |       1 s
          web: keep the live container safe ... |          #               |       1 s
          web: stop the live container          |           #              |       1 s
          web: start the new container          |             #            |       1 s
          web: wait until the new container ... |              !           |       1 s X
          undo web: wait until the new conta... |               <          |       1 s
          undo web: start the new container     |                !         |       1 s X
          nobody at work                        |                .         |       1 s
          undo web: start the new container     |                 <        |       1 s
          undo web: stop the live container     |                  <       |       1 s
          undo web: keep the live container ... |                   <      |       1 s
          undo check that all is ready for t... |                   <      |       1 s
          undo web: create the container        |                    <     |       1 s
          undo render the files                 |                     <    |       1 s
          undo pull the image                   |                      <   |       1 s
          undo compare with the live release    |                      <   |       1 s
          undo check the host, the registry ... |                       <  |       1 s
          check the release that serves         |                        ! |       1 s X
          # done   ! failed (X) or cut off (?)   < taken back   . nothing done
        ");
    }

    #[test]
    fn without_a_record_the_journal_is_told() {
        insta::assert_snapshot!(told_of("journal-v1-findings.jsonl", None), @r"
        status-page r2: unknown, begun 2026-11-23 10:00:00 UTC, took 5.3 s
        its record is lost
        why      2 findings
                 port 8000 is held by 'python3' (pid 4711); stop it
                 secret 'x' is not a JSON object

          check the host, the registry and t... |      !!!!!               |       1 s X
          undo check the host, the registry ... |           <<<<<          |       1 s
          check the release that serves         |                #####     |       1 s
          # done   ! failed (X) or cut off (?)   < taken back
        ");
        assert!(told_of("journal-v1-abandoned.jsonl", None).contains("its record is lost"));
    }

    #[test]
    fn nothing_is_told_of_what_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let error = story(&"status-page".parse().unwrap(), dir.path(), ReleaseNumber(7)).unwrap_err();
        assert_eq!(error.to_string(), "nothing is known of status-page r7");
    }
}
