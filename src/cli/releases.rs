//! `handover releases`.

use super::apps;
use crate::deploy::rollback::standing::{self, standings};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::model::AppName;
use crate::printer::Printer;
use crate::state::Blocked;

/// `handover releases`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Print JSON, one object per app in an array; its format is versioned
    #[arg(long)]
    json: bool,
    /// Release a digest that 'handover rollback --block-digest' has blocked; its first digits are enough
    #[arg(long, value_name = "DIGEST", conflicts_with = "json")]
    unblock: Option<String>,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let (printer, paths) = (Printer::new(false), Paths::of_the_system());
    let usage = |error: &str| {
        printer.line(&format!("handover: {error}"));
        ExitStatus::Usage
    };
    if let Some(digest) = &args.unblock {
        return match apps::the_one(&paths, args.app.as_deref()) {
            Ok(app) => unblock(&app, &paths, digest, &printer),
            Err(error) => usage(&error),
        };
    }
    let apps = match apps::named_or_all(&paths, args.app.as_deref()) {
        Ok(apps) => apps,
        Err(error) => return usage(&error),
    };
    let mut all = vec![];
    for app in apps {
        let found = match Host::of_the_system() {
            Ok(host) => standings(&app, &host).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => all.push(found),
            Err(error) => {
                super::explain(&printer, &error);
                return ExitStatus::Failed;
            }
        }
    }
    if args.json {
        printer.data(&serde_json::to_string_pretty(&all).unwrap_or_default());
    } else {
        printer.data(&standing::text(&all));
    }
    ExitStatus::Done
}

fn unblock(app: &AppName, paths: &Paths, digest: &str, printer: &Printer) -> ExitStatus {
    match Blocked::of(&paths.app(app)).release(digest) {
        Ok(meant) => match meant.as_slice() {
            [only] => {
                printer.line(&format!("handover: {app}: digest {} may be deployed again", only.short()));
                ExitStatus::Done
            }
            [] => {
                printer.line(&format!("handover: {app}: no digest is blocked that begins with '{digest}'"));
                ExitStatus::Usage
            }
            several => {
                let count = several.len();
                printer.line(&format!(
                    "handover: {app}: {count} blocked digests begin with '{digest}': give more of it"
                ));
                ExitStatus::Usage
            }
        },
        Err(error) => {
            super::explain(printer, &error);
            ExitStatus::Failed
        }
    }
}
