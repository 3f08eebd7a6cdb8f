//! `[task.NAME]`, checked: a command that runs once in a deployment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use super::time_span::{LONGEST, time_span_in};
use super::workload::Workload;
use crate::model::{Check, CheckName, Needed, ProcessName};
use crate::suggest::nearest;

/// A command that runs once in a deployment, before the switch, and ends.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// What it runs and is made of.
    #[serde(flatten)]
    pub workload: Workload,
    /// A command that succeeds where there is nothing for the task to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unless: Option<Vec<String>>,
    /// The check through whose connection a lock is taken, so that one instance of a fleet runs it at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<CheckName>,
    /// Whether it changes the schema of a database, so that the way back to an earlier release is not only a matter of
    /// containers.
    pub schema: bool,
    /// How long it may take.
    pub timeout: Duration,
}

/// Long enough for most migrations, and short enough that somebody still waits.
const TIMEOUT: Duration = Duration::from_mins(10);

pub(super) fn resolve_task(
    task: file::Task,
    workload: Workload,
    name: &Spanned<ProcessName>,
    checks: &BTreeMap<CheckName, Check>,
) -> Result<Task, Mistake> {
    if workload.command.is_none() && workload.options.entrypoint.is_none() {
        return Err(Mistake::at(name.span(), format!("task '{}' has no command", name.get_ref()))
            .help("add command = [\"...\"]: the image's own command is that of a process"));
    }
    if let Some(unless) = task.unless.as_ref().filter(|unless| unless.get_ref().is_empty()) {
        return Err(Mistake::at(unless.span(), "the command is empty").help("leave 'unless' out"));
    }
    Ok(Task {
        workload,
        unless: task.unless.map(Spanned::into_inner),
        exclusive: task.exclusive.map(|written| exclusive(&written, checks)).transpose()?,
        schema: task.schema,
        timeout: time_span_in(task.timeout, Duration::from_secs(1)..=LONGEST, TIMEOUT)?,
    })
}

/// `check.NAME`, of a database whose connection can hold a lock.
fn exclusive(written: &Spanned<String>, checks: &BTreeMap<CheckName, Check>) -> Result<CheckName, Mistake> {
    let text = written.get_ref();
    let wrong = |what: String| Mistake::at(written.span(), what);
    let names: Vec<String> = checks.keys().map(|name| format!("check.{name}")).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let found =
        text.strip_prefix("check.").and_then(|name| checks.iter().find(|(known, _)| known.as_str() == name));
    match found {
        Some((name, Check { needed: Needed::Postgres(_), .. })) => Ok(name.clone()),
        Some(_) => Err(wrong(format!("'{text}' is of no PostgreSQL database, and only that has such a lock"))
            .help("name a check with 'postgres'")),
        None if known.is_empty() => Err(wrong(format!("there is no '{text}'"))
            .help("add a table [check.database] with postgres = { secret = \"NAME\" }, and write \"check.database\"")),
        None => Err(wrong(format!("there is no '{text}'")).help(nearest(text, &known))),
    }
}
