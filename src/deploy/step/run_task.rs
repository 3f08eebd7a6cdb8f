//! A command that runs once.

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::task;
use crate::journal::{Fact, Facts, Inverse, TaskRun};
use crate::model::{Failure, Nature, ProcessName, container_name};

/// Runs a task to its end. Taken back, it is stopped; what it did to a database stays.
pub struct RunTask(pub ProcessName);

#[async_trait(?Send)]
impl Step for RunTask {
    fn verb(&self) -> &'static str {
        "run-task"
    }

    fn process(&self) -> Option<&ProcessName> {
        Some(&self.0)
    }

    fn words(&self) -> &'static str {
        "run the task"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn inverse(&self, context: &Context<'_>, _facts: &Facts) -> Result<Vec<Inverse>, Failure> {
        let names = [container_name::unless, container_name::task];
        let remove = |name: fn(&_, &_, _) -> String| Inverse::RemoveContainer {
            name: name(&context.header.app, &self.0, context.release()),
            deployment: context.header.deployment.clone(),
        };
        Ok(names.map(remove).into())
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let schema = context.task(&self.0)?.schema;
        let ended = task::run(context, facts, gathered, &self.0).await?;
        Ok(vec![Fact::Task { task: self.0.clone(), run: TaskRun { ended, schema } }])
    }

    async fn tidy(&self, context: &Context<'_>) {
        task::tidy(context, &self.0).await;
    }
}
