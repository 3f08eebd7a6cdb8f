//! Programs of the machine, run to their end.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::text::{clean, duration};

/// Why a program was of no use.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// There is none of this name.
    #[error("{program} is not installed here")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be run.
    #[error("failed to run '{call}': {source}")]
    NotRun {
        /// The program and its arguments.
        call: String,
        /// Why.
        source: io::Error,
    },
    /// It did not come to its end.
    #[error("'{call}' did not end within {}", duration(*.limit))]
    TooLong {
        /// The program and its arguments.
        call: String,
        /// How long it had.
        limit: Duration,
    },
    /// It says that it failed.
    #[error("'{call}' failed ({status}): {said}")]
    Failed {
        /// The program and its arguments.
        call: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed as errors.
        said: String,
    },
}

/// Runs a program with this input, and returns what it printed. After `limit` it is killed. It gets none of our streams: a
/// hook is over when its streams are closed, not when it exits. `call` is what people read of it.
pub(super) async fn run(
    mut command: Command,
    call: &str,
    input: &str,
    limit: Duration,
) -> Result<String, ChildError> {
    let call = call.to_owned();
    let not_run = |source| ChildError::NotRun { call: call.clone(), source };
    // Files, because a pipe that is full would wait for us.
    let streams = || Ok((with(input)?, tempfile::tempfile()?, tempfile::tempfile()?));
    let (stdin, mut stdout, mut stderr) = streams().map_err(not_run)?;
    let spawned = (|| {
        command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        command.spawn()
    })();
    let mut child = match spawned {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ChildError::Missing {
                program: command.get_program().to_string_lossy().into_owned(),
            });
        }
        child => child.map_err(not_run)?,
    };
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().map_err(not_run)? {
            Some(status) => break status,
            None if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(2)).await,
            None => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(ChildError::TooLong { call, limit });
            }
        }
    };
    let said = |stream: &mut std::fs::File| {
        let mut bytes = Vec::new();
        stream.rewind().and_then(|()| stream.read_to_end(&mut bytes)).map_err(not_run)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    if status.success() {
        return said(&mut stdout);
    }
    let said = clean(&said(&mut stderr)?);
    Err(ChildError::Failed { call, status, said })
}

/// What reads this text from its beginning.
fn with(text: &str) -> io::Result<Stdio> {
    if text.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn what_it_reads_and_prints_may_be_more_than_a_pipe_holds() {
        let input = "x".repeat(1 << 20);
        assert_eq!(run(shell("cat"), "cat", &input, LIMIT).await.unwrap(), input);
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_words() {
        let error = run(shell("echo why >&2; exit 3"), "sh", "", LIMIT).await.unwrap_err().to_string();
        assert_eq!(error, "'sh' failed (exit status: 3): why");
        let error = run(Command::new("no-such-program"), "none", "", LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed here");
        let error =
            run(shell("read forever < /dev/zero"), "sh", "", Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(error, ChildError::TooLong { .. }), "{error}");
    }
}
