//! The `codedeploy` command: an agent on one host, for tests, the demo and people.

mod cli;
mod detach;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if let Some(code) = detach::from_terminal() {
        return code;
    }
    cli.run().unwrap_or_else(|error| {
        eprintln!("codedeploy: {error:#}");
        ExitCode::from(2)
    })
}
