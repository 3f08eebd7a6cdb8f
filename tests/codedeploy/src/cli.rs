//! The command line.
#![expect(clippy::doc_markdown, reason = "help texts are plain text")]

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

use codedeploy::{
    Agent, Creator, Deployment, DeploymentKind, EventReport, FileExists, Revision, Version, WorkingDirectory,
    generated_id, group_id_of, lifecycle,
};

/// Simulates the AWS CodeDeploy agent on this host: its hook rules, its directories, its reports. No AWS.
///
/// Exit codes: 0 Succeeded, 1 Failed, 2 usage or the simulator's own trouble.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(flatten)]
    agent: AgentArgs,
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Args)]
struct AgentArgs {
    /// Whose rules: v1 is the agent in Ruby (1.8.1), v2 the one in Rust (2.1.0)
    #[arg(long, value_enum, global = true, default_value = "v1")]
    agent: VersionArg,
    /// The deployment root
    #[arg(long, global = true, default_value = "/opt/codedeploy-agent/deployment-root")]
    root: PathBuf,
    /// The agent's working directory, which hooks get: a path, or "deleted" for one that is gone
    #[arg(long, global = true, default_value = "/")]
    cwd: String,
    /// Add a variable to the agent's environment, which hooks inherit; it has PATH and LANG
    #[arg(long = "agent-env", global = true, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Revisions that stay on disk
    #[arg(long, global = true, default_value_t = 5)]
    max_revisions: usize,
    /// v2: seconds from TERM to KILL
    #[arg(long, global = true, default_value_t = 5.0, value_name = "SECONDS")]
    kill_grace: f64,
    /// v1: kill a hook that ignores TERM for so long; the agent itself would wait for ever
    #[arg(long, global = true, value_name = "SECONDS")]
    hang_limit: Option<f64>,
    /// v2: `restrict_hook_env_to_allowlist`
    #[arg(long, global = true)]
    restrict_hook_env: bool,
    /// v2: `strip_loader_env_in_hooks`
    #[arg(long, global = true)]
    strip_loader_env: bool,
    /// Print the report as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VersionArg {
    V1,
    V2,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Run a deployment
    Deploy(DeployArgs),
    /// Run one event of a deployment; what went before is on disk under the root
    Event(EventArgs),
    /// Start the agent and nothing else: report events that a crash interrupted (code 7)
    Recover,
}

#[derive(Debug, Args)]
struct DeployArgs {
    #[command(flatten)]
    deployment: DeploymentArgs,
    /// The order behind a load balancer, with the traffic events
    #[arg(long)]
    load_balancer: bool,
    /// These events in this order instead
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["load_balancer", "only"])]
    events: Option<Vec<String>>,
    /// End after this event
    #[arg(long, value_name = "EVENT", conflicts_with = "only")]
    stop_after: Option<String>,
    /// Run this event alone
    #[arg(long, value_name = "EVENT")]
    only: Option<String>,
    /// Deploy the bundle of an earlier deployment under a new id, the way CodeDeploy rolls back
    #[arg(long, value_name = "DEPLOYMENT_ID", conflicts_with = "bundle")]
    rollback_to: Option<String>,
}

#[derive(Debug, Args)]
struct EventArgs {
    /// Its name
    event: String,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
struct DeploymentArgs {
    /// The bundle, a directory
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// d-XXXXXXXXX; a new one by default
    #[arg(long)]
    deployment_id: Option<String>,
    /// Application name
    #[arg(long, default_value = "Application")]
    application: String,
    /// Deployment group name
    #[arg(long, default_value = "test")]
    group: String,
    /// Deployment group id, by default one that belongs to the name
    #[arg(long, value_name = "UUID")]
    group_id: Option<String>,
    /// Where the revision came from: decides the `BUNDLE_*` variables
    #[arg(long, value_enum, default_value = "none")]
    revision_env: RevisionArg,
    /// `BUNDLE_BUCKET`
    #[arg(long, default_value = "codedeploy-bundles")]
    bundle_bucket: String,
    /// `BUNDLE_KEY`, by default made from the application's name
    #[arg(long)]
    bundle_key: Option<String>,
    /// `BUNDLE_VERSION`; unset without, as on an unversioned bucket
    #[arg(long)]
    bundle_version: Option<String>,
    /// `BUNDLE_ETAG`; unset without (v2 then knows it from the download)
    #[arg(long)]
    bundle_etag: Option<String>,
    /// `BUNDLE_COMMIT`
    #[arg(long, default_value = "0123456789abcdef0123456789abcdef01234567")]
    bundle_commit: String,
    /// The service's own rollback
    #[arg(long)]
    rollback: bool,
    /// Blue/green instead of in place
    #[arg(long)]
    blue_green: bool,
    /// DISALLOW, OVERWRITE or RETAIN
    #[arg(long, default_value = "DISALLOW")]
    file_exists_behavior: FileExists,
    /// Go on after a failed ApplicationStop, BeforeBlockTraffic or AfterBlockTraffic
    #[arg(long)]
    ignore_application_stop_failures: bool,
    /// Name of the appspec file
    #[arg(long, default_value = "appspec.yml")]
    appspec_filename: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RevisionArg {
    S3,
    Github,
    None,
}

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let json = self.agent.json;
        let agent = self.agent.agent()?;
        match self.command {
            Cmd::Recover => {
                let reports = agent.recover()?;
                if json {
                    return print(&serde_json::json!({ "recovered": reports })).map(|()| ExitCode::SUCCESS);
                }
                reports.iter().try_for_each(show)?;
                Ok(ExitCode::SUCCESS)
            }
            Cmd::Deploy(args) => {
                let events = args.order()?;
                let mut deployment = args.deployment.deployment(None)?;
                if let Some(earlier) = &args.rollback_to {
                    let archive = agent.layout.archive_dir(&deployment.group_id, earlier);
                    ensure!(archive.is_dir(), "the revision of {earlier} is not on this host, use --bundle");
                    deployment.bundle = Some(archive);
                    deployment.creator = Creator::CodeDeployRollback;
                }
                let downloads = events.iter().any(|event| event == lifecycle::DOWNLOAD_BUNDLE);
                ensure!(deployment.bundle.is_some() || !downloads, "--bundle or --rollback-to is needed");
                run(&agent, &deployment, &events, json)
            }
            Cmd::Event(args) => {
                let id = args.deployment.deployment_id.clone();
                let deployment =
                    args.deployment.deployment(id.context("--deployment-id is needed")?.into())?;
                run(&agent, &deployment, &[args.event], json)
            }
        }
    }
}

