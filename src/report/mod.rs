//! How a run went: for people ([`tail`]), for machines ([`runs`]) and as an exit code.

mod next;
pub mod runs;
pub mod status;
pub mod tail;
pub mod text;

use std::path::PathBuf;

use serde::Serialize;

use crate::config::Settings;
use crate::deploy::driver::Outcome;
use crate::deploy::live::live;
use crate::deploy::run::Run;
use crate::exit::ExitStatus;
use crate::host::Host;
use crate::journal::{Direction, Ended, Fact, Finding};
use crate::release::{AppName, DeploymentId, ProcessName, ReleaseNumber};

/// How one process of ours left a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The app.
    pub app: AppName,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that it makes.
    pub release: ReleaseNumber,
    /// Its image, once it is known.
    pub image: Option<String>,
    /// Where the run was left.
    pub outcome: Outcome,
    /// Whether an operator asked for nothing but an end, whichever way.
    pub recovered: bool,
    /// The step that turned it back, and what was seen then.
    pub cause: Option<String>,
    /// The folder of the bundle, where one was read.
    pub bundle: Option<PathBuf>,
    /// The deployment group, where one is known.
    pub group: Option<String>,
    /// The last lines of a container that failed, without secrets.
    pub evidence: Vec<String>,
    /// Where more of them is kept.
    pub log: Option<PathBuf>,
    /// What has to be mended, each with the way out.
    pub findings: Vec<Finding>,
    /// What serves now.
    pub serving: Vec<Serving>,
    /// How long nothing answered, in milliseconds, when this process stopped what served.
    pub gap_ms: Option<u64>,
    /// What could not be undone.
    pub left_over: Vec<String>,
    /// What went wrong without harm, such as a clean-up.
    pub warnings: Vec<String>,
    /// How long each step of this process took, in milliseconds.
    pub steps: Vec<(String, u64)>,
}

/// The live container of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The process.
    pub process: ProcessName,
    /// The container's name.
    pub container: String,
    /// Its release.
    pub release: Option<ReleaseNumber>,
    /// Whether it runs.
    pub running: bool,
}

impl Report {
    /// What there is to tell about a run.
    pub async fn of(run: &Run<'_>, outcome: Outcome, warnings: Vec<String>) -> Self {
        let history = run.journal.history();
        let (cause, evidence, findings) = match history.direction() {
            Direction::Backward { cause, evidence, findings } => {
                (Some(cause.clone()), evidence.clone(), findings.clone())
            }
            Direction::Forward => (history.stuck().map(str::to_owned), vec![], vec![]),
        };
        let unchanged = history.facts().iter().find_map(|fact| match fact {
            Fact::Unchanged { release } => Some(*release),
            _ => None,
        });
        Self {
            app: run.config.settings.app.clone(),
            deployment: run.header().deployment.clone(),
            release: unchanged.unwrap_or_else(|| run.release()),
            image: history.image().map(ToString::to_string),
            outcome,
            recovered: false,
            cause,
            evidence,
            findings,
            bundle: run.config.bundle.clone(),
            group: run.header().group.clone(),
            log: next::kept_log(run.processes().iter().map(|p| run.releases.log(run.release(), p))),
            serving: serving(run.host, &run.config.settings).await,
            gap_ms: run.gap.map(milliseconds),
            left_over: run.left_over.clone(),
            warnings: run.notes.iter().cloned().chain(warnings).collect(),
            steps: run.timings.iter().map(|(step, took)| (step.clone(), milliseconds(*took))).collect(),
        }
    }

    /// The number that the shell and `CodeDeploy` see.
    pub fn exit(&self) -> ExitStatus {
        match &self.outcome {
            Outcome::Over(Ended::Deployed | Ended::Unchanged) | Outcome::Waiting => ExitStatus::Done,
            Outcome::Over(Ended::Reverted { serving: true, .. }) if self.recovered => ExitStatus::Done,
            Outcome::Over(Ended::Reverted { serving: true, .. }) => ExitStatus::Failed,
            Outcome::Over(Ended::Reverted { serving: false, .. }) | Outcome::Stuck => ExitStatus::Down,
        }
    }

    /// One word for machines.
    pub fn outcome_word(&self) -> &'static str {
        match &self.outcome {
            Outcome::Over(Ended::Deployed) => "deployed",
            Outcome::Over(Ended::Unchanged) => "unchanged",
            Outcome::Over(Ended::Reverted { .. }) => "reverted",
            Outcome::Waiting => "waiting",
            Outcome::Stuck => "stuck",
        }
    }
}

/// As it stands in JSON.
pub fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What serves now, as far as the Engine can be asked.
pub async fn serving(host: &Host, settings: &Settings) -> Vec<Serving> {
    let mut serving = Vec::new();
    for process in settings.processes.keys() {
        if let Ok(Some(container)) = live(&host.docker, settings, process).await {
            serving.push(Serving {
                process: process.clone(),
                container: container.name,
                release: container.labels.map(|labels| labels.release),
                running: container.running,
            });
        }
    }
    serving
}
