//! What a deployment would change: everything is looked up, nothing is touched, no lock is taken.

use std::collections::BTreeMap;
use std::fmt;

use super::plan;
use super::step::Step;
use crate::config::Config;
use crate::host::Host;
use crate::release::{ImageRef, container_name};
use crate::secret::Redactor;
use crate::state::{Releases, fingerprint};

/// What would change.
#[derive(Debug)]
pub struct Preview {
    app: String,
    live: Vec<String>,
    old_image: Option<String>,
    image: ImageRef,
    here: bool,
    secrets: Vec<String>,
    unchanged: bool,
    steps: Vec<Step>,
}

/// Looks everything up.
pub async fn preview(config: &Config, host: &Host) -> anyhow::Result<Preview> {
    let settings = &config.settings;
    let releases = Releases::of(&host.paths.app(&settings.app));
    let aws = host.aws.get().await?;
    let repository = aws.whole_name(&settings.image.repository).await?;
    let login = aws.registry_login(&repository).await?;
    let digest = host.docker.resolve(&repository.to_string(), &settings.image.tag, &login).await?;
    let image = ImageRef { repository: repository.to_string(), digest };

    let last = releases.last_good();
    let mut secrets = Vec::new();
    let mut redactor = Redactor::default();
    let reading = super::secrets::read(settings, &BTreeMap::new(), host, &mut redactor).await;
    let versions = reading.map_err(|failures| anyhow::anyhow!(failures.join("; ")))?.versions;
    for (name, source) in &settings.secrets {
        let Some(version) = versions.get(name) else {
            secrets.push(format!("{name}: a literal"));
            continue;
        };
        let before = last.as_ref().and_then(|record| record.secret_versions.get(name));
        let news = match before {
            None => "read for the first time",
            Some(before) if before == version => "unchanged",
            Some(_) => "changed since the live release",
        };
        secrets.push(format!("{name} ({source}): {news}"));
    }
    let fingerprint = fingerprint(settings, &image, &versions);
    let mut unchanged = last.as_ref().is_some_and(|record| record.fingerprint.as_ref() == Some(&fingerprint));
    let mut live = Vec::new();
    let mut old_image = None;
    for process in settings.processes.keys() {
        let name = container_name::live(&settings.app, process);
        match host.docker.inspect(&name).await? {
            Some(container) => {
                unchanged &= container.running;
                live.push(format!(
                    "{name}{}{}",
                    container.labels.map(|l| format!(" ({})", l.release)).unwrap_or_default(),
                    if container.running { "" } else { ", NOT running" },
                ));
                old_image = Some(container.image);
            }
            None => unchanged = false,
        }
    }
    let steps =
        plan::plan(settings).into_iter().filter(|step| !(unchanged && step.is_for_a_change())).collect();
    let here = host.docker.has_image(&image).await?;
    Ok(Preview { app: settings.app.to_string(), live, old_image, image, here, secrets, unchanged, steps })
}

impl fmt::Display for Preview {
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
        writeln!(
            f,
            "to       {}{}",
            self.image,
            if self.here { " (here already)" } else { " (to be pulled)" }
        )?;
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
