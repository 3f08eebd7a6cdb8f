//! The words between the lab and the first process of a set of namespaces: one line of JSON each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Longer than the longest deadline of the first process, so that its own words are what is reported.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the first process is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Answer when everything answers.
    Wait,
    /// Start this service, and answer when it answers.
    Start(String),
    /// Ask this service to end (TERM), and answer when it has.
    Stop(String),
    /// Kill this service, and answer when it is gone.
    Kill(String),
    /// Whether this service runs.
    Runs(String),
}

/// What it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Runs(bool),
    Failed(String),
}

/// Asks and waits for the answer.
pub(crate) fn ask(socket: &Path, ask: &Ask) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(ask)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("no answer from the first process")?;
    match serde_json::from_str(&answer).context("the first process is gone")? {
        Answer::Failed(why) => bail!(why),
        answer => Ok(answer),
    }
}
