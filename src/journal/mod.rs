//! The journal: an intent log for recovery, not a debug log.
//!
//! Every change to the host is written down before it is made, together with its inverse; the line is on the disk
//! before the effect happens. So whatever is cut off where, the next process knows all that may have been done, and how
//! to undo it. [`Journal::begin`] is the only way to get a [`Begun`], which the driver needs in order to act: "begin a
//! step" and "write it down" are one call.

mod entry;
mod facts;
mod file;
mod history;
mod phases;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use crate::lock::{Holder, Lock, LockError, Who};
pub use entry::{Ended, Entry, FORMAT, Header, Inverse, Line, Planned, PlannedItem, Returned, Rollback};
pub use facts::{Fact, Facts, LiveContainer, TaskEnd, TaskRun};
pub use history::{BegunStep, Direction, History, Illegal, StepState};
pub use phases::PhaseTime;

use crate::fs::{self, FsError};
use crate::model::{Explain, Failure, ReleaseNumber};
use file::Log;

/// Why the journal cannot be used. The state of the host is then unknown, so nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// A line, other than a torn last one, is not one of ours.
    #[error("line {line} of the journal '{}' is damaged: {why}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A line contradicts those before it.
    #[error("line {line} of the journal '{}' cannot follow the lines before it", path.display())]
    Illegal {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What it would have had to be.
        source: Illegal,
    },
    /// What this process wanted to write contradicts what is written.
    #[error("the journal refuses an entry")]
    Refused(#[from] Illegal),
}

impl Explain for JournalError {
    fn fix(&self) -> Option<String> {
        match self {
            Self::File(error) => error.fix(),
            _ => None,
        }
    }
}

/// Proof that a step was written down. Finishing it takes the proof.
#[derive(Debug)]
#[must_use = "a step that was begun is finished, or failed"]
pub struct Begun(String);

/// The record of the run in progress, or of the last one.
#[derive(Debug)]
pub struct Journal {
    log: Log,
    history: History,
    path: PathBuf,
}

impl Journal {
    /// Where the journal of a release is: with it, so that its story stays as long as it does.
    pub fn path(releases: &Path, release: ReleaseNumber) -> PathBuf {
        releases.join(release.0.to_string()).join("journal.jsonl")
    }

    /// The journal of the last run: that of the highest release that has one.
    pub fn last(releases: &Path) -> Result<Option<PathBuf>, JournalError> {
        let numbers = fs::numbered_folders(releases)?.into_iter().rev().map(ReleaseNumber);
        Ok(numbers.map(|release| Self::path(releases, release)).find(|path| path.exists()))
    }

    /// Reads the journal of the last run, if there is one. Writing needs the lock, reading does not.
    pub fn read(releases: &Path) -> Result<Option<History>, JournalError> {
        let Some(path) = Self::last(releases)? else { return Ok(None) };
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        let (lines, _) = file::parse(&path, &text)?;
        replay(&path, lines).map(Some)
    }

    /// Reads the journal of a release in a folder that holds releases: its lines, and what they amount to.
    pub fn story(
        releases: &Path,
        release: ReleaseNumber,
    ) -> Result<Option<(Vec<Line>, History)>, JournalError> {
        let path = Self::path(releases, release);
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        let (lines, _) = file::parse(&path, &text)?;
        let history = replay(&path, lines.clone())?;
        Ok(Some((lines, history)))
    }

    /// Opens the journal of the last run, to go on with it. A torn last line is cut off: it was never on the disk as far
    /// as anyone acted on it.
    pub fn open(_lock: &Lock, releases: &Path) -> Result<Option<Self>, JournalError> {
        let Some(path) = Self::last(releases)? else { return Ok(None) };
        let Some(text) = fs::read_if_there(&path)? else { return Ok(None) };
        let (lines, whole) = file::parse(&path, &text)?;
        let next = lines.len() as u64;
        let history = replay(&path, lines)?;
        Ok(Some(Self { log: Log::resume(&path, whole, next)?, history, path }))
    }

    /// Begins the journal of a release, whose folder is there.
    pub fn create(_lock: &Lock, releases: &Path, header: Header) -> Result<Self, JournalError> {
        let path = Self::path(releases, header.release);
        let entry = Entry::Opened(Box::new(header));
        let mut history = History::default();
        let at = Timestamp::now();
        history.record(&entry, at)?;
        Ok(Self { log: Log::create(&path, entry, at)?, history, path })
    }

    /// What has been done so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the run is about.
    pub fn header(&self) -> &Header {
        self.history.header().expect("a journal begins with its header: it is created so, and read so")
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// Writes down that a step is about to be made, and how to take it back. A step that was begun before, by a process
    /// that did not get to its end, keeps the inverse it was first given: what is there now may be its own doing.
    pub fn begin(&mut self, step: &str, inverse: Vec<Inverse>) -> Result<Begun, JournalError> {
        let inverse = self.history.step(step).map_or(inverse, |begun| begun.inverse.clone());
        self.append(Entry::Began { step: step.to_owned(), inverse })?;
        crash_point!(&format!("began-{}", step.replace(' ', "-")));
        Ok(Begun(step.to_owned()))
    }

    /// Writes down that a step is done, and what was learnt.
    pub fn finish(&mut self, begun: Begun, facts: Vec<Fact>) -> Result<(), JournalError> {
        self.append(Entry::Done { step: begun.0, facts })
    }

    /// Writes down that a step failed.
    pub fn fail(&mut self, begun: Begun, failure: Failure) -> Result<(), JournalError> {
        self.append(Entry::Failed { step: begun.0, failure })
    }

    /// Writes down anything that is not a step.
    pub fn note(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.append(entry)
    }

    fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        // Checked before it is written: an illegal entry is a bug of ours and must not reach the disk.
        let (mut after, at) = (self.history.clone(), Timestamp::now());
        after.record(&entry, at)?;
        self.log.append(entry, at)?;
        self.history = after;
        Ok(())
    }
}

fn replay(path: &Path, lines: Vec<Line>) -> Result<History, JournalError> {
    let mut history = History::default();
    for (i, line) in lines.iter().enumerate() {
        history.record(&line.entry, line.at).map_err(|source| JournalError::Illegal {
            path: path.to_owned(),
            line: i + 1,
            source,
        })?;
    }
    if history.header().is_none() {
        let why = "the file is empty".to_owned();
        return Err(JournalError::Damaged { path: path.to_owned(), line: 1, why });
    }
    Ok(history)
}

#[cfg(test)]
mod tests;
