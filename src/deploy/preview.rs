//! What a deployment would find and change: everything is looked up, nothing is touched, no lock is taken.

use std::collections::BTreeMap;
use std::fmt;

use super::DeployError;
use super::changes::{self, Answer};
use super::checks::{self, Judged};
use super::clock::Clock;
use super::context::{Context, Gathered};
use super::epoch::next_number;
use super::images::{Meaning, ToPull};
use super::preflight::{self, Target};
use super::registry::Terms;
use super::secrets::Reading;
use super::serving::Live;
use super::{plan, serving, step};
use crate::config::Config;
use crate::host::Host;
use crate::journal::{FORMAT, Fact, Facts, Header, PlannedItem};
use crate::model::{DeploymentId, Finding, ImageName, ReleaseNumber};
use crate::printer::Silent;
use crate::redact::Redactor;
use crate::signal::Termination;
use crate::state::{Record, Releases};
use crate::text::amount;

/// What would become of a deployment.
#[derive(Debug)]
pub struct Preview {
    /// What would make it fail. Nothing would be changed then.
    pub findings: Vec<Finding>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What it would change, unless something would make it fail.
    pub changes: Option<Changes>,
}

/// What would change.
#[derive(Debug)]
pub struct Changes {
    app: String,
    live: Vec<String>,
    old_images: Vec<String>,
    images: Vec<String>,
    secrets: Vec<String>,
    answer: Answer,
    steps: Vec<String>,
}

/// Looks everything up, by the very checks that a deployment makes.
pub async fn preview(config: &Config, host: &Host) -> Result<Preview, DeployError> {
    let settings = &config.settings;
    let releases = Releases::of(&host.paths.app(&settings.app));
    let release = match next_number(host, &releases, &settings.app).await {
        // An Engine that does not answer is a finding among others.
        Err(DeployError::Docker(_)) => ReleaseNumber::FIRST,
        release => release?,
    };
    let target = Target { settings, release, deployment: None, versions: &BTreeMap::new(), rollback: None };
    let mut redactor = Redactor::default();
    let terms = Terms { talk: &Silent, redactor: &mut redactor, clock: Clock::unlimited() };
    let looked = preflight::look(host, &target, terms).await;
    let redact = |text: &String| redactor.redact(text);
    let findings: Vec<Finding> =
        looked.found.findings.iter().map(|f| Finding::new(redact(&f.what), redact(&f.fix))).collect();
    let notes = looked.found.notes.iter().map(redact).collect();
    let (mut findings, mut notes): (_, Vec<String>) = (findings, notes);
    let changes = match &looked.secrets {
        Some(reading) if findings.is_empty() => {
            let live = serving::live_of_all(&host.docker, settings).await?;
            let context = as_if(config, host, releases, release, &live);
            let (changes, checked) = changes(&context, &looked.images, reading, redactor.clone()).await?;
            notes.extend(checked.notes);
            findings.extend(checked.findings);
            findings.is_empty().then_some(changes)
        }
        _ => None,
    };
    Ok(Preview { findings, notes, changes })
}

/// The context that a deployment would have.
pub(super) fn as_if<'a>(
    config: &Config,
    host: &'a Host,
    releases: Releases,
    release: ReleaseNumber,
    live: &Live,
) -> Context<'a> {
    let now = jiff::Timestamp::now();
    let header = Header {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: None,
        app: config.settings.app.clone(),
        deployment: DeploymentId::for_operator(now),
        release,
        group: None,
        rollback: None,
        returned: None,
        plan: plan::plan(&config.settings, live, &plan::former(&releases)),
        retired: vec![],
        began: now,
    };
    Context {
        host,
        config: config.clone(),
        header,
        releases,
        talk: &Silent,
        clock: Clock::unlimited(),
        termination: Termination::never(),
        command: "plan".to_owned(),
    }
}

