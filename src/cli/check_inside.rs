//! `handover check-inside`: the end in the container of the checks that are made there.

use crate::deploy::checks;
use crate::exit::ExitStatus;
use crate::printer::Printer;

pub(super) async fn run() -> ExitStatus {
    let printer = Printer::new(false);
    match checks::answer().await {
        Ok(answers) => {
            printer.data(&answers);
            ExitStatus::Done
        }
        Err(why) => {
            printer.line(&format!("handover: {why}"));
            ExitStatus::Usage
        }
    }
}
