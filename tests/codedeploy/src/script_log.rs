//! What becomes of a hook's output: the tail, `logs/scripts.log` and the log over all deployments.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;

use crate::agent::Version;
use crate::tail::Tail;

/// One event's log. Both reader threads write to it, under a lock.
#[derive(Debug)]
pub(crate) struct ScriptLog {
    version: Version,
    deployment_id: String,
    tail: Tail,
    scripts_log: File,
    deployments_log: File,
    /// v2 copies an event's lines to the log over all deployments at its end, and only those of a success.
    mirrored: String,
}

/// v1's thread died of an invalid byte (contract 1.5).
#[derive(Debug)]
pub(crate) struct InvalidByte;

impl ScriptLog {
    pub(crate) fn open(
        version: Version,
        deployment_id: &str,
        scripts_log: &Path,
        deployments_log: &Path,
    ) -> io::Result<Self> {
        Ok(Self {
            version,
            deployment_id: deployment_id.to_owned(),
            tail: Tail::new(version),
            scripts_log: open_readable(scripts_log)?,
            deployments_log: open_readable(deployments_log)?,
            mirrored: String::new(),
        })
    }

    /// A line of the agent's own: "`LifecycleEvent` - X", "Script - Y".
    pub(crate) fn header(&mut self, text: &str) {
        let line = match self.version {
            Version::V1 => format!("{text}\n"),
            Version::V2 => text.to_owned(),
        };
        // The agent's own text is always valid.
        let _ = self.line("", line.as_bytes());
    }

    /// A line of a hook: with its newline, if it has one, in v1; without it in v2.
    pub(crate) fn line(&mut self, prefix: &str, raw: &[u8]) -> Result<(), InvalidByte> {
        match self.version {
            Version::V1 => {
                let message = [prefix.as_bytes(), raw].concat();
                self.tail.push(message.clone());
                let dated = [format!("{} ", now()).as_bytes(), &message].concat();
                let _ = self.scripts_log.write_all(&dated);
                // Last of all it strips the line for the log over all deployments: here an exception ends the
                // thread, with the tail already written.
                let stripped = strip(&message).ok_or(InvalidByte)?;
                let text =
                    [format!("[{}] [{}]", now(), self.deployment_id).as_bytes(), stripped, b"\n"].concat();
                let _ = self.deployments_log.write_all(&text);
            }
            Version::V2 => {
                let text = without_ansi(&String::from_utf8_lossy(raw));
                // 20 bytes of time in front of the prefix; they count for the tail (contract 1.3).
                let entry = format!("{} {prefix}{text}\n", now());
                let _ = self.scripts_log.write_all(entry.as_bytes());
                self.mirrored.push_str(&entry);
                self.tail.push(entry.into_bytes());
            }
        }
        Ok(())
    }

    /// v2's end of an event; `failure` is its message.
    pub(crate) fn end(&mut self, event: &str, failure: Option<&str>) {
        if self.version == Version::V1 {
            return;
        }
        let mut text = String::new();
        match failure {
            None => text.push_str(&self.mirrored),
            Some(message) => {
                let _ = writeln!(text, "LifecycleEvent - {event}\n{event}/{event} failed: {message}");
            }
        }
        let _ = self.deployments_log.write_all(text.as_bytes());
    }

    /// The tail for the service; none if it cannot be sent.
    pub(crate) fn tail(&self) -> Option<String> {
        self.tail.text()
    }
}

/// World-readable, whatever our umask is (contract 1.2).
fn open_readable(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o644).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Ruby's `String#strip` on what claims to be UTF-8: from the end it steps over white space to the last character
/// and raises if that is none. An invalid byte elsewhere is never looked at (contract 1.5).
fn strip(message: &[u8]) -> Option<&[u8]> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(*byte, 0x0b | 0);
    let Some(last) = message.iter().rposition(|byte| !blank(byte)) else { return Some(&[]) };
    // Back over continuation bytes to where a character could begin.
    let head = message[..=last].iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    let character = message[head..].utf8_chunks().next()?;
    (!character.valid().is_empty()).then(|| &message[..=last])
}

/// Without terminal escapes: CSI sequences whole, of others the introducer.
fn without_ansi(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if chars.next_if_eq(&'[').is_some() {
            chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_invalid_byte_at_the_end_of_a_line_raises() {
        assert_eq!(strip(b"[stdout]plain\n"), Some(&b"[stdout]plain"[..]));
        assert_eq!(strip("[stdout]caf\u{e9} \n".as_bytes()), Some("[stdout]caf\u{e9}".as_bytes()));
        assert_eq!(strip(b"[stdout]a\xffb\n"), Some(&b"[stdout]a\xffb"[..]), "elsewhere it is tolerated");
        assert_eq!(strip(b"[stdout]a\xff\n"), None);
        assert_eq!(strip(b"[stdout]a\xff  \n"), None);
        assert_eq!(strip(b"[stdout]a\xff"), None, "without a newline");
        assert_eq!(strip(b"[stdout]a\xe2\x82\n"), None, "a character cut in two");
    }

    #[test]
    fn escapes_go() {
        assert_eq!(without_ansi("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2Kdone"), "red done");
    }
}
