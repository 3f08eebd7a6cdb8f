//! The thread that reads one of a hook's pipes.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::agent::Version;
use crate::script_log::{InvalidByte, ScriptLog};

/// v2 cuts what has no newline into pieces of this size (contract 0).
const CHUNK: usize = 64 * 1024;

/// How reading ended by itself.
#[derive(Debug)]
pub(crate) enum End {
    Eof,
    InvalidByte,
}

/// A running reader.
pub(crate) struct Reader {
    pub(crate) end: Receiver<End>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Read `pipe` line by line into `log` until its end, or until the writing end of `cancel` is closed.
    pub(crate) fn start<P>(
        version: Version,
        prefix: &'static str,
        pipe: P,
        cancel: PipeReader,
        log: Arc<Mutex<ScriptLog>>,
    ) -> Self
    where
        P: Read + AsFd + Send + 'static,
    {
        let (sender, end) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut lines = Lines { version, prefix, partial: Vec::new(), log };
            let mut pipe = pipe;
            if let Some(end) = read_to_end(version, &mut pipe, &cancel, &mut lines) {
                let dead = matches!(end, End::InvalidByte);
                let _ = sender.send(end);
                if dead {
                    // v1's exception ends the thread, not the pipe: it stays open and unread, so a hook with more
                    // to say than a pipe holds blocks.
                    let _ = wait_for(&mut [PollFd::new(&cancel, PollFlags::IN)]);
                }
            }
        });
        Self { end, thread }
    }

    /// After a cancel: the pipe is closed when this returns.
    pub(crate) fn join(self) {
        let _ = self.thread.join();
    }
}

fn read_to_end<P: Read + AsFd>(
    version: Version,
    pipe: &mut P,
    cancel: &PipeReader,
    lines: &mut Lines,
) -> Option<End> {
    let mut buffer = [0; 8192];
    loop {
        let (readable, cancelled) = {
            let mut fds = [PollFd::new(&*pipe, PollFlags::IN), PollFd::new(cancel, PollFlags::IN)];
            wait_for(&mut fds).ok()?;
            (!fds[0].revents().is_empty(), !fds[1].revents().is_empty())
        };
        // v1 closes the pipe under the reader; v2 has read what was there when it gives up.
        if cancelled && (version == Version::V1 || !readable) {
            return None;
        }
        match pipe.read(&mut buffer) {
            Ok(0) | Err(_) => return Some(lines.finish()),
            Ok(count) => {
                if lines.feed(&buffer[..count]).is_err() {
                    return Some(End::InvalidByte);
                }
            }
        }
        if cancelled {
            return None;
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>]) -> Result<(), Errno> {
    loop {
        match poll(fds, None) {
            Err(Errno::INTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

/// Cuts a stream into the lines that each agent sees.
struct Lines {
    version: Version,
    prefix: &'static str,
    partial: Vec<u8>,
    log: Arc<Mutex<ScriptLog>>,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), InvalidByte> {
        while !bytes.is_empty() {
            let room = match self.version {
                Version::V1 => bytes.len(),
                Version::V2 => bytes.len().min(CHUNK - self.partial.len()),
            };
            let newline = bytes[..room].iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(room, |at| at + 1);
            self.partial.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if newline.is_some() || (self.version == Version::V2 && self.partial.len() == CHUNK) {
                self.emit()?;
            }
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<(), InvalidByte> {
        let mut line = std::mem::take(&mut self.partial);
        if self.version == Version::V2 && line.last() == Some(&b'\n') {
            line.pop();
        }
        // Neither agent has an entry for nothing; v1's empty line still has its newline.
        if line.is_empty() {
            return Ok(());
        }
        self.log.lock().unwrap_or_else(PoisonError::into_inner).line(self.prefix, &line)
    }

    fn finish(&mut self) -> End {
        match self.emit() {
            Ok(()) => End::Eof,
            Err(InvalidByte) => End::InvalidByte,
        }
    }
}
