//! The releases as a table, for people: at most 80 columns.

use super::{History, Known};
use crate::model::ImageName;
use crate::state::{Record, Verdict};
use crate::text::{clean, shorten, shorten_middle, wrap};

/// How wide the lines below a release are, and how far they are indented.
const WIDTH: usize = 70;
const INDENT: &str = "         ";

/// The longest cause in the table: the whole of it is in the story of the release.
const LONGEST_CAUSE: usize = 3 * WIDTH;

/// The human form of the histories of several apps.
pub fn text(apps: &[History]) -> String {
    if apps.is_empty() {
        return "nothing has been deployed here".to_owned();
    }
    apps.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn one(history: &History) -> String {
    let mut lines = vec![history.app.to_string()];
    if history.releases.is_empty() {
        lines.push("no release is on record".to_owned());
    } else {
        lines.push(row("RELEASE", "WHEN (UTC)", "MADE BY", "IMAGE", "VERDICT"));
    }
    for known in &history.releases {
        let record = &known.record;
        let when = record.at.strftime("%Y-%m-%d %H:%M").to_string();
        lines.push(row(
            &record.release.to_string(),
            &when,
            &made_by(record),
            &image(record),
            &verdict(known),
        ));
        if let Verdict::Refused { cause } = &record.verdict {
            lines.extend(indented(cause));
        }
        let moved: Vec<&str> = record.moved_schema().map(crate::model::ProcessName::as_str).collect();
        if !moved.is_empty() {
            lines.extend(indented(&format!("schema moved by {}", moved.join(" and "))));
        }
    }
    let unreadable = history.unreadable.iter();
    lines.extend(unreadable.map(|release| format!("{release}: its record is damaged or of another version")));
    lines.join("\n")
}

fn row(release: &str, when: &str, made_by: &str, image: &str, verdict: &str) -> String {
    format!("{release:<7}  {when:<16}  {made_by:<22}  {image:<12}  {verdict}").trim_end().to_owned()
}

fn indented(text: &str) -> Vec<String> {
    let lines = wrap(&shorten_middle(&clean(text), LONGEST_CAUSE), WIDTH);
    lines.iter().map(|line| format!("{INDENT}{line}")).collect()
}

/// Who or what made a release.
pub(super) fn made_by(record: &Record) -> String {
    if let Some(to) = record.rollback_to {
        if record.refresh {
            return format!("refresh of {to}");
        }
        return format!("rollback to {to}");
    }
    if record.deployment.is_of_operator() {
        return "by hand".to_owned();
    }
    shorten(&format!("CodeDeploy {}", record.deployment), 22)
}

/// The digest of the default image, as people quote it, and how many others there are.
fn image(record: &Record) -> String {
    let default = record.images.get(&ImageName::default_image()).or_else(|| record.images.values().next());
    default.map_or_else(|| "-".to_owned(), |image| image.digest.short().to_owned())
}

fn verdict(known: &Known) -> String {
    let serves = if known.serves == Some(true) { ", serves" } else { "" };
    format!("{}{serves}", word(&known.record.verdict))
}

/// The verdict in a word or two.
pub(super) fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Good => "good".to_owned(),
        Verdict::Refused { .. } => "refused".to_owned(),
        Verdict::Unchanged { same_as } => format!("same as {same_as}"),
        Verdict::Unproven => "not over".to_owned(),
        Verdict::Unknown => "unknown".to_owned(),
    }
}
