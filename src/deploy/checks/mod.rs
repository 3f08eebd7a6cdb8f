//! `[check.NAME]`: whether what the app needs of others is there: before the tasks, before live is touched, and once more at the
//! end. All of them are made side by side.
//!
//! What is required and fails is a refusal, or at the end a verdict. But a release is no worse for what fails for the live
//! release, too: that is reported. On a first boot everything may still be coming up, so it is asked until the deadline, and
//! then reported.

mod inside;
mod question;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::Instant;

use super::clock::TO_END;
use super::context::{Context, Gathered};
use super::secrets;
use crate::config::Settings;
use crate::environment::Secrets;
use crate::host::check::{self, Question, Trouble};
use crate::journal::Facts;
use crate::model::{Check, CheckName, Failure, Finding, Vantage};
use crate::signal::Termination;
use crate::text::{clean, duration};
pub use inside::{COMMAND, answer};
use question::{How, of_check};
pub(super) use question::{database, mistakes};

/// When the checks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the first task, which may do what nobody takes back.
    BeforeTasks,
    /// Before live is touched.
    BeforeSwitch,
    /// When the new release serves.
    Finish,
}

/// Asked once.
const ONCE: How = How { patient: false, left: Some(Duration::ZERO) };

/// What a check that failed has to say.
struct Failed<'s> {
    name: &'s CheckName,
    check: &'s Check,
    trouble: Trouble,
}

/// What all checks together have to say.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What stands against the release.
    pub(super) findings: Vec<Finding>,
    /// What is only reported.
    pub(super) notes: Vec<String>,
}

/// Makes every check. Fails where one that is required does, and nothing excuses it.
pub(super) async fn make(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    moment: Moment,
) -> Result<(), Failure> {
    let settings = context.settings();
    // Before the commit everything that the switch may take is kept; after it, the way back.
    let (reserve, termination) = match moment {
        // A hook that has no time for the switch does not make it: that is another hook's.
        Moment::BeforeTasks if context.clock.left(settings.shortest_switch()) == Some(Duration::ZERO) => {
            (TO_END, context.termination.clone())
        }
        Moment::BeforeTasks | Moment::BeforeSwitch => {
            (settings.shortest_switch(), context.termination.clone())
        }
        // After the commit a run goes on to its end.
        Moment::Finish => (settings.reserve(), Termination::never()),
    };
    let is_first_boot = facts.live.is_empty();
    let how = if is_first_boot && moment == Moment::BeforeSwitch && !settings.tasks.is_empty() {
        // It was waited for before the tasks.
        ONCE
    } else {
        How { patient: is_first_boot, left: context.clock.left(reserve) }
    };
    let looked = look(context, facts, gathered, settings, how, &termination).await;
    let Judged { mut findings, notes } = match (looked, moment) {
        // That a secret cannot be read now says nothing about the release, which was given it.
        (Err(failure), Moment::Finish) => {
            Judged { findings: vec![], notes: vec![clean(&format!("no check was made: {failure}"))] }
        }
        (looked, _) => looked?,
    };
    for note in notes {
        let note = gathered.redactor.redact(&note);
        tracing::warn!("{note}");
        // The switch may have said so already.
        if !gathered.notes.contains(&note) {
            gathered.notes.push(note);
        }
    }
    match (findings.is_empty(), moment) {
        (true, _) => Ok(()),
        (false, Moment::BeforeTasks | Moment::BeforeSwitch) => Err(Failure::found(findings)),
        (false, Moment::Finish) => {
            let what = findings.iter().map(|finding| finding.what.clone()).collect::<Vec<_>>().join("; ");
            let fix = findings.swap_remove(0).fix;
            Err(Failure { fix, ..Failure::verdict(what, vec![]) })
        }
    }
}

