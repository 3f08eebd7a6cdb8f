//! What a failed deployment says at its end, fit for a snapshot, and the command that it says is next.

use std::fmt;
use std::fs;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use codedeploy::{DeploymentReport, EventReport};
use lab::names::ACCOUNT;
use regex_lite::{Captures, Regex};
use serde_json::Value;
use world::World;

/// The end of a deployment that failed.
#[derive(Debug)]
pub struct Told {
    pub event: String,
    pub exit: Option<i32>,
    /// As they were printed.
    lines: Vec<String>,
}

impl Told {
    /// The closing lines of the hook that failed, from the agent's report; they have to be in `scripts.log`, too.
    pub fn of(world: &World, report: &DeploymentReport) -> Result<Self> {
        let failure = report.failure().with_context(|| format!("it did not fail: {report:?}"))?;
        let told = Self::of_event(failure);
        let verdict = told.verdict();
        ensure!(scripts_log(world, report)?.contains(verdict), "'{verdict}' is not in scripts.log");
        Ok(told)
    }

    fn of_event(failure: &EventReport) -> Self {
        let said = failure.log.lines().filter_map(|line| line.split_once("[stderr]"));
        Self::closing(&failure.event, failure.exit, said.map(|(_, line)| line.to_owned()).collect())
    }

    /// What a command by hand says at its end.
    pub fn by_hand(command: &str, output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        Self::closing(command, output.status.code(), said.lines().map(str::to_owned).collect())
    }

    /// What `runs.jsonl` has of a hook whose output nobody read to its end.
    pub fn by_machine(world: &World, command: &str, agent: Option<&str>) -> Result<Self> {
        let runs = fs::read_to_string(world.web.path("/var/log/handover/runs.jsonl"))?;
        let run: Value = serde_json::from_str(runs.lines().last().context("no run is noted")?)?;
        let word = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        ensure!(word("command") == command, "{run}");
        let exit = run["exit"].as_i64().and_then(|exit| i32::try_from(exit).ok());
        let mut lines: Vec<_> = agent.map(|message| format!("CodeDeploy: {message}")).into_iter().collect();
        lines.push(format!("why:   {}", word("cause")));
        lines.push(format!("runs.jsonl: {}, exit {}", word("outcome"), run["exit"]));
        Ok(Self { event: command.to_owned(), exit, lines })
    }

    fn closing(event: &str, exit: Option<i32>, said: Vec<String>) -> Self {
        // Before them is how the steps went, a line each.
        let is_progress =
            |line: &String| ["  ok  ", "  FAILED  ", "  ..  "].iter().any(|mark| line.starts_with(mark));
        let first = said.iter().rposition(is_progress).map_or(0, |last| last + 1);
        Self { event: event.to_owned(), exit, lines: said[first..].to_vec() }
    }

    /// The last line.
    pub fn verdict(&self) -> &str {
        self.lines.last().map_or("", String::as_str)
    }

    /// Why it failed, in one line: everything up to what is told after the cause, and of a diagnostic the words.
    pub fn cause(&self) -> String {
        const AFTER: [&str; 10] = [
            "runs.jsonl:",
            "the container",
            "left:",
            "note:",
            "gap:",
            "schema:",
            "now:",
            "next:",
            "log:",
            "handover: ",
        ];
        let cause = self.lines.iter().take_while(|line| !AFTER.iter().any(|label| line.starts_with(label)));
        let words: Vec<_> = cause.flat_map(|line| words_of(line).split_whitespace()).collect();
        without_chance(&words.join(" ").trim_start_matches("why: ").replace(" fix: ", "; "))
    }

    /// The command that is said to be next.
    fn next(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix("next:")).map(str::trim)
    }

    /// Types what is said to be next, exactly as it stands, and sees that it works and that it shows the cause.
    pub fn try_next(&self, world: &World) -> Result<()> {
        match self.next() {
            None => Ok(()),
            // Until it is cut by the width of a line.
            Some("handover status") => self.next_shows(world, &self.begin_of_cause()),
            // These fail as long as the cause is there.
            Some(next) if next.starts_with("handover lint") => {
                self.next_ends(world, 2, &self.begin_of_cause())
            }
            Some(next) if next.starts_with("handover plan") => {
                self.next_ends(world, 1, &self.begin_of_cause())
            }
            Some(_) => self.next_shows(world, ""),
        }
    }

    /// The same, and what it shows contains these words.
    pub fn next_shows(&self, world: &World, words: &str) -> Result<()> {
        self.next_ends(world, 0, words)
    }

    fn begin_of_cause(&self) -> String {
        let cause = self.cause();
        // Of several, the first.
        cause.split_once(" findings 1. ").map_or(&*cause, |(_, first)| first).chars().take(40).collect()
    }

    fn next_ends(&self, world: &World, exit: i32, words: &str) -> Result<()> {
        let next = self.next().with_context(|| format!("no command is next: {self}"))?;
        let done = world.web.command("sh").args(["-c", next]).output()?;
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            done.status.code() == Some(exit) && !said.is_empty() && without_chance(&plain).contains(words),
            "'{next}': {}, and not '{words}': {said}",
            done.status
        );
        Ok(())
    }
}

