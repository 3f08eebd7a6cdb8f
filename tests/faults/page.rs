//! `docs/faults.md`: a row for each fault, made of what the tests see, so that it cannot lie. `scripts/faults` makes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use world::Engine;

use crate::told::Told;

/// A folder for the rows that are seen. Without it each row has to be on the page already.
const SEEN: &str = "FAULTS_SEEN";

/// Notes what a fault led to. On another Engine than the page's the cause may have other words: those stand on the page,
/// too.
pub fn see(kind: &str, fault: &str, told: &Told, engine: Engine) -> Result<()> {
    let exit = told.exit.map_or("signal".to_owned(), |code| code.to_string());
    let end = format!("{}, {exit}", told.event);
    row(kind, fault, [&end, &told.cause(), told.verdict()], engine)
}

/// Notes a row by what stands in it: how it ended, why, and the last line.
pub fn row(kind: &str, fault: &str, [end, cause, verdict]: [&str; 3], engine: Engine) -> Result<()> {
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    let row = format!("| {} | {} | {} | {} |", cell(fault), cell(end), cell(cause), cell(verdict));
    let other_words = format!("| {} | {} |", cell(fault), cell(cause));
    if let Some(folder) = std::env::var_os(SEEN) {
        let name = format!("{kind}--{}", fault.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let folder = PathBuf::from(folder);
        fs::write(folder.join(format!("{name}.words")), format!("{other_words}\n"))?;
        fs::write(folder.join(name), format!("{row}\n"))?;
        return Ok(());
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md"))?;
    let has = |row: &str| page.lines().any(|line| line == row);
    ensure!(
        has(&row) || (engine.has_words_of_its_own() && has(&other_words)),
        "docs/faults.md lacks this row, run scripts/faults:\n{row}"
    );
    Ok(())
}
