//! The closing lines of a run. `CodeDeploy` shows the last 2 KB of a hook's output and drops what does not fit, so these
//! are short ASCII lines, at most [`LONGEST`] bytes of them, and the verdict is the last.

use super::{Report, Serving, Waited, next};
use crate::exit::ExitStatus;
use crate::model::Finding;
use crate::text::{clean, sanitize, shorten, shorten_middle, wrap};

/// The most that the closing lines come to, in bytes, with their newlines and the agents' prefixes.
pub const LONGEST: usize = 1_800;

/// How wide a line is. The agents add a prefix to it.
const WIDTH: usize = 110;

/// The closing lines of a run that came to its steps.
pub fn of(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let findings = report.findings();
    if let (Some(failure), true) = (&report.failure, findings.is_empty()) {
        lines.extend(labelled("why:", &wrap(&sanitized(&failure.what), WIDTH)));
        if !failure.fix.is_empty() {
            lines.extend(labelled("fix:", &wrap(&sanitized(&failure.fix), WIDTH)));
        }
    } else if findings.len() > 1 {
        lines.push(format!("why:   {} findings", findings.len()));
    }
    let fixed_after = {
        let mut after = Vec::new();
        for left in &report.left_over {
            after.extend(labelled("left:", &wrap(&sanitized(left), WIDTH)));
        }
        for note in report.notes.iter().take(3) {
            after.push(format!("note:  {}", shorten(&sanitize(note), WIDTH)));
        }
        after.extend(gap(report));
        after.extend(report.waited.map(|waited| format!("wait:  {}", wait(waited))));
        if let (Some(schema), false) = (&report.schema, report.outcome.is_good()) {
            after.extend(labelled("schema:", &wrap(&sanitized(schema), WIDTH)));
        }
        after.extend(labelled("now:", &wrap(&now(report), WIDTH)));
        after.extend(next::after(report).map(|next| format!("next:  {next}")));
        let release = format!("{} {}", report.app, report.release);
        after.push(report.outcome.verdict(report.recovered, &release));
        after
    };
    let room = |lines: &[String]| LONGEST.saturating_sub(size(lines) + size(&fixed_after));
    lines.extend(fitting_findings(findings, room(&lines)));
    lines.extend(fitting_evidence(report.evidence(), room(&lines)));
    lines.extend(fixed_after);
    fit(lines)
}

/// What was not healthy is kept apart from what did not answer.
fn gap(report: &Report) -> Option<String> {
    let (unhealthy, silent) = (report.unhealthy_ms?, report.silent_ms.unwrap_or_default());
    Some(if unhealthy - silent.min(unhealthy) < 100 {
        format!("gap:   nothing answered for {}", seconds(unhealthy))
    } else {
        format!(
            "gap:   nothing healthy answered for {}, and nothing at all for {} of it",
            seconds(unhealthy),
            seconds(silent)
        )
    })
}

/// What new connections did meanwhile that would have been refused.
fn wait(Waited { longest_ms, ran_out }: Waited) -> String {
    if ran_out {
        format!(
            "new connections waited for {}; then the time of stall was over, and they were refused",
            seconds(longest_ms)
        )
    } else {
        format!("new connections waited for up to {} instead of being refused", seconds(longest_ms))
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// How far a process came that has no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Not to its first step.
    NotBegun,
    /// Somewhere between its steps.
    Unfinished,
}

/// The closing lines of a run that has no report.
pub fn of_error(
    error: &str,
    fix: Option<&str>,
    next: Option<&str>,
    end: End,
    status: ExitStatus,
) -> Vec<String> {
    // A diagnostic is already laid out in lines; its drawing has to stay as it is.
    let text: Vec<String> = error.lines().map(printable).collect();
    let mut lines = match text.as_slice() {
        [only] => wrap(only, WIDTH),
        several => several.iter().map(|line| shorten(line, 170)).collect(),
    };
    lines.extend(fix.iter().flat_map(|fix| labelled("fix:", &wrap(&sanitized(fix), WIDTH))));
    lines.extend(next.map(|next| format!("next:  {next}")));
    let end = match end {
        End::NotBegun => "nothing was changed",
        End::Unfinished => "the deployment is unfinished",
    };
    lines.push(format!("handover: FAILED (exit {}): {end}", status.code()));
    fit(lines)
}

fn sanitized(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join(" ")
}

/// Like [`sanitize`], but leaves the indentation.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn labelled(label: &str, lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| format!("{:<6} {line}", if i == 0 { label } else { "" }))
        .collect()
}

