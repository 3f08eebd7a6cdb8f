//! `handover history`.

use super::apps;
use crate::exit::ExitStatus;
use crate::history::{self, story};
use crate::host::{Host, Paths};
use crate::model::{AppName, ReleaseNumber};
use crate::printer::Printer;

/// `handover history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The story of this release, such as r12: what happened, and where the time went; by default all releases
    release: Option<ReleaseNumber>,
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Print JSON; its format is versioned
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let (printer, paths) = (Printer::new(false), Paths::of_the_system());
    let named = args.app.as_deref();
    let done = match args.release {
        Some(release) => {
            apps::the_one(&paths, named).map(|app| tell(&app, release, &paths, args.json, &printer))
        }
        None => match apps::named_or_all(&paths, named) {
            Ok(apps) => Ok(list(&apps, &paths, args.json, &printer).await),
            Err(error) => Err(error),
        },
    };
    done.unwrap_or_else(|error| {
        printer.line(&format!("handover: {error}"));
        ExitStatus::Usage
    })
}

async fn list(apps: &[AppName], paths: &Paths, json: bool, printer: &Printer) -> ExitStatus {
    let host = Host::of_the_system();
    let mut told = vec![];
    for app in apps {
        let containers = match &host {
            Ok(host) => apps::containers(host, app).await,
            Err(_) => None,
        };
        if containers.is_none() {
            printer.line(&format!("note:  {app}: which release serves is not known: Docker does not answer"));
        }
        told.push(history::of(app, &paths.app(app), containers.as_deref()));
    }
    if json {
        printer.data(&serde_json::to_string_pretty(&told).unwrap_or_default());
    } else {
        printer.data(&history::text(&told));
    }
    ExitStatus::Done
}

fn tell(app: &AppName, release: ReleaseNumber, paths: &Paths, json: bool, printer: &Printer) -> ExitStatus {
    match story(app, &paths.app(app), release) {
        Ok(story) if json => printer.data(&serde_json::to_string_pretty(&story).unwrap_or_default()),
        Ok(story) => printer.data(&story.text()),
        Err(error) => {
            super::explain(printer, &error);
            return ExitStatus::Failed;
        }
    }
    ExitStatus::Done
}
