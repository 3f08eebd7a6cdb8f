//! What a deployment would find and change: everything is looked up, nothing is touched, no lock is taken.

use std::fmt;

use super::DeployError;
use super::epoch::next_number;
use super::live::live;
use super::plan;
use super::preflight::{self, Target};
use super::registry::Terms;
use super::run::Clock;
use super::secrets::Reading;
use super::step::Step;
use super::steps::image::{Meaning, ToPull};
use crate::config::Config;
use crate::host::Host;
use crate::journal::{Finding, Journal};
use crate::printer::Silent;
use crate::redact::Redactor;
use crate::release::ReleaseNumber;
use crate::report::text::amount;
use crate::state::{Record, Releases, fingerprint};

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
    old_image: Option<String>,
    image: String,
    secrets: Vec<String>,
    unchanged: bool,
    steps: Vec<Step>,
}

/// Looks everything up, by the very checks that a deployment makes.
pub async fn preview(config: &Config, host: &Host) -> Result<Preview, DeployError> {
    let settings = &config.settings;
    let state = host.paths.app(&settings.app);
    let releases = Releases::of(&state);
    let history = Journal::read(&state)?;
    let last_run = history.as_ref().and_then(|history| history.header());
    let release = match next_number(host, &releases, settings, last_run).await {
        // An Engine that does not answer is a finding among others.
        Err(DeployError::Docker(_)) => ReleaseNumber(1),
        release => release?,
    };
    let target = Target { settings, release, deployment: None, versions: std::collections::BTreeMap::new() };
    let mut redactor = Redactor::default();
    let terms = Terms { talk: &Silent, redactor: &mut redactor, clock: Clock::unlimited() };
    let looked = preflight::look(host, &target, terms).await;
    let redact = |text: &String| redactor.redact(text);
    let findings: Vec<Finding> =
        looked.found.findings.iter().map(|f| Finding::new(redact(&f.what), redact(&f.fix))).collect();
    let notes = looked.found.notes.iter().map(redact).collect();
    let changes = match (&looked.image, &looked.secrets) {
        (Some(meaning), Some(reading)) if findings.is_empty() => {
            Some(changes(config, host, releases.last_good(), meaning, reading).await?)
        }
        _ => None,
    };
    Ok(Preview { findings, notes, changes })
}

async fn changes(
    config: &Config,
    host: &Host,
    last: Option<Record>,
    meaning: &Meaning<'_>,
    reading: &Reading,
) -> Result<Changes, DeployError> {
    let settings = &config.settings;
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
    let fingerprint = fingerprint(settings, &meaning.image, versions);
    let mut unchanged = last.as_ref().is_some_and(|record| record.fingerprint.as_ref() == Some(&fingerprint));
    let mut serving = Vec::new();
    let mut old_image = None;
    for process in settings.processes.keys() {
        match live(&host.docker, settings, process).await? {
            Some(container) => {
                unchanged &= container.running;
                serving.push(format!(
                    "{}{}{}",
                    container.name,
                    container.labels.map(|l| format!(" ({})", l.release)).unwrap_or_default(),
                    if container.running { "" } else { ", NOT running" },
                ));
                old_image = Some(container.image);
            }
            None => unchanged = false,
        }
    }
    let pull = match &meaning.to_pull {
        ToPull::Nothing => "here already".to_owned(),
        ToPull::Bytes(bytes) => format!("{} to be pulled", amount(*bytes)),
        ToPull::Unknown(_) => "to be pulled".to_owned(),
    };
    Ok(Changes {
        app: settings.app.to_string(),
        live: serving,
        old_image,
        image: format!("{} ({pull})", meaning.image),
        secrets: secrets.collect(),
        unchanged,
        steps: plan::plan(settings)
            .into_iter()
            .filter(|step| !(unchanged && step.is_for_a_change()))
            .collect(),
    })
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
        if let Some(old) = &self.old_image {
            writeln!(f, "from     {old}")?;
        }
        writeln!(f, "to       {}", self.image)?;
        for secret in &self.secrets {
            writeln!(f, "secret   {secret}")?;
        }
        if self.unchanged {
            writeln!(f, "nothing would change")?;
        }
        write!(f, "steps")?;
        for step in &self.steps {
            write!(f, "\n  {}", step.label())?;
        }
        Ok(())
    }
}