/// Every finding with its fix, whole.
pub fn of_findings(findings: &[Finding]) -> Vec<String> {
    listed(findings, usize::MAX, usize::MAX)
}

/// Each of several findings has a number.
fn listed(findings: &[Finding], what: usize, fix: usize) -> Vec<String> {
    let only = findings.len() == 1;
    let label = |i: usize| if only { "why:".to_owned() } else { format!("  {}.", i + 1) };
    let cut = |text: &str, longest| wrap(&shorten_middle(&sanitized(text), longest), WIDTH);
    let one = |(i, finding): (usize, &Finding)| {
        let mut lines = labelled(&label(i), &cut(&finding.what, what));
        if !finding.fix.is_empty() && fix > 0 {
            lines.extend(labelled(if only { "fix:" } else { "  fix:" }, &cut(&finding.fix, fix)));
        }
        lines
    };
    findings.iter().enumerate().flat_map(one).collect()
}

/// Rather all of them in short than some at length; where even that is too much, the fixes go, which stand in the log.
fn fitting_findings(findings: &[Finding], room: usize) -> Vec<String> {
    let shorter = [(600, 300), (220, 110), (110, 110), (100, 60), (70, 40), (110, 0), (50, 0), (25, 0)];
    let fits =
        shorter.iter().map(|(what, fix)| listed(findings, *what, *fix)).find(|lines| size(lines) <= room);
    fits.unwrap_or_else(|| {
        let mut lines = listed(findings, 25, 0);
        while size(&lines) + 80 > room && !lines.is_empty() {
            lines.pop();
        }
        let left = findings.len() - lines.len();
        lines.push(format!("  and {left} more: see /var/log/handover/handover.log"));
        lines
    })
}

/// The container's last lines: as many as there is room for, the last ones first to stay.
fn fitting_evidence(evidence: &[String], room: usize) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut used = 0;
    for line in evidence.iter().rev() {
        let line = format!("  | {}", shorten(line, WIDTH));
        used += size(std::slice::from_ref(&line));
        if used + 60 > room {
            break;
        }
        kept.insert(0, line);
    }
    if !kept.is_empty() {
        kept.insert(0, "the container's last lines:".to_owned());
    }
    kept
}

