//! The command line: one file per command; each translates, and does nothing itself.
#![expect(clippy::doc_markdown, reason = "help texts are plain text")]

mod apps;
mod bundle;
mod check_inside;
mod deploy;
mod ending;
mod history;
mod hook;
mod install;
mod lint;
mod one_off;
mod pin;
mod plan;
mod prune;
mod recover;
mod refresh;
mod releases;
mod rollback;
mod status;
mod tend;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::codedeploy::invocation::EVENT_VARIABLE;
use crate::exit::ExitStatus;

/// Hands an EC2 instance's traffic from the old containers to the new ones.
///
/// CodeDeploy runs it as a lifecycle hook: without arguments; LIFECYCLE_EVENT says which hook. Operators run its commands by hand.
#[derive(Debug, Parser)]
#[command(name = "handover", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do what CodeDeploy's lifecycle event asks for (the same as no arguments and LIFECYCLE_EVENT set)
    Hook(hook::Args),
    /// Deploy a bundle, or the last good configuration, in one go
    Deploy(deploy::Args),
    /// Check a bundle without AWS and Docker, for every deployment group
    Lint(lint::Args),
    /// Write down what the tags of a bundle mean now, so that it means the same wherever it is deployed: for CI
    Pin(pin::Args),
    /// Show what a deployment would change
    Plan(plan::Args),
    /// Show what is serving, what is parked and what is under way
    Status(status::Args),
    /// Show the releases that were deployed here, or the story of one of them
    History(history::Args),
    /// Show what can be gone back to, and what stands in the way of each
    Releases(releases::Args),
    /// Go back to an earlier release, as it was: also while AWS and the registry do not answer
    Rollback(rollback::Args),
    /// Hand over to the secrets of now, if one has changed since live was given it
    Refresh(refresh::Args),
    /// Run a command in a container of its own, with a release's image, environment and files
    Run(one_off::Args),
    /// Finish or undo an interrupted run
    Recover(recover::Args),
    /// Remove the releases that are not kept any more
    Prune(prune::Args),
    /// End abandoned runs, refresh changed secrets and prune: what systemd's timer calls
    Tend,
    /// Put this binary where operators and systemd find it
    Install(install::Args),
    /// Make the checks on stdin from inside a container: what a deployment starts there
    #[command(name = crate::deploy::checks::COMMAND, hide = true)]
    CheckInside,
}

/// Whether this is `CodeDeploy`'s call: no arguments, and an event.
fn is_hook(arguments: &[OsString]) -> bool {
    arguments.len() <= 1 && std::env::var_os(EVENT_VARIABLE).is_some()
}

/// Says what is wrong, and what to do about it.
fn explain(printer: &crate::printer::Printer, error: &impl crate::model::Explain) {
    printer.line(&format!("handover: {}", crate::text::causes(error)));
    if let Some(fix) = error.fix() {
        printer.line(&format!("fix:   {fix}"));
    }
}

/// The calls that end before there is even a runtime: the hooks of the old bundle must not fail, whatever is broken.
pub fn run_at_once(arguments: &[OsString]) -> Option<ExitStatus> {
    let event = std::env::var(EVENT_VARIABLE).ok();
    hook::at_once(event.as_deref().filter(|_| is_hook(arguments)))
}

/// Runs the command line.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    if is_hook(&arguments) {
        return hook::run(hook::Args { event: None }).await.into();
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done };
            // A closed pipe is no error.
            let _ = error.print();
            return status.into();
        }
    };
    let status = match cli.command {
        // Ends as the command in the container does.
        Command::Run(args) => return one_off::run(args).await,
        Command::Hook(args) => hook::run(args).await,
        Command::Deploy(args) => deploy::run(args).await,
        Command::Lint(args) => lint::run(args),
        Command::Pin(args) => pin::run(args).await,
        Command::Plan(args) => plan::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Releases(args) => releases::run(args).await,
        Command::Rollback(args) => rollback::run(args).await,
        Command::Refresh(args) => refresh::run(args).await,
        Command::Recover(args) => recover::run(args).await,
        Command::Prune(args) => prune::run(args).await,
        Command::Tend => tend::run().await,
        Command::Install(args) => install::run(args).await,
        Command::CheckInside => check_inside::run().await,
    };
    status.into()
}
