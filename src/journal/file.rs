//! The journal as a file: one JSON object a line, appended and synced; the first line arrives by rename.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Entry, JournalError, Line};
use crate::fs::{self, Context, FsError};

/// An open journal file, at its end.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    next: u64,
    /// Whether an append has failed: what is at the end of the file is then not known.
    broken: bool,
}

impl Log {
    pub(super) fn create(path: &Path, entry: Entry, at: Timestamp) -> Result<Self, JournalError> {
        crash_point!("journal-before-append");
        fs::write_atomically(path, &line(0, entry, at), 0o600)?;
        crash_point!("journal-after-append");
        Self::resume(path, fs::read_if_there(path)?.map_or(0, |text| text.len() as u64), 1)
    }

    /// Goes on after `whole` bytes; what follows them is a torn line.
    pub(super) fn resume(path: &Path, whole: u64, next: u64) -> Result<Self, JournalError> {
        let mut file = OpenOptions::new().write(true).open(path).on("open", path)?;
        file.set_len(whole).on("cut", path)?;
        file.seek(SeekFrom::End(0)).on("read", path)?;
        Ok(Self { file, path: path.to_owned(), next, broken: false })
    }

    pub(super) fn append(&mut self, entry: Entry, at: Timestamp) -> Result<(), FsError> {
        if self.broken {
            // Another line behind half a line would be damage, and one that was not synced may be lost.
            return Err(std::io::Error::other("an earlier entry could not be written"))
                .on("write", &self.path);
        }
        self.broken = true;
        crash_point!("journal-before-append");
        crash_point!("journal-cannot-append", |_| Err(std::io::Error::from_raw_os_error(28))
            .on("write", &self.path));
        self.file.write_all(&line(self.next, entry, at)).on("write", &self.path)?;
        // The effect that follows must not happen before its line is on the disk.
        self.file.sync_data().on("sync", &self.path)?;
        self.next += 1;
        self.broken = false;
        crash_point!("journal-after-append");
        Ok(())
    }
}

fn line(seq: u64, entry: Entry, at: Timestamp) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&Line { seq, at, entry }).expect("an entry is plain data");
    bytes.push(b'\n');
    bytes
}

/// The lines of a journal, and how many bytes of the text they are. A last line without its newline is torn and left
/// out: the newline is the last byte that is written.
pub(super) fn parse(path: &Path, text: &str) -> Result<(Vec<Line>, u64), JournalError> {
    let whole = text.rfind('\n').map_or(0, |newline| newline + 1);
    let lines = text[..whole]
        .lines()
        .enumerate()
        .map(|(i, text)| {
            let damaged = |why| JournalError::Damaged { path: path.to_owned(), line: i + 1, why };
            let line: Line = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
            if line.seq != i as u64 {
                return Err(damaged(format!("it has number {}, not {i}", line.seq)));
            }
            Ok(line)
        })
        .collect::<Result<_, _>>()?;
    Ok((lines, whole as u64))
}
