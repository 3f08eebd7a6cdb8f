//! `handover plan`.

use super::bundle::Which;
use crate::deploy::DeployError;
use crate::deploy::preview::{Preview, preview};
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;
use crate::report::tail;
use crate::text::clean;

/// `handover plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let config = match args.which.chosen() {
        Ok(chosen) => chosen.config,
        Err(refusal) => return refusal.tell(&printer),
    };
    let preview = match Host::of_the_system() {
        Ok(host) => preview(&config, &host).await,
        Err(error) => Err(DeployError::from(error)),
    };
    match preview {
        Ok(preview) => show(&printer, &preview),
        Err(error) => {
            super::explain(&printer, &error);
            ExitStatus::Failed
        }
    }
}

fn show(printer: &Printer, preview: &Preview) -> ExitStatus {
    for note in &preview.notes {
        printer.line(&format!("note:  {}", clean(note)));
    }
    if let Some(changes) = &preview.changes {
        printer.data(&changes.to_string());
        return ExitStatus::Done;
    }
    for line in tail::of_findings(&preview.findings) {
        printer.data(&line);
    }
    let count = preview.findings.len();
    printer.line(&format!(
        "handover: a deployment would fail before it changes anything: {count} finding{}",
        if count == 1 { "" } else { "s" }
    ));
    ExitStatus::Failed
}
