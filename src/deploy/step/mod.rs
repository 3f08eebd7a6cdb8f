//! The steps of a deployment, one file a verb. A step says what it is about, what would take it back, and does it; its name
//! stands in the journal, its label in everything that people read.
//!
//! A new verb is a file here, a line in `VERBS`, and its place in a plan.

mod bake;
mod checks;
mod clear_redirect;
mod compare;
mod create;
mod create_candidate;
mod create_network;
mod create_volumes;
mod drain_live;
mod end_redirect;
mod end_stall;
mod gate;
mod gate_candidate;
mod gate_live;
mod keep_new;
mod keep_redirect;
mod park_old;
mod preflight;
mod promote;
mod protect_live;
mod pull_images;
mod recheck;
mod record;
mod redirect;
mod release_old;
mod retire_candidate;
mod run_task;
mod stall;
mod start_candidate;
mod start_new;
mod start_service;
mod stop_live;
mod swap_together;
mod verify;
mod write_files;

use async_trait::async_trait;

pub use bake::Bake;
pub use checks::Checks;
pub use clear_redirect::ClearRedirect;
pub use compare::Compare;
pub use create::Create;
pub use create_candidate::CreateCandidate;
pub use create_network::CreateNetwork;
pub use create_volumes::CreateVolumes;
pub use drain_live::DrainLive;
pub use end_redirect::EndRedirect;
pub use end_stall::EndStall;
pub use gate::Gate;
pub use gate_candidate::GateCandidate;
pub use gate_live::GateLive;
pub use keep_new::KeepNew;
pub use keep_redirect::KeepRedirect;
pub use park_old::ParkOld;
pub use preflight::Preflight;
pub use promote::Promote;
pub use protect_live::ProtectLive;
pub use pull_images::PullImages;
pub use recheck::Recheck;
pub use record::Record;
pub use redirect::Redirect;
pub use release_old::ReleaseOld;
pub use retire_candidate::RetireCandidate;
pub use run_task::RunTask;
pub use stall::Stall;
pub use start_candidate::StartCandidate;
pub use start_new::StartNew;
pub use start_service::StartService;
pub use stop_live::StopLive;
pub use swap_together::SwapTogether;
pub use verify::Verify;
pub use write_files::WriteFiles;

use super::context::{Context, Gathered};
use crate::host::docker::start;
use crate::journal::{Fact, Facts, Inverse, LiveContainer};
use crate::model::{Failure, Nature, ProcessName};

/// One step. It observes before it acts, may be made twice, and can be taken back.
#[async_trait(?Send)]
pub trait Step {
    /// The first word of its name in the journal: `stop-live`.
    fn verb(&self) -> &'static str;

    /// The process it is about, where it is about one.
    fn process(&self) -> Option<&ProcessName> {
        None
    }

    /// What it does, in words that follow "to".
    fn words(&self) -> &'static str;

    /// What the decider and a replay have to know of it.
    fn nature(&self) -> Nature;

    /// Whether there is anything for it to do. On a first deployment nothing is stopped.
    fn applies(&self, _facts: &Facts) -> bool {
        true
    }

    /// What would take it back, seen before it is made.
    async fn inverse(&self, _context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        Ok(vec![])
    }

    /// Makes it. It may have been made before, in whole or in part.
    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure>;

    /// Clears away what only had to be there until its end was in the journal. It may not come to that, so nothing depends on it.
    async fn tidy(&self, _context: &Context<'_>) {}

    /// Its name in the journal: `stop-live web`.
    fn name(&self) -> String {
        match self.process() {
            Some(process) => format!("{} {process}", self.verb()),
            None => self.verb().to_owned(),
        }
    }

    /// What it does, for people: `web: stop the live container`.
    fn label(&self) -> String {
        match self.process() {
            Some(process) => format!("{process}: {}", self.words()),
            None => self.words().to_owned(),
        }
    }
}

type Make = fn(&str) -> Option<Box<dyn Step>>;

/// Every verb there is. What a step is about stands behind its verb in the name.
const VERBS: &[Make] = &[
    |name| of_app(name, Preflight),
    |name| of_app(name, Compare),
    |name| of_app(name, PullImages),
    |name| of_app(name, WriteFiles),
    |name| of_app(name, CreateNetwork),
    |name| of_app(name, CreateVolumes),
    |name| of_process(name, StartService),
    |name| of_process(name, Create),
    |name| of_process(name, CreateCandidate),
    |name| of_app(name, Checks::BEFORE_TASKS),
    |name| of_process(name, RunTask),
    |name| of_app(name, GateLive),
    |name| of_app(name, Checks::BEFORE_SWITCH),
    |name| of_app(name, Recheck),
    |name| of_process(name, StartCandidate),
    |name| of_process(name, GateCandidate),
    |name| of_app(name, Redirect),
    |name| of_app(name, Bake),
    |name| of_app(name, KeepRedirect),
    |name| of_process(name, ProtectLive),
    |name| of_process(name, Stall),
    |name| of_process(name, DrainLive),
    |name| of_process(name, StopLive),
    |name| of_process(name, StartNew),
    |name| of_process(name, Gate),
    |name| of_process(name, EndStall),
    |name| of_app(name, SwapTogether::of(name)?),
    |name| of_app(name, EndRedirect),
    |name| of_process(name, RetireCandidate),
    |name| of_app(name, ClearRedirect),
    |name| of_process(name, KeepNew),
    |name| of_process(name, ReleaseOld),
    |name| of_process(name, ParkOld),
    |name| of_process(name, Promote),
    |name| of_process(name, Verify),
    |name| of_app(name, Checks::AT_THE_END),
    |name| of_app(name, Record),
];

/// The step of this name; nothing when this version has no such verb.
pub fn named(name: &str) -> Option<Box<dyn Step>> {
    VERBS.iter().find_map(|make| make(name))
}

fn of_app<S: Step + 'static>(name: &str, step: S) -> Option<Box<dyn Step>> {
    (step.name() == name).then(|| Box::new(step) as Box<dyn Step>)
}

