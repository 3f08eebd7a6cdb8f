//! One event's scripts.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::agent::{Agent, Version};
use crate::appspec::Script;
use crate::deployment::Deployment;
use crate::process::{self, Limits, Outcome};
use crate::report::{ErrorCode, EventReport, ScriptReport};
use crate::script_log::ScriptLog;

/// Run `scripts` from `archive` in order; the first failure skips the rest (contract 1.4).
pub(crate) fn run(
    agent: &Agent,
    deployment: &Deployment,
    archive: &Path,
    scripts: &[Script],
    report: &mut EventReport,
) -> Result<()> {
    // The log is the current deployment's, even when the hook is the old bundle's (contract 1.2).
    let log = ScriptLog::open(
        agent.version,
        &deployment.id,
        &agent.layout.scripts_log(&deployment.group_id, &deployment.id),
        &agent.layout.deployments_log(),
    )
    .context("opening the logs")?;
    let log = Arc::new(Mutex::new(log));
    lock(&log).header(&format!("LifecycleEvent - {}", report.event));
    for script in scripts {
        if let Err((code, message)) = run_script(agent, deployment, archive, script, &log, report) {
            report.fail(code, message);
            script.location.clone_into(&mut report.script);
            match lock(&log).tail() {
                Some(tail) => report.log = tail,
                // The report itself does not become JSON; what is sent instead has no log (contract 1.5).
                None => "Attempting minimal diagnostics".clone_into(&mut report.message),
            }
            lock(&log).end(&report.event, Some(&report.message));
            return Ok(());
        }
    }
    lock(&log).end(&report.event, None);
    Ok(())
}

fn lock(log: &Mutex<ScriptLog>) -> std::sync::MutexGuard<'_, ScriptLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_script(
    agent: &Agent,
    deployment: &Deployment,
    archive: &Path,
    script: &Script,
    log: &Arc<Mutex<ScriptLog>>,
    report: &mut EventReport,
) -> Result<(), (ErrorCode, String)> {
    let version = agent.version;
    let location = script.location.as_str();
    let header = format!("Script - {location}");
    if version == Version::V2 {
        lock(log).header(&header);
    }
    // No arguments are possible: "bin/x --flag" is the name of a file (contract 1.2).
    let path = archive.join(location.trim_start_matches('/'));
    if !path.exists() {
        let message = format!("Script does not exist at specified location: {}", path.display());
        return Err((ErrorCode::ScriptMissing, message));
    }
    make_executable(&path).map_err(|error| {
        let cause = if version == Version::V2 { format!(": {error}") } else { String::new() };
        let message = format!("Unable to set script at specified location: {location} as executable{cause}");
        (ErrorCode::ScriptNotExecutable, message)
    })?;
    if version == Version::V1 {
        lock(log).header(&header);
    }

    let begun = Instant::now();
    let outcome = start(agent, deployment, &report.event, script, &path, log);
    let mut ran =
        ScriptReport { location: location.to_owned(), exit: None, signal: None, duration_ms: millis(begun) };
    if let Ok(Outcome::Ended(status)) = &outcome {
        (ran.exit, ran.signal) = process::code_and_signal(*status);
    }
    (report.exit, report.signal) = (ran.exit, ran.signal);
    let verdict = judge(version, script, &outcome, &ran);
    report.agent_hung = matches!(outcome, Ok(Outcome::TimedOut { hung: true }));
    report.scripts.push(ran);
    verdict
}

