//! Which bundle and which deployment group a command is about, when nobody says.

use std::path::{Path, PathBuf};

use super::apps::the_one;
use crate::codedeploy::appspec::AppSpecError;
use crate::config::{self, Config, ConfigError, RequestedGroup};
use crate::exit::ExitStatus;
use crate::host::Paths;
use crate::model::AppName;
use crate::printer::Printer;
use crate::state::Releases;
use crate::text::chain;

/// What a command has to work with.
pub(super) struct Chosen {
    pub(super) config: Config,
    /// The deployment group, where one is known.
    pub(super) group: Option<String>,
}

/// Why there is nothing to work with.
pub(super) struct Refusal {
    pub(super) why: String,
    /// The next command to type.
    pub(super) next: Option<String>,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, next: None }
    }
}

impl Refusal {
    /// What is wrong with a configuration. `handover lint` shows it again, with everything else that is wrong.
    pub(super) fn of_config(error: &ConfigError, bundle: &Path) -> Self {
        Self { why: chain(error), next: matches!(error, ConfigError::Wrong(_)).then(|| lint(bundle)) }
    }

    /// Says it where nothing else is reported.
    pub(super) fn tell(self, printer: &Printer) -> ExitStatus {
        printer.line(&self.why);
        if let Some(next) = self.next {
            printer.line(&format!("next:  {next}"));
        }
        ExitStatus::Usage
    }

    /// What is wrong with `appspec.yml`.
    pub(super) fn of_appspec(error: &AppSpecError, bundle: &Path) -> Self {
        let helps = matches!(error, AppSpecError::Wrong(_));
        Self { why: chain(error), next: helps.then(|| lint(bundle)) }
    }
}

fn lint(bundle: &Path) -> String {
    format!("handover lint {}", bundle.display())
}

/// Which configuration a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The folder of the bundle; the configuration of the last good release by default
    bundle: Option<PathBuf>,
    /// Which app, when several are deployed here and no bundle is given
    #[arg(long)]
    app: Option<String>,
    /// Which deployment group; that of the last good release by default
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl Which {
    /// The bundle's configuration, or that of the last release that went well, so that an operator needs no bundle.
    pub(super) fn chosen(&self) -> Result<Chosen, Refusal> {
        match &self.bundle {
            Some(bundle) => self.of_bundle(bundle),
            None => self.of_last_release(),
        }
    }

    fn of_bundle(&self, bundle: &Path) -> Result<Chosen, Refusal> {
        let last = || {
            let app = config::app(bundle)?;
            Releases::of(&Paths::of_the_system().app(&app)).last_good()?.group
        };
        let remembered = if self.group.is_none() { last() } else { None };
        let asked = match &remembered {
            Some(group) => RequestedGroup::LastRelease(group),
            None => RequestedGroup::Operator(self.group.as_deref()),
        };
        let config = config::load(bundle, asked).map_err(|error| Refusal::of_config(&error, bundle))?;
        Ok(Chosen { config, group: self.group.clone().or(remembered) })
    }

    fn of_last_release(&self) -> Result<Chosen, Refusal> {
        let paths = Paths::of_the_system();
        let app: AppName =
            the_one(&paths, self.app.as_deref()).map_err(|e| format!("{e}; give the folder of a bundle"))?;
        let releases = Releases::of(&paths.app(&app));
        let last = releases
            .last_good()
            .ok_or_else(|| format!("no release of {app} is on record: give the folder of a bundle"))?;
        if let (Some(asked), Some(kept)) = (&self.group, &last.group)
            && asked != kept
        {
            return Err(Refusal::from(format!(
                "--group is '{asked}', and what is kept of {app} {} is for group '{kept}': give the folder of a bundle",
                last.release
            )));
        }
        let config = releases.config(last.release).map_err(|e| chain(&e))?.ok_or_else(|| {
            format!("the configuration of {app} {} is lost: give the folder of a bundle", last.release)
        })?;
        Ok(Chosen { config, group: self.group.clone().or(last.group) })
    }
}
