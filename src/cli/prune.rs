//! `handover prune`.

use super::apps;
use crate::deploy::retention::{Pruned, Wanted};
use crate::deploy::{DeployError, Foreign, prune, prune_foreign};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::journal::LockError;
use crate::model::{AppName, Bytes, TimeSpan};
use crate::printer::Printer;
use crate::text::chain;

/// `handover prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Also give up ways back, the oldest first, until so much is free where Docker keeps its images, such as 5g; never what is live
    #[arg(long, value_name = "AMOUNT", value_parser = amount, conflicts_with_all = ["dry_run", "foreign"])]
    min_free: Option<Bytes>,
    /// Instead of releases, images that handover has nothing to do with: on a machine that builds them
    #[arg(long, requires_all = ["repository", "older_than"], conflicts_with = "app")]
    foreign: bool,
    /// Of this repository, as 'docker image ls' writes it
    #[arg(long, requires = "foreign")]
    repository: Option<String>,
    /// That were built, pulled or tagged longer ago, such as 3h
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "foreign")]
    older_than: Option<TimeSpan>,
}

fn amount(text: &str) -> Result<Bytes, String> {
    Bytes::try_from(text.to_owned())
}

fn span(text: &str) -> Result<TimeSpan, String> {
    TimeSpan::try_from(text.to_owned())
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let host = match Host::of_the_system() {
        Ok(host) => host,
        Err(error) => {
            super::explain(&printer, &error);
            return ExitStatus::Failed;
        }
    };
    crate::logging::start(&host.paths.log);
    let Args { dry_run, min_free, .. } = args;
    if let (Some(repository), Some(older_than)) = (args.repository, args.older_than) {
        return foreign(&Foreign { repository, older_than: older_than.0, dry_run }, &host, &printer).await;
    }
    let wanted = Wanted { dry_run, min_free: min_free.and_then(|bytes| u64::try_from(bytes.0).ok()) };
    let apps = match apps::named_or_all(&host.paths, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => {
            printer.line(&format!("handover: {error}"));
            return ExitStatus::Usage;
        }
    };
    let mut worst = ExitStatus::Done;
    for app in apps {
        worst = worst.worse(prune_one(&app, &host, &printer, wanted, false).await);
    }
    worst
}

/// Prunes an app. Silent, it says only what it did, and what went wrong.
pub(super) async fn prune_one(
    app: &AppName,
    host: &Host,
    printer: &Printer,
    wanted: Wanted,
    silent: bool,
) -> ExitStatus {
    match prune(app, host, wanted).await {
        Ok(None) => {
            if !silent {
                printer.line(&format!("handover: {app}: a deployment is not over: it prunes when it is"));
            }
            ExitStatus::Done
        }
        Ok(Some(pruned)) => {
            say(&pruned, &format!("{app}: "), wanted.dry_run, printer);
            if !silent && pruned.removed.is_empty() && pruned.warnings.is_empty() {
                printer.line(&format!("handover: {app}: nothing to remove"));
            }
            if let Some((what, next)) = apps::down(host, app).await {
                printer.line(&format!("handover: {what}"));
                printer.line(&format!("next:  {next}"));
                return ExitStatus::Down;
            }
            if pruned.warnings.is_empty() { ExitStatus::Done } else { ExitStatus::Failed }
        }
        Err(DeployError::Lock(LockError::Busy(_))) if silent => ExitStatus::Busy,
        Err(error) => failed(&error, &format!("{app}: "), printer),
    }
}

async fn foreign(wanted: &Foreign, host: &Host, printer: &Printer) -> ExitStatus {
    match prune_foreign(wanted, host).await {
        Ok(pruned) => {
            say(&pruned, "", wanted.dry_run, printer);
            if pruned.removed.is_empty() && pruned.warnings.is_empty() {
                printer.line(&format!("handover: nothing of '{}' is to be removed", wanted.repository));
            }
            if pruned.warnings.is_empty() { ExitStatus::Done } else { ExitStatus::Failed }
        }
        Err(error) => failed(&error, "", printer),
    }
}

fn say(pruned: &Pruned, of: &str, dry_run: bool, printer: &Printer) {
    let did = if dry_run { "would remove" } else { "removed" };
    for gone in &pruned.removed {
        printer.data(&format!("{of}{did} {gone}"));
    }
    for warning in pruned.kept.iter().chain(&pruned.warnings) {
        printer.line(&format!("note:  {warning}"));
    }
}

fn failed(error: &DeployError, of: &str, printer: &Printer) -> ExitStatus {
    printer.line(&format!("handover: {of}{}", chain(error)));
    let busy = matches!(error, DeployError::Lock(LockError::Busy(_)));
    if busy { ExitStatus::Busy } else { ExitStatus::Failed }
}
