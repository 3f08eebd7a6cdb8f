//! One fault: release v1 serves, something is made to go wrong, v2 is deployed and refused, the cause is mended, and v2 is
//! deployed after all.

use std::cell::Cell;
use std::process::{Child, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use codedeploy::{DeploymentReport, ErrorCode};
use world::canary::Canary;
use world::{Bundle, Engine, World, report};

use crate::live::Before;
use crate::page;
use crate::told::{self, Told};

/// One fault on an instance where release v1 serves.
pub struct Case {
    pub world: World,
    kind: &'static str,
    fault: &'static str,
    before: Before,
    pub engine: Engine,
    /// How many deployments there were.
    deployments: Cell<u32>,
}

impl Case {
    pub fn of(kind: &'static str, fault: &'static str) -> Result<Self> {
        Self::on(World::with_v1()?, kind, fault)
    }

    /// On an instance that is made already; v1 has to serve there.
    pub fn on(world: World, kind: &'static str, fault: &'static str) -> Result<Self> {
        let (before, engine) = (Before::of(&world)?, world.engine()?);
        Ok(Self { before, world, kind, fault, engine, deployments: Cell::new(1) })
    }

    /// A deployment that is refused before it has touched live.
    pub fn refused(&self, bundle: &Bundle) -> Result<Told> {
        self.refused_in(self.begin("v1", bundle)?)
    }

    /// The same, of one that is under way.
    pub fn refused_in(&self, deployment: Child) -> Result<Told> {
        let told = self.told(&self.end(deployment)?)?;
        self.before.assert_untouched(&self.world)?;
        Ok(told)
    }

    /// A deployment that fails when live is stopped already, and puts it back.
    pub fn put_back(&self, bundle: &Bundle) -> Result<Told> {
        self.put_back_in(self.begin("v1", bundle)?)
    }

    /// The same, of one that is under way.
    pub fn put_back_in(&self, deployment: Child) -> Result<Told> {
        let told = self.told(&self.end(deployment)?)?;
        self.before.assert_the_same_but_for_a_restart(&self.world)?;
        Ok(told)
    }

    /// A deployment whose hook has not ended at its timeout, before it has touched live. What it says of that is in the line
    /// for machines: agent 1.8 has closed the pipes by then.
    pub fn timed_out_in(&self, deployment: Child) -> Result<Told> {
        let report = self.end(deployment)?;
        let failure = report.failure().context("it did not fail")?;
        ensure!(failure.error_code == ErrorCode::ScriptTimedOut, "{failure:?}");
        ensure!(failure.signal.is_none_or(|signal| signal != 9), "it had to be killed");
        let told = Told::by_machine(&self.world, &failure.event, Some(&failure.message))?;
        self.see(&told)?;
        self.before.assert_untouched(&self.world)?;
        Ok(told)
    }

    /// What a deployment says whose place another one has taken.
    pub fn replaced_in(&self, deployment: Child) -> Result<Told> {
        let told = Told::of(&self.world, &self.end(deployment)?)?;
        self.see(&told)?;
        Ok(told)
    }

    /// Live is what it was.
    pub fn is_untouched(&self) -> Result<()> {
        self.world.assert_settled("v1")?;
        self.before.assert_untouched(&self.world)
    }

    /// What a command by hand says that fails.
    pub fn told_by(&self, command: &str, output: &Output) -> Result<Told> {
        let told = Told::by_hand(command, output);
        self.see(&told)?;
        Ok(told)
    }

    /// A command by hand that has failed after the switch had begun, and that nobody heard: the line for machines tells.
    pub fn unheard(&self, command: &str) -> Result<()> {
        let told = Told::by_machine(&self.world, command, None)?;
        self.see(&told)?;
        self.before.assert_the_same_but_for_a_restart(&self.world)
    }

    /// The cause is gone: the next deployment succeeds, and nothing is half done.
    pub fn mended(&self) -> Result<()> {
        self.mended_by(&Bundle::of("v2"))
    }

    /// The same with this bundle.
    pub fn mended_by(&self, bundle: &Bundle) -> Result<()> {
        self.deployed(self.begin("v1", bundle)?, bundle.tag).map(drop)
    }

    /// The same of a deployment that is under way.
    pub fn mended_in(&self, deployment: Child) -> Result<()> {
        self.deployed(deployment, "v2").map(drop)
    }

    /// A deployment that succeeds in spite of the fault.
    pub fn succeeds(&self, bundle: &Bundle) -> Result<()> {
        self.succeeds_in(self.begin("v1", bundle)?, bundle.tag)
    }

    /// The same, of one that is under way.
    pub fn succeeds_in(&self, deployment: Child, tag: &str) -> Result<()> {
        let verdict = told::last_line(&self.world, &self.deployed(deployment, tag)?)?;
        page::row(self.kind, self.fault, ["succeeds", "", &verdict], self.engine)
    }

    fn deployed(&self, deployment: Child, tag: &str) -> Result<DeploymentReport> {
        let report = self.end(deployment)?;
        ensure!(report.succeeded(), "{:?}", report.failure());
        self.world.assert_settled(tag)?;
        Ok(report)
    }

    /// Starts a deployment by one of the two agents.
    pub fn begin(&self, agent: &str, bundle: &Bundle) -> Result<Child> {
        self.deployments.set(self.deployments.get() + 1);
        self.start(agent, bundle, &[])
    }

    /// A deployment that comes as far as before its switch, and no further.
    pub fn prepared(&self, bundle: &Bundle) -> Result<()> {
        self.deployments.set(self.deployments.get() + 1);
        let report = self.end(self.start("v1", bundle, &["--stop-after", "AfterInstall"])?)?;
        ensure!(report.failure().is_none(), "{:?}", report.failure());
        Ok(())
    }

    /// Further events of the last deployment.
    pub fn goes_on(&self, bundle: &Bundle, events: &str) -> Result<Child> {
        self.start("v1", bundle, &["--events", events])
    }

    fn start(&self, agent: &str, bundle: &Bundle, options: &[&str]) -> Result<Child> {
        let path = self.world.bundle(bundle)?;
        let id = format!("d-{:09}", self.deployments.get());
        let mut command = self.world.agent(agent, &[]);
        command.args(["deploy", "--bundle", &path, "--deployment-id", &id]).args(options);
        Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }

    /// What `handover recover` says of a deployment that was interrupted, and that it brings to its end.
    pub fn recovered(&self) -> Result<Told> {
        let output = self.world.handover(&["recover"])?;
        ensure!(output.status.success(), "{output:?}");
        self.told_by("recover", &output)
    }

    /// Waits for a deployment's end. Whatever it was, no secret is in anything that it left.
    fn end(&self, deployment: Child) -> Result<DeploymentReport> {
        let output = deployment.wait_with_output()?;
        let canary = Canary::of_the_lab();
        let found = canary.found_outside_of_containers(&self.world)?;
        ensure!(found.is_empty(), "secrets are in {found:?}");
        ensure!(!canary.is_in(&output.stdout) && !canary.is_in(&output.stderr), "CodeDeploy got secrets");
        report(&output)
    }

    fn see(&self, told: &Told) -> Result<()> {
        page::see(self.kind, self.fault, told, self.engine)
    }

    fn told(&self, report: &DeploymentReport) -> Result<Told> {
        let told = Told::of(&self.world, report)?;
        told.try_next(&self.world)?;
        self.see(&told)?;
        Ok(told)
    }
}