fn judge(
    version: Version,
    script: &Script,
    outcome: &io::Result<Outcome>,
    ran: &ScriptReport,
) -> Result<(), (ErrorCode, String)> {
    let at = format!("Script at specified location: {}", script.location);
    let as_user = script.runas.as_ref().map_or(String::new(), |user| format!(" run as user {user}"));
    let outcome = match outcome {
        Ok(Outcome::NotStarted(error)) | Err(error) => Err(error),
        Ok(outcome) => Ok(outcome),
    };
    match outcome {
        Err(error) => {
            let message = match version {
                Version::V1 => format!("{at}{as_user} failed with error {}", ruby(error)),
                Version::V2 => format!("{at} failed with error {error}"),
            };
            Err((ErrorCode::ScriptFailed, message))
        }
        Ok(Outcome::TimedOut { .. }) => {
            let message = format!("{at} failed to complete in {} seconds", script.timeout.as_secs());
            Err((ErrorCode::ScriptTimedOut, message))
        }
        Ok(Outcome::LeftOpen(stream)) => {
            Err((ErrorCode::OutputsLeftOpen, format!("{at} failed to close {stream}")))
        }
        Ok(Outcome::ReaderDied) => Err((
            ErrorCode::ScriptFailed,
            format!(
                "{at}{as_user} failed with error ArgumentError with message invalid byte sequence in UTF-8"
            ),
        )),
        Ok(Outcome::Ended(_) | Outcome::NotStarted(_)) if ran.exit == Some(0) => Ok(()),
        Ok(Outcome::Ended(_) | Outcome::NotStarted(_)) => {
            // Ended by a signal there is no code: v1 prints nothing, v2 takes 1 (contract 1.4).
            let code = match (ran.exit, version) {
                (Some(code), _) => code.to_string(),
                (None, Version::V1) => String::new(),
                (None, Version::V2) => "1".to_owned(),
            };
            Err((ErrorCode::ScriptFailed, format!("{at}{as_user} failed with exit code {code}")))
        }
    }
}

fn start(
    agent: &Agent,
    deployment: &Deployment,
    event: &str,
    script: &Script,
    path: &Path,
    log: &Arc<Mutex<ScriptLog>>,
) -> io::Result<Outcome> {
    let mut command = command(agent.version, script, path)?;
    command.env_clear().envs(agent.hook_env(deployment, event));
    let cwd = agent.cwd.resolve()?;
    command.current_dir(&cwd.path);
    let limits = Limits { timeout: script.timeout, grace: agent.kill_grace, hang: agent.hang_limit };
    Ok(process::run(agent.version, command, limits, log))
}

/// The command line. v1 hands one string to Ruby's popen3, which gives it to a shell when it sees something only a
/// shell understands and else splits it at white space; v2 starts the file (contract 1.2).
fn command(version: Version, script: &Script, path: &Path) -> io::Result<Command> {
    let file = path.display().to_string();
    let mut words: Vec<&str> = Vec::new();
    if script.sudo {
        words.push("sudo");
    }
    if let Some(user) = &script.runas {
        words.extend(["su", user, "-c"]);
    }
    words.push(&file);
    let line = words.join(" ");
    if version == Version::V1 {
        if line.contains(|c: char| "*?{}[]<>()~&|\\$;'`\"\n#=%".contains(c)) {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &line]);
            return Ok(shell);
        }
        words = line.split_whitespace().collect();
    }
    let direct = words.len() == 1;
    if direct && !has_interpreter(path)? {
        // Neither a program nor "#!": Ruby retries with a shell, posix_spawn does not.
        if version == Version::V2 {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOEXEC.raw_os_error()));
        }
        words.insert(0, "/bin/sh");
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

fn has_interpreter(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut begin)?;
    Ok(begin.starts_with(b"#!") || begin == b"\x7fELF")
}

/// `chmod +x` on the unpacked copy if nobody may execute it (contract 1.2).
fn make_executable(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o111 == 0 {
        fs::set_permissions(path, Permissions::from_mode(mode | 0o111))?;
    }
    Ok(())
}

/// The way Ruby's `SystemCallError` reads, near enough.
fn ruby(error: &io::Error) -> String {
    let class = match error.kind() {
        io::ErrorKind::NotFound => "Errno::ENOENT",
        io::ErrorKind::PermissionDenied => "Errno::EACCES",
        _ => "SystemCallError",
    };
    format!("{class} with message {error}")
}

/// Milliseconds since `begun`.
pub(crate) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
