//! `handover install`.

use crate::exit::ExitStatus;
use crate::host::Paths;
use crate::install::copies::Claim;
use crate::install::install;
use crate::printer::Printer;

/// `handover install`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args) -> ExitStatus {
    let printer = Printer::new(false);
    match install(&Paths::of_the_system(), Claim::Operator).await {
        Ok(installed) => {
            for line in &installed.lines {
                printer.data(line);
            }
            for note in &installed.notes {
                printer.line(&format!("note:  {note}"));
            }
            if installed.notes.is_empty() { ExitStatus::Done } else { ExitStatus::Failed }
        }
        Err(error) => {
            printer.line(&format!("handover: {error}"));
            ExitStatus::Failed
        }
    }
}
