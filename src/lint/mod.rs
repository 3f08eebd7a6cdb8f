//! Everything that can be checked in a bundle without AWS, Docker or an instance: `handover lint`.

mod appspec;
mod executable;
mod readings;
mod start;

use std::path::Path;

use crate::codedeploy::appspec::location::runs_handover;
use crate::codedeploy::appspec::{self as spec, AppSpec, AppSpecError};
use crate::config::check::{Checked, MistakesByGroup};
use crate::config::{self, ConfigError, Diagnostic, Severity};

/// Checks a bundle.
pub fn lint(bundle: &Path) -> Vec<Diagnostic> {
    let (mut findings, settings_by_group) = match config::check_bundle(bundle) {
        Ok(Checked { findings, settings }) => (findings, settings),
        Err(ConfigError::Wrong(wrong)) => (vec![wrong], vec![]),
        Err(error) => (vec![without_place(&error)], vec![]),
    };
    let (path, bytes) = match spec::find(bundle) {
        Ok(found) => found,
        Err(error) => {
            findings.push(match error {
                AppSpecError::Wrong(wrong) => wrong,
                error => without_place(&error),
            });
            return findings;
        }
    };
    let (origin, text) = (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
    let judgements = spec::judgements(&bytes);
    let mut mistakes = appspec::check(&text, &judgements, bundle);
    let (readings, _) = spec::readings(&judgements);
    // What it cannot read is among the mistakes already.
    if let Ok(spec) = AppSpec::of(&readings, &|location| runs_handover(bundle, location), &text, &origin) {
        let mut short = MistakesByGroup::default();
        for (group, settings) in &settings_by_group {
            let group = group.as_deref().unwrap_or_default();
            short.add(spec.too_short_timeouts(settings), group);
            short.add(spec.short_preflight(settings).into_iter().collect(), group);
        }
        let short = short.into_mistakes(settings_by_group.len()).into_iter();
        let short: Vec<_> =
            short.filter(|mistake| !mistakes.iter().any(|other| other.span == mistake.span)).collect();
        mistakes.extend(short);
    }
    findings.extend(mistakes.into_iter().map(|mistake| mistake.located(&text, &origin)));
    findings
}

fn without_place(error: &(dyn std::error::Error + 'static)) -> Diagnostic {
    Diagnostic::without_place(Severity::Error, &crate::text::chain(error))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's files need not survive a power cut")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::RequestedGroup;

    const CONFIG: &str = r#"groups = ["test", "prod-*"]
app = "status-page"
[image]
repository = "ghcr.io/team/größe"
auth = { secret = "login" }
tag = "v1"
[secret.login]
literal = { username = "ü", password = """
hunter2""" }
[secret.db]
id = "prod/db"
fields = { port = 5432, "höst" = "🦀" }
[environment]
URL = { template = "postgres://{{ db.password | urlencode }}@{{ db['höst'] }}" }
"NÄME" = { secret = "db.port", default = "1" }
[process.web]
publish = ["80:80"]
order = "stop-first"
stop-timeout = "30s"
memory = "64m"
log = { max-size = "1m" }
tmpfs = ["/tmp:size=64m"]
[process.web.health]
http = "/höhe"
[group.test]
disposable = true
process.web.memory = { unset = true }
[group."prod-*".environment]
A = "é"
"#;

    const APPSPEC: &str = "version: 0.0\nos: linux # größe\nhooks:\n  BeforeInstall:\n    - location: \"bin/händover\"\n      timeout: 60\n  ApplicationStart:\n    - {location: bin/handover, timeout: \"6️⃣\", runas: \"rööt\"}\n  Übel:\n    - location: x\n";

    /// A text with some of its characters gone, and others there.
    fn spoilt(text: &'static str) -> impl Strategy<Value = String> {
        let pieces = [
            "", "é", "🦀", "\"", "'", "'''", "\n", "\r\n", "[", "]", "{", "}", "=", ".", "#", ":", "- ",
            "\t", "\0", "\u{feff}", "*", "&a", "!x", "|\n", "25h", "0", "-1", "1e999", "{{", "}}", "{%",
            "\\u00e9", "\\",
        ];
        let edit = (any::<proptest::sample::Index>(), 0_usize..12, proptest::sample::select(pieces.to_vec()));
        proptest::collection::vec(edit, 0..4).prop_map(move |edits| {
            let mut characters: Vec<char> = text.chars().collect();
            for (at, length, piece) in edits {
                let at = at.index(characters.len() + 1);
                let end = (at + length).min(characters.len());
                characters.splice(at..end, piece.chars());
            }
            characters.into_iter().collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_a_bundle_holds_is_reported_without_a_panic(config in spoilt(CONFIG), appspec in spoilt(APPSPEC)) {
            let bundle = tempfile::tempdir().unwrap();
            std::fs::write(bundle.path().join(config::FILE_NAME), &config).unwrap();
            std::fs::write(bundle.path().join("appspec.yml"), appspec).unwrap();
            let shown: String = lint(bundle.path()).iter().map(ToString::to_string).collect();
            let is_a_literal = config.contains("\nliteral = {");
            prop_assert!(!is_a_literal || !shown.contains("hunter2"), "{shown}");
            for group in ["test", "prod-eu"] {
                let _ = config::load(bundle.path(), RequestedGroup::Hook(Some(group)));
                let _ = config::show(bundle.path(), group);
            }
            let _ = AppSpec::read(bundle.path(), "bin/handover");
        }
    }
}
