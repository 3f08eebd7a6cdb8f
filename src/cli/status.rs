//! `handover status`.

use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;
use crate::status;

/// `handover status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, one object per app in an array; its format is versioned
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let apps = match Host::of_the_system() {
        Ok(host) => status::of_all(&host).await,
        Err(error) => Err(error),
    };
    match apps {
        Ok(apps) if args.json => printer.data(&serde_json::to_string_pretty(&apps).unwrap_or_default()),
        Ok(apps) => printer.data(&status::text(&apps)),
        Err(error) => {
            super::explain(&printer, &error);
            return ExitStatus::Down;
        }
    }
    ExitStatus::Done
}