/// As the snapshots have it: without what is another one at each run.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exit = self.exit.map_or("a signal".to_owned(), |code| code.to_string());
        writeln!(f, "{} ends with {exit}", self.event)?;
        let mut lines = self.lines.clone();
        // A container's two streams come in any order.
        lines.chunk_by_mut(|one, next| is_evidence(one) && is_evidence(next)).for_each(<[String]>::sort);
        lines.iter().try_for_each(|line| writeln!(f, "{}", without_chance(line)))
    }
}

/// Without the drawing of a diagnostic: the quoted source and what points into it.
fn words_of(line: &str) -> &str {
    let trimmed = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    match trimmed.strip_prefix('|') {
        Some(drawing) if drawing.contains('^') => drawing.trim_start_matches(['|', '^', ' ']),
        Some(_) => "",
        None => line,
    }
}

/// Of the container's last lines.
fn is_evidence(line: &str) -> bool {
    line.starts_with("  | ")
}

/// What was told on a machine of this architecture, as one of the other architecture tells it: the words here are of amd64.
fn as_on_amd64(text: &str) -> String {
    if cfg!(target_arch = "aarch64") {
        let [own, other] = ["linux/arm64", "linux/amd64"];
        return text.replace(own, "\0").replace(other, own).replace('\0', other);
    }
    text.to_owned()
}

/// Ids, digests, times and addresses by their names.
fn without_chance(text: &str) -> String {
    const CHANCES: [(&str, &str); 18] = [
        ("/opt/codedeploy-agent/deployment-root/[^/]+/[^/]+/deployment-archive", "BUNDLE"),
        (r"sha256:[0-9a-f]{12,64}(\.\.\.)?", "sha256:DIGEST"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\b\d+\.\d s\b", "N s"),
        // How much of it was silence is chance.
        (r"nothing healthy answered for N s, and nothing at all for N s of it", "nothing answered for N s"),
        (r"\b172\.\d+\.\d+\.\d+", "ADDRESS"),
        (r"\bpid \d+", "pid PID"),
        (r"\b\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "TIME"),
        (r"\bID-[0-9a-f]+-\d+", "ID"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "TIME"),
        (r"\b\d\d:\d\d:\d\d UTC", "TIME UTC"),
        (r"\bof \d+ probes\b", "of N probes"),
        (r"\bafter \d+ ms\b", "after N ms"),
        (r"\bwithin the \d+ s\b", "within the N s"),
        (r"\b\d+ MiB free\b", "N MiB free"),
        (r"\bexpected \d+ bytes but got \d+\b", "expected N bytes but got M"),
        (r"10\.66\.0\.11:\d+->", "HERE->"),
        (r"/proc/self/fd/\d+", "/proc/self/fd/N"),
    ];
    CHANCES.iter().fold(as_on_amd64(text), |text, (pattern, name)| {
        let named = |found: &Captures<'_>| {
            // The account is always the same, and looks like an id.
            if &found[0] == ACCOUNT { ACCOUNT.to_owned() } else { (*name).to_owned() }
        };
        Regex::new(pattern).expect("a pattern").replace_all(&text, named).into_owned()
    })
}

/// The last line of a deployment's hooks.
pub fn last_line(world: &World, report: &DeploymentReport) -> Result<String> {
    let log = scripts_log(world, report)?;
    let line = log.lines().next_back().and_then(|line| line.split_once("[stderr]"));
    Ok(line.context("nothing was said")?.1.to_owned())
}

/// What the agent kept of a deployment's hooks.
fn scripts_log(world: &World, report: &DeploymentReport) -> Result<String> {
    let place = format!(
        "/opt/codedeploy-agent/deployment-root/{}/{}/logs/scripts.log",
        report.group_id, report.deployment_id
    );
    fs::read_to_string(world.web.path(&place)).context(place)
}
