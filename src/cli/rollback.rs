//! `handover rollback`.

use std::time::Instant;

use super::apps;
use super::bundle::Refusal;
use super::deploy::{Without, execute};
use super::ending::Ending;
use crate::deploy::rollback::{Chosen, RollbackError, Wanted, choose};
use crate::deploy::{DOCKER_PATIENCE, DeployError, Request};
use crate::exit::ExitStatus;
use crate::host::{Host, Paths};
use crate::model::{AppName, ImageDigest, ReleaseNumber};
use crate::printer::Printer;
use crate::signal::Termination;

/// `handover rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release to go back to, such as r12; the last good one before live by default
    release: Option<ReleaseNumber>,
    /// Which app, when several are deployed here
    #[arg(long)]
    app: Option<String>,
    /// Also where a task has moved the schema of a database since: only if the old code works with the new schema
    #[arg(long)]
    across_migration: bool,
    /// Let no deployment bring the image that is live now to this instance again, until it is released
    #[arg(long)]
    block_digest: bool,
    #[command(flatten)]
    without: Without,
}

pub(super) async fn run(args: Args) -> ExitStatus {
    let start = Instant::now();
    let printer = Printer::new(false);
    let ending = Ending::of(&printer, "rollback", start);
    let app = match apps::the_one(&Paths::of_the_system(), args.app.as_deref()) {
        Ok(app) => app,
        Err(error) => return ending.refuse(&Refusal::from(error)),
    };
    let ending = ending.about(&app);
    let chosen = match chosen(&args, &app).await {
        Ok(chosen) => chosen,
        Err(RollbackError::Docker(error)) => return ending.error(&error.into()).await,
        Err(error) => return ending.cannot(&error),
    };
    let to = chosen.rollback.to;
    let from = chosen.live.map(|live| format!(" from {live}")).unwrap_or_default();
    printer.line(&format!("handover: {app} goes back{from} to {to}"));
    args.without.say(&printer);
    let blocked = chosen.rollback.block.clone();
    let request = match request(&args, chosen) {
        Ok(request) => request,
        Err(error) => return ending.error(&error).await,
    };
    let status = execute(request, ending).await;
    if status == ExitStatus::Done {
        say_what_comes(&printer, &blocked);
    }
    status
}

async fn chosen(args: &Args, app: &AppName) -> Result<Chosen, RollbackError> {
    let host = Host::of_the_system_within(DOCKER_PATIENCE).await?;
    host.docker.wait_until_up(DOCKER_PATIENCE).await?;
    let Args { release, across_migration, block_digest, .. } = *args;
    choose(app, &host, Wanted { release, across_migration, block_digest }).await
}

fn request(args: &Args, chosen: Chosen) -> Result<Request, DeployError> {
    let Chosen { mut config, group, rollback, .. } = chosen;
    args.without.leave_out(&mut config.settings);
    let termination = Termination::listen().map_err(|_| DeployError::Interrupted)?;
    let request = Request::of_operator(config, group, "rollback", termination);
    Ok(Request { rollback: Some(rollback), ..request })
}

/// CodeDeploy does not know what was done here.
fn say_what_comes(printer: &Printer, blocked: &[ImageDigest]) {
    for digest in blocked {
        let digest = digest.short();
        printer.line(&format!(
            "note:  digest {digest} is blocked on this instance until: handover releases --unblock {digest}"
        ));
    }
    for line in [
        "note:  CodeDeploy does not know of this: an Auto Scaling launch or a redeploy brings back the last revision",
        "       that CodeDeploy deployed with success. Deploy a corrected one as soon as you can",
    ] {
        printer.line(line);
    }
}