async fn changes(
    context: &Context<'_>,
    images: &[(ImageName, Meaning)],
    reading: &Reading,
    redactor: Redactor,
) -> Result<(Changes, Judged), DeployError> {
    let settings = context.settings();
    let last: Option<Record> = context.releases.last_good();
    let versions = &reading.versions;
    let secrets = settings.secrets.iter().map(|(name, source)| {
        let Some(version) = versions.get(name) else { return format!("{name}: a literal") };
        let before = last.as_ref().and_then(|record| record.secret_versions.get(name));
        let news = match before {
            None => "read for the first time",
            Some(before) if before == version => "unchanged",
            Some(_) => "changed since the live release",
        };
        format!("{name} ({source}): {news}")
    });
    let live = serving::live_of_all(&context.host.docker, settings).await?;
    let serving = live.values().map(|container| {
        let release = container.labels.as_ref().map(|l| format!(" ({})", l.release)).unwrap_or_default();
        let state = if container.running { "" } else { ", NOT running" };
        format!("{}{release}{state}", container.name)
    });
    let mut facts = Facts::default();
    let found =
        images.iter().map(|(name, meaning)| Fact::Image { name: name.clone(), image: meaning.image.clone() });
    let read = versions
        .iter()
        .map(|(secret, version)| Fact::SecretVersion { secret: secret.clone(), version: version.clone() });
    found.chain(read).chain(serving::as_facts(&live)).for_each(|fact| facts.learn(&fact));
    let secrets_read = Some(reading.secrets.clone());
    let mut gathered = Gathered { redactor, secrets: secrets_read, ..Gathered::default() };
    let checked = checks::preview(context, &facts, &mut gathered).await;
    let checked =
        checked.unwrap_or_else(|failure| Judged { findings: failure.into_findings(), notes: vec![] });
    let asked = context.fingerprint(&facts);
    let answer = changes::needed(&live, asked.as_deref(), context, &mut gathered).await;
    let answer = answer.unwrap_or_else(|failure| Answer::Something(failure.what));
    let unchanged = matches!(answer, Answer::Nothing(_));
    let pulled = images.iter().map(|(_, Meaning { image, to_pull, .. })| match to_pull {
        ToPull::Nothing => format!("{image} (here already)"),
        ToPull::Bytes(bytes) => format!("{image} ({} to be pulled)", amount(*bytes)),
        ToPull::Unknown(_) => format!("{image} (to be pulled)"),
    });
    let mut old_images: Vec<String> = live.values().map(|container| container.image.clone()).collect();
    old_images.dedup();
    let changes = Changes {
        app: settings.app.to_string(),
        live: serving.collect(),
        old_images,
        images: pulled.collect(),
        secrets: secrets.collect(),
        steps: steps(context, &facts, unchanged),
        answer,
    };
    Ok((changes, checked))
}

/// The labels of the steps that would be made.
fn steps(context: &Context<'_>, facts: &Facts, unchanged: bool) -> Vec<String> {
    let label = |planned: &crate::journal::Planned| {
        let PlannedItem::Step { step, nature } = &planned.item else { return None };
        let step = step::named(step).filter(|step| step.applies(facts))?;
        (!unchanged || !nature.for_a_change).then(|| step.label())
    };
    context.header.plan.iter().filter_map(label).collect()
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "app      {}", self.app)?;
        writeln!(
            f,
            "live     {}",
            if self.live.is_empty() {
                "nothing: a first deployment".to_owned()
            } else {
                self.live.join(", ")
            }
        )?;
        for old in &self.old_images {
            writeln!(f, "from     {old}")?;
        }
        for image in &self.images {
            writeln!(f, "to       {image}")?;
        }
        for secret in &self.secrets {
            writeln!(f, "secret   {secret}")?;
        }
        match &self.answer {
            Answer::Nothing(_) => writeln!(f, "nothing would change")?,
            Answer::Something(why) if !self.live.is_empty() => writeln!(f, "because  {why}")?,
            Answer::Something(_) => {}
        }
        write!(f, "steps")?;
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        Ok(())
    }
}
