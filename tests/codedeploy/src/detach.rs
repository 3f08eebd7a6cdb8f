//! An agent has no terminal, so its hooks have none (contract 1.2). A person's shell has one.

use std::env;
use std::fs::File;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, set_parent_process_death_signal, setsid};

/// Set in the copy of us that has to begin a session.
const COPY: &str = "CODEDEPLOY_DETACHED";

/// Leave the terminal, if there is one. A process that leads its group, as a shell's job does, cannot begin a
/// session; then a copy of us does, and its exit code is returned in the original.
pub(crate) fn from_terminal() -> Option<ExitCode> {
    let copied = env::var_os(COPY).is_some();
    if copied {
        // Ctrl-C ends the original, and this with it: to the hooks that is a crash of the agent.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    File::open("/dev/tty").ok()?;
    if setsid().is_ok() || copied {
        return None;
    }
    let status = Command::new(env::current_exe().ok()?).args(env::args_os().skip(1)).env(COPY, "1").status();
    match status {
        Ok(status) => Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()),
        Err(error) => {
            eprintln!("codedeploy: cannot leave the terminal: {error}");
            None
        }
    }
}
