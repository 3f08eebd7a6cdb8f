//! What both of `CodeDeploy`'s agents say to an `appspec.yml`, and what lint, the hook and the simulator make of it: one table.
//!
//! Each row's verdicts were seen with what the agents run: Psych 4.0.3 below the rules of agent 1.8, and `serde_yaml` 0.9.34 below
//! those of 2.x.

mod rows;

use std::fmt::Write as _;
use std::path::Path;

use codedeploy::{Deployment, Version};
use handover::codedeploy::appspec::AppSpec;
use handover::codedeploy::appspec::reading::{Agent, Verdict, read_as};
use handover::config::Severity;
use handover::lint::lint;

use crate::bundle::Bundle;
use rows::{Row, rows};

/// The page that shows the table.
const PAGE: &str = "docs/appspec.md";

/// Set: the page is written, not compared.
const WRITE: &str = "APPSPEC_PAGE";

fn verdicts(row: &Row) -> [Verdict; 2] {
    [Agent::V1, Agent::V2].map(|agent| read_as(agent, &row.text))
}

/// Why an agent refuses it, or nothing.
fn why(verdict: &Verdict) -> String {
    let first = verdict.as_ref().err().and_then(|refused| refused.first());
    first.map_or_else(String::new, |refusal| format!("{}: {}", refusal.thing, refusal.why))
}

fn bundle(row: &Row) -> Bundle {
    let bundle = Bundle::with_a_script();
    std::fs::write(bundle.path("appspec.yml"), &row.text).unwrap();
    bundle
}

#[test]
fn each_agent_says_what_stands_in_the_table() {
    for row in rows() {
        for (verdict, expected) in verdicts(&row).iter().zip([row.first, row.second]) {
            let why = why(verdict);
            let fits = if expected.is_empty() { why.is_empty() } else { why.contains(expected) };
            assert!(fits, "{}: expected '{expected}', not '{why}'", row.what);
        }
    }
}

#[test]
fn lint_says_which_agent_refuses_and_nothing_where_both_accept() {
    for row in rows() {
        let bundle = bundle(&row);
        let findings = lint(Path::new(&bundle.folder()));
        let told = |severity| {
            let of = findings.iter().filter(|finding| finding.severity == severity);
            of.map(|finding| format!("{}\n", finding.headline)).collect::<String>()
        };
        let (errors, warnings) = (told(Severity::Error), told(Severity::Warning));
        let [first, second] = verdicts(&row).map(|verdict| verdict.is_err());
        for (refuses, agent) in [(first, "1.8"), (second, "2.x")] {
            let named =
                errors.lines().any(|line| line.contains("CodeDeploy's agent") && line.contains(agent));
            assert_eq!(refuses, named, "{}, agent {agent}:\n{errors}", row.what);
        }
        assert_eq!(first || second, !errors.is_empty(), "{}:\n{errors}", row.what);
        let fits = if row.warning.is_empty() { warnings.is_empty() } else { warnings.contains(row.warning) };
        assert!(fits || !errors.is_empty(), "{}: expected '{}', not:\n{warnings}", row.what, row.warning);
    }
}

#[test]
fn the_hook_accepts_what_either_agent_accepts() {
    for row in rows() {
        let bundle = bundle(&row);
        let accepted = verdicts(&row).iter().any(Result::is_ok);
        let read = AppSpec::read(Path::new(&bundle.folder()), "bin/handover-x86_64");
        assert_eq!(read.is_ok(), accepted, "{}: {read:?}", row.what);
    }
}

/// With the first hook of the new bundle the agent reads its file.
#[test]
fn the_simulator_refuses_what_its_agent_does() {
    let events = ["DownloadBundle", "BeforeInstall"].map(str::to_owned);
    for row in rows() {
        let bundle = bundle(&row);
        let refused = verdicts(&row).map(Result::err);
        for (version, refused) in [Version::V1, Version::V2].into_iter().zip(refused) {
            let root = tempfile::tempdir().unwrap();
            let agent = codedeploy::Agent::new(version, root.path());
            let report = agent.deploy(&Deployment::of_bundle(bundle.folder()), &events, &mut |_| {}).unwrap();
            let said = report.failure().map(|failure| failure.message.clone());
            let words = refused.map(|refused| refused[0].words.clone());
            assert_eq!(said, words, "{}, {}", row.what, version.name());
        }
    }
}

#[test]
fn the_page_shows_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&page).unwrap();
    let mark = "| what | 1.8 | 2.x | lint |\n";
    let head = text.split_once(mark).map_or(text.as_str(), |(head, _)| head);
    let mut shown = format!("{head}{mark}| --- | --- | --- | --- |\n");
    for row in rows() {
        let [first, second] = verdicts(&row);
        let cell = |verdict: &Verdict| match why(verdict) {
            why if why.is_empty() => "accepts".to_owned(),
            why => format!("refuses {why}"),
        };
        let lint = match (first.is_ok() && second.is_ok(), row.warning) {
            (false, _) => "error",
            (true, "") => "",
            (true, _) => "warning",
        };
        let code =
            row.shown.as_ref().map_or_else(String::new, |shown| format!(": `{}`", shown.replace('\n', "⏎")));
        let line = format!("{}{code} | {} | {} | {lint}", row.what, cell(&first), cell(&second));
        writeln!(shown, "| {} |", line.replace("&lt;", "<")).unwrap();
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&page, &shown).unwrap();
    }
    assert!(
        text == shown || std::env::var_os(WRITE).is_some(),
        "{PAGE} is old: run this test once with {WRITE}=1"
    );
}
