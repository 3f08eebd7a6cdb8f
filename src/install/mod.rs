//! Installs handover on the instance: for operators, who should need no bundle, and for systemd, which completes an
//! interrupted run after a boot.
//!
//! ```text
//! /opt/handover/bin/handover-0.2.0-1f3a9c04    copies, the last three
//! /usr/local/bin/handover                      a link to the newest one that was good
//! /etc/systemd/system/handover-*               recover at each start of Docker, tend every five minutes
//! ```
//! A hook does it before it changes anything, so that a first deployment can be recovered, too. The link moves when the
//! deployment was good. Nothing of this can fail a deployment, and nothing that handover did not make is touched.

pub mod copies;
pub mod units;

use crate::host::Paths;
use crate::text::chain;
use copies::{Claim, Linked};
use units::Units;

/// How many copies are kept, besides the one that is linked.
const KEPT: usize = 3;

/// Makes a copy of the binary that runs, unless there is one, and returns its path.
pub fn keep_copy(paths: &Paths) -> Result<std::path::PathBuf, String> {
    match copies::keep(paths) {
        Ok(copy) => Ok(copy.path),
        Err(error) => Err(format!("no copy of this binary is kept: {}", chain(&error))),
    }
}

/// What a hook does before it changes anything. Returns what went wrong.
pub async fn before_a_deployment(paths: &Paths) -> Vec<String> {
    notes_of(install(paths, Claim::IfMissing).await)
}

/// What a hook does after a deployment that was good. Returns what went wrong.
pub async fn after_a_good_deployment(paths: &Paths) -> Vec<String> {
    notes_of(install(paths, Claim::GoodDeployment).await)
}

/// What a hook reports of an installation: what went wrong. The rest is in the log.
fn notes_of(result: Result<Installed, String>) -> Vec<String> {
    let notes = match result {
        Ok(installed) => {
            tracing::info!("installed: {}", installed.lines.join("; "));
            installed.notes
        }
        Err(error) => vec![format!("handover is not installed: {error}")],
    };
    for note in &notes {
        tracing::warn!("{note}");
    }
    notes
}

/// What was done, and what an operator should know.
#[derive(Debug, Default)]
pub struct Installed {
    /// What is where now.
    pub lines: Vec<String>,
    /// What could not be done.
    pub notes: Vec<String>,
}

/// Installs the binary that runs, for an operator or a hook.
pub async fn install(paths: &Paths, claim: Claim) -> Result<Installed, String> {
    let copy = copies::keep(paths).map_err(|e| chain(&e))?;
    let mut installed = Installed::default();
    installed.lines.push(format!("{} is a copy of this binary", copy.path.display()));
    let link = paths.link.display();
    match copies::link(paths, &copy, claim) {
        Ok(Linked::ToThis) => installed.lines.push(format!("{link} points to it")),
        Ok(Linked::ToNewer(other)) => installed.lines.push(format!("{link} points to {}", other.display())),
        // The units call the link: without it they would call another program, or none.
        Ok(Linked::Foreign) => {
            let what = "is not handover's link: it was left as it is, and no units were written";
            installed.notes.push(format!("{link} {what}"));
            return Ok(installed);
        }
        Err(error) => {
            installed.notes.push(chain(&error));
            return Ok(installed);
        }
    }
    installed.notes.extend(copies::sweep(paths, &copy, KEPT).err().map(|e| chain(&e)));
    match units::install(paths, claim == Claim::Operator).await {
        Ok(Units::NoSystemd) => {
            installed.lines.push("systemd does not run here, so there are no units".to_owned());
        }
        Ok(Units::There { foreign }) => {
            installed.lines.push("handover-recover.service and handover-tend.timer are there".to_owned());
            let left = foreign.iter().map(|unit| format!("{unit} is not handover's: it was left as it is"));
            installed.notes.extend(left);
        }
        Err(error) => installed.notes.push(error),
    }
    Ok(installed)
}
