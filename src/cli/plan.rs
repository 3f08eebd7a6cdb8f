//! `handover plan`.

use std::path::PathBuf;

use super::apps;
use crate::config;
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::printer::Printer;

/// `handover plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the bundle; the configuration of the last good release by default
    bundle: Option<PathBuf>,
    /// Which app, when several are deployed here and no bundle is given
    #[arg(long)]
    app: Option<String>,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let config = match &args.bundle {
        Some(bundle) => config::load(bundle).map_err(|e| crate::report::text::chain(&e)),
        None => apps::last_good_config(args.app.as_deref()),
    };
    let config = match config {
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
