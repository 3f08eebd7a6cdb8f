//! Everything that can be found out about a bundle without AWS, Docker or an instance: `handover lint`.

mod appspec;
mod executable;

use std::path::Path;

use crate::codedeploy::appspec::written::Written;
use crate::codedeploy::appspec::{self as spec, AppSpec};
use crate::config::check::{Checked, InGroups};
use crate::config::{self, Diagnostic, Severity};

/// Checks a bundle.
pub fn lint(bundle: &Path) -> Vec<Diagnostic> {
    let (mut findings, meanings) = match config::check_bundle(bundle) {
        Ok(Checked { findings, settings }) => (findings, settings),
        Err(error) => (vec![out_of_place(&error)], vec![]),
    };
    let (path, text) = match spec::find(bundle) {
        Ok(found) => found,
        Err(error) => {
            findings.push(out_of_place(&error));
            return findings;
        }
    };
    let origin = path.display().to_string();
    let mistakes = match Written::parse(&text) {
        Err(mistake) => vec![mistake],
        Ok(written) => {
            let location = appspec::our_location(&written);
            let mut mistakes = appspec::check(&written, &text, bundle, &location);
            // What it cannot read is among the mistakes already.
            if let Ok(spec) = AppSpec::of(&written, &location, &text, &origin) {
                let mut too_short = InGroups::default();
                for (group, settings) in &meanings {
                    too_short.add(spec.lacks_room(settings), group.as_deref().unwrap_or_default());
                }
                mistakes.extend(too_short.told(meanings.len()));
            }
            mistakes
        }
    };
    findings.extend(mistakes.into_iter().map(|mistake| mistake.located(&text, &origin)));
    findings
}

fn out_of_place(error: &(dyn std::error::Error + 'static)) -> Diagnostic {
    Diagnostic::without_a_place(Severity::Error, &crate::text::chain(error))
}
