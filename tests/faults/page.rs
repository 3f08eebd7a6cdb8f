//! `docs/faults.md`: a row for each fault, made of what the tests see, so that it cannot lie. `scripts/faults` makes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::told::Told;

/// A folder for the rows that are seen. Without it each row has to be on the page already.
const SEEN: &str = "FAULTS_SEEN";

/// Notes what a fault led to.
pub fn see(kind: &str, fault: &str, told: &Told) -> Result<()> {
    let exit = told.exit.map_or("signal".to_owned(), |code| code.to_string());
    row(kind, fault, &format!("{}, {exit}", told.event), &told.cause(), told.verdict())
}

/// Notes a row that is no failed deployment.
pub fn row(kind: &str, fault: &str, end: &str, cause: &str, verdict: &str) -> Result<()> {
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    let row = format!("| {} | {} | {} | {} |", cell(fault), cell(end), cell(cause), cell(verdict));
    if let Some(folder) = std::env::var_os(SEEN) {
        let name = format!("{kind}--{}", fault.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        fs::write(PathBuf::from(folder).join(name), format!("{row}\n"))?;
        return Ok(());
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md"))?;
    ensure!(page.contains(&row), "docs/faults.md lacks this row, run scripts/faults:\n{row}");
    Ok(())
}
