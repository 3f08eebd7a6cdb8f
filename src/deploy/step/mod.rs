//! The steps of a deployment, one file a verb. A step says what it is about, what would take it back, and does it; its name
//! stands in the journal, its label in everything that people read.
//!
//! A new verb is a file here, a line in `VERBS`, and its place in a plan.

mod compare;
mod create;
mod gate;
mod keep_new;
mod park_old;
mod preflight;
mod promote;
mod protect_live;
mod pull_images;
mod recheck;
mod record;
mod release_old;
mod start_new;
mod stop_live;
mod verify;
mod write_files;

use async_trait::async_trait;

pub use compare::Compare;
pub use create::Create;
pub use gate::Gate;
pub use keep_new::KeepNew;
pub use park_old::ParkOld;
pub use preflight::Preflight;
pub use promote::Promote;
pub use protect_live::ProtectLive;
pub use pull_images::PullImages;
pub use recheck::Recheck;
pub use record::Record;
pub use release_old::ReleaseOld;
pub use start_new::StartNew;
pub use stop_live::StopLive;
pub use verify::Verify;
pub use write_files::WriteFiles;

use super::context::{Context, Gathered};
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
    |name| of_process(name, Create),
    |name| of_app(name, Recheck),
    |name| of_process(name, ProtectLive),
    |name| of_process(name, StopLive),
    |name| of_process(name, StartNew),
    |name| of_process(name, Gate),
    |name| of_process(name, KeepNew),
    |name| of_process(name, ReleaseOld),
    |name| of_process(name, ParkOld),
    |name| of_process(name, Promote),
    |name| of_process(name, Verify),
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
    use super::*;
    use crate::journal::PlannedItem;

    #[test]
    fn every_step_of_a_plan_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("templates")).unwrap();
        crate::fs::write_atomically(&dir.path().join("templates/x"), b"x", 0o600).unwrap();
        let text = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[file.'/x']\ntemplate = 'templates/x'\n[process.web]\n";
        let plan =
            crate::deploy::plan::plan(&crate::config::parse_in(dir.path(), text, "handover.toml").unwrap());
        let mut names = 0;
        for planned in &plan {
            let PlannedItem::Step { step: name, nature } = &planned.item else { continue };
            let step = named(name).unwrap_or_else(|| panic!("'{name}' is missing in VERBS"));
            assert_eq!((step.name(), step.nature()), (name.clone(), *nature));
            assert!(!step.words().is_empty());
            names += 1;
        }
        assert_eq!(names, VERBS.len(), "a verb is in no plan");
        for unknown in ["", "stop", "stop-live", "stop-live WEB", "record web", "preflight "] {
            assert!(named(unknown).is_none(), "{unknown}");
        }
    }
}
