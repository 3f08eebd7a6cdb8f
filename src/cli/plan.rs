//! `handover plan`.

use super::apps::Which;
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;

/// `handover plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let config = match args.which.config() {
        Ok(config) => config,
        Err(error) => {
            printer.line(&error);
            return ExitStatus::Usage;
        }
    };
    let preview = match Host::of_the_system() {
        Ok(host) => crate::deploy::preview::preview(&config, &host).await,
        Err(error) => Err(error.into()),
    };
    match preview {
        Ok(preview) => {
            printer.data(&preview.to_string());
            ExitStatus::Done
        }
        Err(error) => {
            printer.line(&format!("handover: {error:#}"));
            ExitStatus::Failed
        }
    }
}
