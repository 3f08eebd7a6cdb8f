//! The application in the test containers: a small static program that stands in for a whole application, a command for
//! each of its processes and tasks, and that can misbehave.
//!
//! It runs in images without anything else, so it uses nothing of the C library that needs files: names are
//! resolved here. All of it is told by the environment:
//!
//! - `RELEASE`: what it calls itself.
//! - `PORT` (8000): where the web server listens.
//! - `VARIANT`: how it behaves, see [`variant`].
//! - `DATABASE_HOST`, `_PORT`, `_NAME`, `_USER`, `_PASSWORD`: a PostgreSQL with TLS, if it is to use one; without TLS where
//!   `DATABASE_SSLMODE` is `disable`.
//! - `REDIS_URL`: `rediss://:password@host:port/0`, if it is to use one; `redis://` without TLS.
//! - `SCHEMA`: the version of the schema that it needs; `SCHEMA_AT_MOST`: the newest that it knows.
//! - `ONLY_HOST`: the only `Host` to which `/health` answers; 400 to others, as Django does.
//! - `DRAIN_MS` (5000): how long requests may still take after TERM. `TICK_MS` (500): between two ticks of the scheduler.
//!   `MIGRATE_MS` (0): how long a migration takes.
//!
//! Processes: `web` (also without a word), `worker`, `scheduler`. Tasks: `smoke`, `migrate`, `collect DIR`. Gates: `check` asks the
//! application's own port, `migrate --check`, `worker --check`. For tests: `counts` says what became of jobs, schedulers and
//! migrations, `load` is a load client; `hang` does not end, `eat` takes more and more memory; `show FILE` prints a file,
//! `show` what it reads and on what. `serve-postgres` and `serve-redis` start those servers in images of their own.

mod backends;
mod check;
mod collect;
mod counts;
mod identity;
mod jobs;
mod load;
mod migrate;
mod postgres;
mod redis;
mod resolve;
mod routes;
mod scheduler;
mod schema;
mod server;
mod servers;
mod tables;
mod tls;
mod variant;
mod worker;

use std::env;
use std::io::IsTerminal as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["serve" | "web"] => variant::run(),
        ["worker"] => worker::run(),
        ["worker", "--check"] => worker::check(),
        ["scheduler"] => scheduler::run(),
        ["smoke"] => collect::smoke(),
        ["migrate"] => migrate::run(None),
        ["migrate", "--check"] => migrate::check(None),
        ["migrate", "--check", version] | ["migrate", version, "--check"] => migrate::check(Some(version)),
        ["migrate", version] => migrate::run(Some(version)),
        ["collect", folder] => collect::run(folder),
        ["counts"] => counts::run(),
        ["serve-postgres"] => servers::postgres(),
        ["serve-redis"] => servers::redis(),
        ["check"] => check::run("/health"),
        ["check", path] => check::run(path),
        ["exit", code] => return ExitCode::from(code.parse().unwrap_or(1)),
        ["eat"] => variant::eat_memory(),
        ["hang"] => loop {
            std::thread::park();
        },
        ["show"] => show_stdin(),
        ["show", file] => std::fs::File::open(file).map_err(Into::into).and_then(print),
        ["load", options @ ..] => load::run(options),
        _ => Err(anyhow::anyhow!(
            "usage: app [web | worker [--check] | scheduler | smoke | migrate [VERSION] [--check] | collect DIR | counts | \
             check [PATH] | exit CODE | eat | hang | show [FILE] | load URL ... | serve-postgres | serve-redis]"
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