fn now(report: &Report) -> String {
    let one = |serving: &Serving| {
        let release = serving.release.map(|r| format!(" ({r})")).unwrap_or_default();
        let state = if serving.running { "is running" } else { "is NOT running" };
        let ports = serving.picked_ports.iter().map(|port| format!(", port {port}")).collect::<String>();
        format!("{}{release} {state}{ports}", serving.container)
    };
    if report.serving.is_empty() {
        return "no container of this app serves".to_owned();
    }
    report.serving.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// As the agents count: each line with its newline, and with the time and stream that agent v2 puts before it.
fn size(lines: &[String]) -> usize {
    const PREFIX: usize = "2026-11-23 00:00:00 [stderr]".len();
    lines.iter().map(|line| PREFIX + line.len() + 1).sum()
}

/// Drops lines from the front until the rest fits: the end is what counts.
fn fit(mut lines: Vec<String>) -> Vec<String> {
    while size(&lines) > LONGEST && lines.len() > 1 {
        lines.remove(0);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, ReleaseNumber};
    use crate::report::Outcome;
    use proptest::prelude::*;

    fn refused(cause: &str, evidence: Vec<String>) -> Report {
        let process: crate::model::ProcessName = "web".parse().unwrap();
        Report {
            app: "status-page".parse().unwrap(),
            deployment: "d-ABC123".parse().unwrap(),
            release: ReleaseNumber(3),
            images: vec![],
            outcome: Outcome::Reverted { serving: true },
            failure: Some(Failure::verdict(cause, evidence)),
            log: None,
            bundle: None,
            group: None,
            serving: vec![Serving {
                process,
                container: "status-page-web".to_owned(),
                release: Some(ReleaseNumber(2)),
                running: true,
                picked_ports: vec![],
            }],
            recovered: false,
            schema: None,
            unhealthy_ms: Some(2345),
            silent_ms: Some(2300),
            waited: None,
            left_over: vec![],
            notes: vec![],
            steps: vec![],
        }
    }

    #[test]
    fn a_refused_release_is_explained_and_the_verdict_is_last() {
        let lines = of(&refused(
            "container 'status-page-web.r3' is not healthy: it exited with code 1",
            vec!["starting".to_owned(), "cannot open the database".to_owned()],
        ));
        insta::assert_snapshot!(lines.join("\n"), @r"
        why:   container 'status-page-web.r3' is not healthy: it exited with code 1
        the container's last lines:
          | starting
          | cannot open the database
        gap:   nothing answered for 2.3 s
        now:   status-page-web (r2) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r3 was refused, the old release is serving
        ");
    }

    #[test]
    fn whoever_waited_was_not_refused_unless_the_time_was_over() {
        let waited = |ran_out| Some(Waited { longest_ms: 3100, ran_out });
        let said = |ran_out| of(&Report { waited: waited(ran_out), ..refused("", vec![]) }).join("\n");
        assert!(
            said(false).contains("wait:  new connections waited for up to 3.1 s instead of being refused")
        );
        assert!(
            said(true).contains("waited for 3.1 s; then the time of stall was over, and they were refused")
        );
    }

    fn found(n: usize, what: &str, fix: &str) -> Report {
        let failure = Some(Failure::found(vec![Finding::new(what, fix); n]));
        Report { failure, unhealthy_ms: None, ..refused("", vec![]) }
    }

    #[test]
    fn one_finding_is_the_cause_and_its_way_out_follows() {
        let lines = of(&found(1, "port 8000 is held by 'python3' (pid 4711)", "stop it"));
        insta::assert_snapshot!(lines.join("\n"), @r"
        why:   port 8000 is held by 'python3' (pid 4711)
        fix:   stop it
        now:   status-page-web (r2) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r3 was refused, the old release is serving
        ");
    }

    #[test]
    fn findings_are_shortened_rather_than_dropped() {
        for (n, fixes) in [(2, 2), (5, 5), (7, 7), (14, 0), (20, 0)] {
            let lines = of(&found(n, &"what is wrong here ".repeat(20), &"what to do about it ".repeat(20)));
            assert!(size(&lines) <= LONGEST);
            let starting =
                |start: &str| lines.iter().filter(|line| line.trim_start().starts_with(start)).count();
            let numbered = (1..=n).filter(|i| starting(&format!("{i}. ")) == 1).count();
            assert_eq!((numbered, starting("fix: ")), (n, fixes), "{lines:#?}");
        }
    }

    proptest! {
        #[test]
        fn findings_always_fit(n in 1..80_usize, what in any::<String>(), fix in any::<String>()) {
            let lines = of(&found(n, &what, &fix));
            prop_assert!(size(&lines) <= LONGEST);
            prop_assert!(lines[0].starts_with("why:"), "nothing was dropped from the front");
        }

        #[test]
        fn it_always_fits_and_always_ends_with_the_verdict(
            cause in any::<String>(), evidence in proptest::collection::vec("[ -~]{0,400}", 0..30),
        ) {
            let lines = of(&refused(&cause, evidence));
            prop_assert!(size(&lines) <= LONGEST);
            prop_assert!(lines.iter().all(|l| l.len() < 200 && l.is_ascii()));
            prop_assert!(lines.last().unwrap().starts_with("handover: FAILED"));
        }
    }
}
