//! A deployment that is held at a step, so that a test can do its part there.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::Result;
use codedeploy::DeploymentReport;
use lab::wait_until;
use world::{Bundle, PATIENCE, World};

/// While this file is there, a deployment does not go on.
const HELD: &str = "/opt/codedeploy-agent/held";

/// A deployment that has written down that it begins a step, and is held there.
pub struct Deploying {
    agent: Child,
    held: PathBuf,
}

impl Deploying {
    pub fn up_to(world: &World, step: &str, bundle: &Bundle, id: &str) -> Result<Self> {
        Self::by(world.agent("v1", &[]), world, step, bundle, id)
    }

    /// The same by this agent, up to its command.
    pub fn by(mut agent: Command, world: &World, step: &str, bundle: &Bundle, id: &str) -> Result<Self> {
        let path = world.bundle(bundle)?;
        let held = world.web.path(HELD);
        std::fs::write(&held, "")?;
        let hold = format!("HANDOVER_HOLD=began-{}={HELD}", step.replace(' ', "-"));
        let agent = agent.args(["--agent-env", &hold]);
        let agent = agent.args(["deploy", "--bundle", &path, "--deployment-id", id]);
        let agent = agent.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let deploying = Self { agent, held };
        let began = format!("\"entry\":\"began\",\"step\":\"{step}\"");
        wait_until(step, PATIENCE, || Ok(world.journal().contains(id) && world.journal().contains(&began)))?;
        Ok(deploying)
    }

    /// Kills handover, and gives the deployment up.
    pub fn kill(mut self, world: &World) -> Result<()> {
        world.kill_handover()?;
        let _ = self.agent.kill();
        self.wait()
    }

    /// Waits for the end of an agent whose handover is dead, or whose instance is.
    pub fn wait(self) -> Result<()> {
        self.agent.wait_with_output()?;
        std::fs::remove_file(&self.held)?;
        Ok(())
    }

    /// Lets it go on, to its end.
    pub fn ended(self) -> Result<DeploymentReport> {
        std::fs::remove_file(&self.held)?;
        world::report(&self.agent.wait_with_output()?)
    }
}
