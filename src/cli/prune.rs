//! `handover prune`.

use super::apps;
use crate::deploy::{DeployError, prune};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::journal::LockError;
use crate::model::AppName;
use crate::printer::Printer;
use crate::text::chain;

/// `handover prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
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
    let apps = match apps::named_or_all(&host.paths, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => {
            printer.line(&format!("handover: {error}"));
            return ExitStatus::Usage;
        }
    };
    let mut worst = ExitStatus::Done;
    for app in apps {
        worst = worst.worse(prune_one(&app, &host, &printer, false).await);
    }
    worst
}

/// Prunes an app. Silent, it says only what it did, and what went wrong.
pub(super) async fn prune_one(app: &AppName, host: &Host, printer: &Printer, silent: bool) -> ExitStatus {
    match prune(app, host).await {
        Ok(None) => {
            if !silent {
                printer.line(&format!("handover: {app}: a deployment is not over: it prunes when it is"));
            }
            ExitStatus::Done
        }
        Ok(Some(pruned)) => {
            for gone in &pruned.removed {
                printer.data(&format!("{app}: removed {gone}"));
            }
            for warning in pruned.kept.iter().chain(&pruned.warnings) {
                printer.line(&format!("note:  {warning}"));
            }
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
        Err(error) => {
            printer.line(&format!("handover: {app}: {}", chain(&error)));
            let busy = matches!(error, DeployError::Lock(LockError::Busy(_)));
            if busy { ExitStatus::Busy } else { ExitStatus::Failed }
        }
    }
}
