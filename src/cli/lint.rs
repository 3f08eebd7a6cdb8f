//! `handover lint`.

use std::path::PathBuf;

use crate::config::{self, Severity};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::text::chain;

/// `handover lint`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the bundle; the current one by default
    #[arg(default_value = ".", hide_default_value = true)]
    bundle: PathBuf,
    /// Print what a deployment group gets, as TOML that says where each key comes from
    #[arg(long, value_name = "GROUP")]
    show_effective: Option<String>,
}

pub(super) fn run(args: Args) -> ExitStatus {
    let printer = Printer::new(false);
    match &args.show_effective {
        Some(group) => show(&args, group, &printer),
        None => check(&args, &printer),
    }
}

fn show(args: &Args, group: &str, printer: &Printer) -> ExitStatus {
    match config::show(&args.bundle, group) {
        Ok(text) => {
            printer.data(text.trim_end());
            ExitStatus::Done
        }
        Err(error) => {
            printer.line(&chain(&error));
            ExitStatus::Usage
        }
    }
}

fn check(args: &Args, printer: &Printer) -> ExitStatus {
    let findings = crate::lint::lint(&args.bundle);
    for finding in &findings {
        printer.data(&format!("{finding}\n"));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    printer.data(&format!("handover lint: {}, {}", counted(errors, "error"), counted(warnings, "warning")));
    if errors == 0 { ExitStatus::Done } else { ExitStatus::Usage }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