fn of_process<S: Step + 'static>(name: &str, step: fn(ProcessName) -> S) -> Option<Box<dyn Step>> {
    let (_, process) = name.split_once(' ')?;
    of_app(name, step(process.parse().ok()?))
}

/// The id of the new container, which the journal has since it was created.
fn new_id(facts: &Facts, process: &ProcessName) -> Result<String, Failure> {
    let id = facts.new.get(process).cloned();
    id.ok_or_else(|| Failure::because("the journal does not say which container was created"))
}

/// The id of the candidate, likewise.
fn candidate_id(facts: &Facts, process: &ProcessName) -> Result<String, Failure> {
    let id = facts.candidates.get(process).cloned();
    id.ok_or_else(|| Failure::because("the journal does not say which candidate was created"))
}

/// Starts a container of a process.
async fn start(context: &Context<'_>, id: &str, process: &ProcessName) -> Result<(), Failure> {
    let started = context.host.docker.start(id).await;
    started.map_err(|error| start::explained(error, &format!("process.{process}")))
}

/// The container that was live when the switch began.
fn old<'f>(facts: &'f Facts, process: &ProcessName) -> Option<&'f LiveContainer> {
    facts.live.get(process)
}

/// What gives a container the restart policy back that it has now; nothing where there is none.
async fn policy_as_it_is(context: &Context<'_>, id: &str) -> Result<Vec<Inverse>, Failure> {
    let container = context.host.docker.inspect(id).await?;
    let back = |policy: String| Inverse::SetRestartPolicy { id: id.to_owned(), policy };
    Ok(container.map(|c| back(c.restart_policy.to_string())).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::settings::Order;
    use crate::deploy::plan::plan;
    use crate::deploy::serving::Live;
    use crate::host::docker::Container;
    use crate::journal::PlannedItem;

    #[test]
    fn every_step_of_a_plan_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("templates")).unwrap();
        crate::fs::write_atomically(&dir.path().join("templates/x"), b"x", 0o600).unwrap();
        let text = "app = 'a'\ndisposable = true\n[image]\nrepository = 'x'\ntag = 't'\n[file.'/x']\ntemplate = 'templates/x'\n[check.x]\ndns = 'x'\n[process.web]\npublish = ['80:80']\nvolumes = ['@static:/srv']\n[process.api]\norder = 'stop-first'\nstall = '5s'\npublish = ['81:81']\n[process.worker]\n[process.low]\nstop-timeout = '10m'\n[process.high]\nstop-timeout = '10m'\n[task.migrate]\ncommand = ['migrate']\nschema = true\n[service.database]\n";
        let settings = crate::config::parse_in(dir.path(), text, "handover.toml").unwrap();
        let mut verbs = BTreeSet::new();
        // Both orders.
        let running = |port: &str| {
            let running = serde_json::json!({
                "State": { "Running": true },
                "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": port }] } },
            });
            Container::of(serde_json::from_value(running).unwrap())
        };
        let live = Live::from(
            [("web", "80"), ("api", "81")].map(|(name, port)| (name.parse().unwrap(), running(port))),
        );
        let plan = |live: &Live| plan(&settings, live, &Order::default());
        for planned in plan(&Live::new()).iter().chain(&plan(&live)) {
            let PlannedItem::Step { step: name, nature } = &planned.item else { continue };
            let step = named(name).unwrap_or_else(|| panic!("'{name}' is missing in VERBS"));
            assert_eq!((step.name(), step.nature()), (name.clone(), *nature));
            assert!(!step.words().is_empty());
            verbs.insert(step.verb());
        }
        assert_eq!(verbs.len(), VERBS.len(), "a verb is in no plan");
        for unknown in ["", "stop", "stop-live", "stop-live WEB", "record web", "preflight "] {
            assert!(named(unknown).is_none(), "{unknown}");
        }
    }
}
