//! What the app needs of others.

use async_trait::async_trait;

use super::Step;
use crate::deploy::checks::{self, Moment};
use crate::deploy::context::{Context, Gathered};
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};

/// Makes every check of the configuration, at one of its moments.
pub struct Checks(Moment);

impl Checks {
    /// Before the first task: what a task changes in a database, nobody takes back.
    pub const BEFORE_TASKS: Self = Self(Moment::BeforeTasks);
    /// Before live is touched.
    pub const BEFORE_SWITCH: Self = Self(Moment::BeforeSwitch);
    /// When the new release serves, before it is recorded as good.
    pub const AT_THE_END: Self = Self(Moment::Finish);
}

#[async_trait(?Send)]
impl Step for Checks {
    fn verb(&self) -> &'static str {
        match self.0 {
            Moment::BeforeTasks => "check-needs-first",
            Moment::BeforeSwitch => "check-needs",
            Moment::Finish => "check-needs-again",
        }
    }

    fn words(&self) -> &'static str {
        match self.0 {
            Moment::BeforeTasks => "check what the app needs of others, before the tasks",
            Moment::BeforeSwitch => "check what the app needs of others",
            Moment::Finish => "check once more what the app needs of others",
        }
    }

    fn nature(&self) -> Nature {
        match self.0 {
            // A container of its own may have to be removed, so it is not just dropped.
            Moment::BeforeTasks | Moment::BeforeSwitch => Nature::PREPARES,
            Moment::Finish => Nature { touches_live: true, ..Nature::default() },
        }
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        checks::make(context, facts, gathered, self.0).await?;
        Ok(vec![])
    }
}