/// The same for `handover plan`: once, and from here alone.
pub(super) async fn preview(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<Judged, Failure> {
    let mut settings = context.settings().clone();
    settings.checks.retain(|_, check| check.from == Vantage::Host);
    let mut judged = look(context, facts, gathered, &settings, ONCE, &context.termination).await?;
    let inside = context.settings().checks.iter().filter(|(_, check)| check.from == Vantage::Container);
    judged.notes.extend(inside.map(|(name, _)| {
        format!("check.{name} is made from inside a container: only a deployment makes it")
    }));
    Ok(judged)
}

/// Whether somebody of those who are asked from the host does not take the password that is in these secrets. Asked once, and of nothing
/// else that may be wrong.
pub(super) async fn a_password_is_refused(settings: &Settings, secrets: &Secrets) -> bool {
    let logs_in = |check: &&Check| check.from == Vantage::Host && check.needed.secret().is_some();
    let asked = settings.checks.iter().filter(|(_, check)| logs_in(check));
    let questions = asked.filter_map(|(name, check)| of_check(name, check, secrets, ONCE).ok());
    let answers = join_all(questions.map(async |question| check::ask(&question).await)).await;
    answers
        .into_iter()
        .any(|answer| answer.is_err_and(|trouble| trouble.layer == check::Layer::Authentication))
}

/// Makes the checks of some settings, and weighs what failed.
async fn look(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    settings: &Settings,
    how: How,
    termination: &Termination,
) -> Result<Judged, Failure> {
    let mut judged = Judged::default();
    if settings.checks.is_empty() {
        return Ok(judged);
    }
    // Whether a secret that AWS does not give is good, the gate shows.
    let kept = context.kept_secrets(facts);
    let settings = &without_needs_of(settings, &kept, &mut judged);
    let asks_for_one = settings.checks.values().any(|check| check.needed.secret().is_some());
    let secrets = if asks_for_one { gathered.secrets(context, facts).await? } else { Secrets::new() };
    let failed = all(context, facts, settings, &secrets, how, termination).await?;
    let live = the_same_for_live(context, facts, gathered, &failed).await;
    for Failed { name, check, trouble } in failed {
        let what = gathered.redactor.redact(&format!("check.{name}: {trouble}"));
        let finding = Finding::new(what, gathered.redactor.redact(&trouble.fix));
        let excuse = if !check.required {
            "not required"
        } else if facts.live.is_empty() {
            "no release serves yet"
        } else if facts.unchanged.is_some() || live.contains(name) {
            "it fails for the live release, too"
        } else {
            judged.findings.push(finding);
            continue;
        };
        judged.notes.push(clean(&format!("{excuse}: {finding}")));
    }
    Ok(judged)
}

/// The settings without the checks that need one of these secrets.
fn without_needs_of(settings: &Settings, kept: &BTreeSet<String>, judged: &mut Judged) -> Settings {
    let mut settings = settings.clone();
    settings.checks.retain(|name, check| {
        let Some(secret) = check.needed.secret().filter(|secret| kept.contains(*secret)) else { return true };
        judged.notes.push(format!("check.{name} is not made: AWS does not give secret {secret} now"));
        false
    });
    settings
}

/// Makes every check of some settings, side by side, and says what failed.
async fn all<'s>(
    context: &Context<'_>,
    facts: &Facts,
    settings: &'s Settings,
    secrets: &Secrets,
    how: How,
    termination: &Termination,
) -> Result<Vec<Failed<'s>>, Failure> {
    let mut asked: Vec<(&CheckName, &Check, Question)> = Vec::new();
    let mut failed = Vec::new();
    for (name, check) in &settings.checks {
        match of_check(name, check, secrets, how) {
            Ok(question) => asked.push((name, check, question)),
            Err(trouble) => failed.push(Failed { name, check, trouble }),
        }
    }
    let (outside, inside): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(_, check, _)| check.from == Vantage::Host);
    let questions: Vec<Question> = inside.iter().map(|(_, _, question)| question.clone()).collect();
    let from_here = join_all(outside.into_iter().map(async |(name, check, question)| {
        let began = Instant::now();
        let answer = check::ask(&question).await;
        say(context, name, &answer, began.elapsed());
        (name, check, answer)
    }));
    let from_there = async {
        let began = Instant::now();
        let answers = inside::ask(context, facts, &questions, termination).await;
        let answers = inside.into_iter().zip(answers);
        let told = answers.map(|((name, check, _), answer)| {
            say(context, name, &answer, began.elapsed());
            (name, check, answer)
        });
        told.collect::<Vec<_>>()
    };
    let (here, there) = join(termination.unless_requested(from_here), Box::pin(from_there)).await;
    let Some(here) = here.filter(|_| !termination.is_requested()) else {
        return Err(Failure::interrupted("checked what the app needs of others"));
    };
    failed.extend(
        here.into_iter()
            .chain(there)
            .filter_map(|(name, check, answer)| answer.err().map(|trouble| Failed { name, check, trouble })),
    );
    failed.sort_by(|a, b| a.name.cmp(b.name));
    Ok(failed)
}

/// A line for each, as soon as it is known. What failed is told with its reason at the end.
fn say(context: &Context<'_>, name: &CheckName, answer: &Result<(), Trouble>, took: Duration) {
    let took = duration(took);
    let line = match answer {
        Ok(()) => format!("check.{name}: fine ({took})"),
        Err(trouble) => format!("check.{name}: failed at {} ({took})", trouble.layer),
    };
    tracing::info!("{line}");
    context.talk.say(&format!("  ..  {line}"));
}

/// Which of the required checks that failed fail for the release that was live, too: by its own configuration, and with its
/// secrets as they are now.
async fn the_same_for_live(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    failed: &[Failed<'_>],
) -> BTreeSet<CheckName> {
    let required = failed.iter().filter(|failed| failed.check.required);
    let wanted: BTreeSet<&CheckName> = required.map(|failed| failed.name).collect();
    let release = facts.live.values().filter_map(|live| live.release).max();
    let Some(config) = release.and_then(|release| context.releases.config(release).ok().flatten()) else {
        return BTreeSet::new();
    };
    let mut settings = config.settings;
    settings.checks.retain(|name, _| wanted.contains(name));
    if settings.checks.is_empty() {
        return BTreeSet::new();
    }
    let read = secrets::read(&settings, &BTreeMap::new(), context.host, &mut gathered.redactor).await;
    let Ok(reading) = read else { return BTreeSet::new() };
    // It was waited for already.
    let termination = &context.termination;
    let failed = all(context, facts, &settings, &reading.secrets, ONCE, termination).await;
    failed.into_iter().flatten().map(|failed| failed.name.clone()).collect()
}
