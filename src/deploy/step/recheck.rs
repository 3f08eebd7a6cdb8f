//! Once more, right before live is touched: hooks may be minutes apart.

use std::time::Duration;

use async_trait::async_trait;

use super::Step;
use crate::deploy::context::{Context, Gathered};
use crate::deploy::health::judge;
use crate::deploy::serving;
use crate::deploy::{containers, images, network, preflight, secrets, task, volumes};
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Finding, Nature};
use crate::text::duration;

/// Looks at everything that the switch needs, and makes again what is gone: another hook prepared it, and in between
/// somebody's `docker system prune` may have taken it. What is found now costs nothing; once live is stopped, it costs
/// an outage.
pub struct Recheck;

#[async_trait(?Send)]
impl Step for Recheck {
    fn verb(&self) -> &'static str {
        "recheck"
    }

    fn words(&self) -> &'static str {
        "check that all is ready for the switch"
    }

    fn nature(&self) -> Nature {
        Nature::PREPARES
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        check_time(context)?;
        let docker = &context.host.docker;
        let live = serving::live_of_all(docker, context.settings()).await?;
        let taken = preflight::recheck(context, &live).await?;
        if !taken.is_empty() {
            return Err(Failure::found(taken));
        }
        for (process, container) in &live {
            judge::look_before(context, gathered, process, container).await?;
        }
        let mut found: Vec<Fact> = serving::as_facts(&live).collect();
        // Containers that were never started find a network of the same name.
        network::ensure(docker, context.settings(), context.release(), &context.header.deployment).await?;
        if let [lost, ..] = volumes::lost(docker, context.settings(), context.release()).await?.as_slice() {
            return Err(Failure::with_fix(
                format!("volume {lost} is gone since it was filled"),
                "deploy again: the tasks that fill it run once in a deployment",
            ));
        }
        for process in context.processes() {
            if containers::is_ready(context, facts, &process, facts.new.get(&process)).await? {
                continue;
            }
            let what =
                format!("{} is gone since it was created, and is created again", context.new_name(&process));
            tracing::warn!("{what}");
            gathered.notes.push(what);
            images::pull_all(context, facts, gathered).await?;
            let secrets = gathered.secrets(context, facts).await?;
            let id = containers::create(context, facts, &process, &secrets).await?;
            found.push(Fact::New { process, id });
        }
        for (process, id) in &facts.candidates {
            if containers::is_ready(context, facts, process, Some(id)).await? {
                continue;
            }
            images::pull_all(context, facts, gathered).await?;
            let secrets = gathered.secrets(context, facts).await?;
            let id = containers::create_candidate(context, facts, process, &secrets).await?;
            found.push(Fact::Candidate { process: process.clone(), id });
        }
        // Where the process that ran them was killed before it came to that.
        for ended in facts.tasks.keys() {
            task::tidy(context, ended).await;
        }
        if !live.is_empty() {
            check_secrets(context, facts, gathered).await?;
        }
        Ok(found)
    }
}

/// A container that was created with a password that is no longer good would not serve, and live, which has the same, would
/// not come back.
async fn check_secrets(context: &Context<'_>, facts: &Facts, gathered: &Gathered) -> Result<(), Failure> {
    // Who has used them in this very process knows that they are good, or has just read them.
    if gathered.secrets.is_some() {
        return Ok(());
    }
    let changed = secrets::changed(context.settings(), &facts.secret_versions, context.host).await;
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failure::found(
        changed
            .iter()
            .map(|name| {
                Finding::new(
                    format!("secret '{name}' has changed since this deployment read it"),
                    "deploy again: that reads the newest version",
                )
            })
            .collect(),
    ))
}

/// Live is not stopped when the hook's timeout would not leave the time for the gate and the way back.
fn check_time(context: &Context<'_>) -> Result<(), Failure> {
    let needed = context.settings().shortest_switch();
    match context.clock.left(Duration::ZERO) {
        Some(left) if left < needed => Err(Failure::with_fix(
            format!(
                "{} has {} left, and stopping, the gate and the way back may take {}",
                context.command,
                duration(left),
                duration(needed)
            ),
            format!("raise the timeout of {} in appspec.yml", context.command),
        )),
        _ => Ok(()),
    }
}
