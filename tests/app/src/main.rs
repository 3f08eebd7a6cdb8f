//! The application in the test containers: a small static program that answers who it is, and that can misbehave.
//!
//! It runs in images without anything else, so it uses nothing of the C library that needs files: names are
//! resolved here. All of it is told by the environment:
//!
//! - `RELEASE`: what it calls itself.
//! - `PORT` (8000): where it listens.
//! - `VARIANT`: how it behaves, see [`variant`].
//! - `DATABASE_HOST`, `_PORT`, `_NAME`, `_USER`, `_PASSWORD`: a PostgreSQL with TLS, if it is to use one.
//! - `REDIS_URL`: `rediss://:password@host:port/0`, if it is to use one.
//! - `ONLY_HOST`: the only `Host` to which `/health` answers; 400 to others, as Django does.
//! - `DRAIN_MS` (5000): how long requests may still take after TERM.
//!
//! `app check` asks the application's own port, `app migrate` is a deployment's task, `app load` a load client; `app hang` is a health
//! command that does not end, `app eat` takes more and more memory; `app show FILE` prints a file, `app show` what it reads and on what.

mod backends;
mod check;
mod load;
mod postgres;
mod redis;
mod resolve;
mod server;
mod tls;
mod variant;

use std::env;
use std::io::IsTerminal as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["serve"] => variant::run(),
        ["check"] => check::run("/health"),
        ["check", path] => check::run(path),
        ["exit", code] => return ExitCode::from(code.parse().unwrap_or(1)),
        ["eat"] => variant::eat_memory(),
        ["hang"] => loop {
            std::thread::park();
        },
        ["show"] => show_stdin(),
        ["show", file] => std::fs::File::open(file).map_err(Into::into).and_then(print),
        ["migrate"] => backends::migrate(),
        ["load", options @ ..] => load::run(options),
        _ => Err(anyhow::anyhow!(
            "usage: app [serve | check [PATH] | exit CODE | eat | hang | show [FILE] | migrate | load URL ...]"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("app: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show_stdin() -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    eprintln!("{}", if stdin.is_terminal() { "a terminal" } else { "no terminal" });
    print(stdin.lock())
}

fn print(mut from: impl std::io::Read) -> anyhow::Result<()> {
    std::io::copy(&mut from, &mut std::io::stdout())?;
    Ok(())
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
