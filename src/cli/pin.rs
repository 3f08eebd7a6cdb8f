//! `handover pin`.

use std::path::PathBuf;

use jiff::Timestamp;

use super::bundle::Refusal;
use crate::config;
use crate::config::pin::{FILE_NAME, render};
use crate::exit::ExitStatus;
use crate::fs::write_atomically;
use crate::host::Host;
use crate::pin::pin;
use crate::printer::Printer;

/// `handover pin`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the bundle; the current one by default
    #[arg(default_value = ".", hide_default_value = true)]
    bundle: PathBuf,
    /// Only the images of this deployment group; of all groups by default
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    let groups = match config::unpinned(&args.bundle, args.group.as_deref()) {
        Ok(groups) => groups,
        Err(error) => return Refusal::of_config(&error, &args.bundle).tell(&printer),
    };
    let host = match Host::without_docker() {
        Ok(host) => host,
        Err(error) => {
            super::explain(&printer, &error);
            return ExitStatus::Failed;
        }
    };
    let pins = match pin(&groups, &host).await {
        Ok(pins) => pins,
        Err(failure) => {
            printer.line(&format!("handover: {}", failure.what));
            if !failure.fix.is_empty() {
                printer.line(&format!("fix:   {}", failure.fix));
            }
            return ExitStatus::Failed;
        }
    };
    let file = args.bundle.join(FILE_NAME);
    if let Err(error) = write_atomically(&file, render(&pins, Timestamp::now()).as_bytes(), 0o644) {
        super::explain(&printer, &error);
        return ExitStatus::Failed;
    }
    for pin in &pins {
        let platforms =
            if pin.platforms.is_empty() { String::new() } else { format!(" ({})", pin.platforms.join(", ")) };
        printer.data(&format!("{} {} {}{platforms}", pin.name, pin.tag, pin.digest));
    }
    printer.line(&format!("handover: wrote {}", file.display()));
    ExitStatus::Done
}