impl AgentArgs {
    fn agent(&self) -> Result<Agent> {
        let version = match self.agent {
            VersionArg::V1 => Version::V1,
            VersionArg::V2 => Version::V2,
        };
        let root = std::path::absolute(&self.root).context("the root")?;
        let mut agent = Agent::new(version, root);
        agent.cwd = match self.cwd.as_str() {
            "deleted" => WorkingDirectory::Deleted,
            path => WorkingDirectory::Path(path.into()),
        };
        for variable in &self.env {
            let (name, value) = variable.split_once('=').context("--agent-env wants NAME=VALUE")?;
            agent.env.insert(name.to_owned(), value.to_owned());
        }
        agent.max_revisions = self.max_revisions;
        agent.kill_grace = Duration::try_from_secs_f64(self.kill_grace).context("--kill-grace")?;
        agent.hang_limit =
            self.hang_limit.map(Duration::try_from_secs_f64).transpose().context("--hang-limit")?;
        agent.restrict_hook_env = self.restrict_hook_env;
        agent.strip_loader_env = self.strip_loader_env;
        Ok(agent)
    }
}

impl DeployArgs {
    fn order(&self) -> Result<Vec<String>> {
        if let Some(only) = &self.only {
            return Ok(vec![only.clone()]);
        }
        let mut events = self.events.clone().unwrap_or_else(|| lifecycle::in_place(self.load_balancer));
        if let Some(last) = &self.stop_after {
            let Some(at) = events.iter().position(|event| event == last) else {
                bail!("--stop-after: {last} is not in the order {}", events.join(", "));
            };
            events.truncate(at + 1);
        }
        Ok(events)
    }
}

impl DeploymentArgs {
    fn deployment(self, id: Option<String>) -> Result<Deployment> {
        let id = id.or(self.deployment_id).unwrap_or_else(generated_id);
        ensure!(!id.is_empty() && !id.contains('/') && !id.starts_with('.'), "{id} is no deployment id");
        let revision = match self.revision_env {
            RevisionArg::None => Revision::Local,
            RevisionArg::S3 => Revision::S3 {
                bucket: self.bundle_bucket,
                key: self.bundle_key.unwrap_or_else(|| format!("{}.tar", self.application)),
                version: self.bundle_version,
                etag: self.bundle_etag,
            },
            RevisionArg::Github => Revision::GitHub { commit: self.bundle_commit },
        };
        Ok(Deployment {
            id,
            group_id: self.group_id.unwrap_or_else(|| group_id_of(&self.group)),
            application: self.application,
            group: self.group,
            bundle: self.bundle,
            revision,
            creator: if self.rollback { Creator::CodeDeployRollback } else { Creator::User },
            kind: if self.blue_green { DeploymentKind::BlueGreen } else { DeploymentKind::InPlace },
            file_exists: self.file_exists_behavior,
            ignore_stop_failures: self.ignore_application_stop_failures,
            appspec: self.appspec_filename,
        })
    }
}

fn run(agent: &Agent, deployment: &Deployment, events: &[String], json: bool) -> Result<ExitCode> {
    let mut broken = Ok(());
    let mut say = |result: io::Result<()>| {
        if broken.is_ok() {
            broken = result;
        }
    };
    if !json {
        say(writeln!(
            io::stdout(),
            "{}  {} / {}  (agent {})",
            deployment.id,
            deployment.application,
            deployment.group,
            agent.version.name()
        ));
    }
    let report = agent.deploy(deployment, events, &mut |event| {
        if !json {
            say(show(event));
        }
    })?;
    if json {
        print(&report)?;
    } else {
        say(writeln!(io::stdout(), "{}  {:?}", report.deployment_id, report.status));
    }
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(report: &EventReport) -> io::Result<()> {
    writeln!(io::stdout(), "{report}")
}

fn print(value: &impl serde::Serialize) -> Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(value)?).context("printing the report")
}
