//! The switch, stop-first: everything is ready before live is stopped, and live can be started again at every moment.

use std::time::{Duration, Instant};

use super::{StepError, secrets, undo};
use crate::deploy::live::obstacle;
use crate::deploy::preflight;
use crate::deploy::run::Run;
use crate::environment;
use crate::host::docker::labels::{Kind, Labels};
use crate::host::docker::{Container, RestartPolicy, Spec};
use crate::journal::{Fact, Inverse};
use crate::release::{ProcessName, ReleaseNumber};
use crate::report::text::chain;

/// Creates the new container, with its ports and everything else that it needs to serve, but does not start it.
pub(super) async fn create(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let secrets = secrets::of(run).await?;
    let environment = environment::render(&run.config.settings, &secrets)?;
    let files = run.config.settings.files.keys();
    let files = files.map(|path| (run.releases.file(run.release(), path), path.clone())).collect();
    let image = run
        .journal
        .history()
        .image()
        .ok_or_else(|| StepError::because("the journal does not say which image was resolved"))?
        .to_string();
    let settings = run.process(process);
    let spec = Spec {
        name: run.new_name(process),
        labels: Labels {
            app: run.config.settings.app.clone(),
            process: process.clone(),
            release: run.release(),
            deployment: run.header().deployment.clone(),
            kind: Kind::Serve,
        },
        image,
        command: settings.command.clone(),
        environment,
        files,
        publish: settings.publish.clone(),
        stop_timeout: settings.stop_timeout,
        memory: settings.memory,
        options: settings.options.clone(),
    };
    let id = run.host.docker.create(&spec).await?;
    Ok(vec![Fact::New { process: process.clone(), id }])
}

/// The live container. One that somebody else made is not ours to stop, unless the configuration says so.
async fn live_to_stop(run: &Run<'_>, process: &ProcessName) -> Result<Option<Container>, StepError> {
    let live = run.live(process).await?;
    let settings = &run.config.settings;
    match live.as_ref().and_then(|live| obstacle(live, settings, process)) {
        Some(why) => Err(StepError::because(why)),
        None => Ok(live),
    }
}

pub(super) async fn inverse_of_protect(
    run: &Run<'_>,
    process: &ProcessName,
) -> Result<Vec<Inverse>, StepError> {
    Ok(policy_as_it_is(live_to_stop(run, process).await?))
}

/// What gives a container the restart policy back that it has now; nothing if there is none.
pub(super) fn policy_as_it_is(container: Option<Container>) -> Vec<Inverse> {
    let back = |c: Container| Inverse::SetRestartPolicy { id: c.id, policy: c.restart_policy.to_string() };
    container.map(back).into_iter().collect()
}

/// `always` brings live back at a boot although it was stopped; `unless-stopped` would not.
pub(super) async fn protect(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    check_time(run, process)?;
    // Another hook looked at the ports, minutes ago maybe: what has taken one since then would show when live is down.
    let taken = preflight::recheck_ports(run, process).await?;
    if !taken.is_empty() {
        return Err(StepError::Found(taken));
    }
    let Some(live) = live_to_stop(run, process).await? else { return Ok(vec![]) };
    run.host.docker.set_restart_policy(&live.id, RestartPolicy::Always).await?;
    let release = live.labels.as_ref().map_or(ReleaseNumber::NONE, |labels| labels.release);
    Ok(vec![Fact::Live {
        process: process.clone(),
        release,
        id: live.id,
        running: live.running || live.restarting,
    }])
}

/// Live is not stopped when the hook's timeout would not leave the time for the gate and the way back.
fn check_time(run: &Run<'_>, process: &ProcessName) -> Result<(), StepError> {
    let needed = run.process(process).shortest_switch();
    match run.clock.left(Duration::ZERO) {
        Some(left) if left < needed => Err(StepError::because(format!(
            "the hook has {left:?} left, and stopping, the gate and the way back may take {needed:?}: raise 'timeout' in appspec.yml"
        ))),
        _ => Ok(()),
    }
}

pub(super) async fn inverse_of_stop(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Inverse>, StepError> {
    let Some((id, _)) = run.old(process) else { return Ok(vec![]) };
    let live = run.host.docker.inspect(&id).await?;
    // One that did not run is not started either: what is put back is what was there.
    Ok(live.filter(|l| l.running || l.restarting).map(|_| Inverse::Start { id }).into_iter().collect())
}

/// Stops live; its own stop timeout applies. Asked to stop ourselves, we do not wait for it: whatever happens next needs
/// it to be down.
pub(super) async fn stop(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let Some((id, _)) = run.old(process) else { return Ok(vec![]) };
    let Some(live) = run.host.docker.inspect(&id).await? else { return Ok(vec![]) };
    if live.running {
        run.down_since.get_or_insert_with(Instant::now);
    }
    undo::stop_or_kill(&run.host.docker, &id, live.stop_timeout, &run.termination).await?;
    if run.termination.is_requested() { Err(StepError::Interrupted) } else { Ok(vec![]) }
}

pub(super) fn inverse_of_start(run: &Run<'_>, process: &ProcessName) -> Result<Vec<Inverse>, StepError> {
    Ok(vec![Inverse::Stop { id: new_id(run, process)? }])
}

pub(super) async fn start(run: &mut Run<'_>, process: &ProcessName) -> Result<Vec<Fact>, StepError> {
    let id = new_id(run, process)?;
    run.host.docker.start(&id).await.map_err(|error| {
        let text = chain(&error);
        // The Engine's words for a command that the image does not have; it looks only now.
        let no_such_program = ["executable file not found", "no such file or directory"];
        if text.contains("exec: ") && no_such_program.iter().any(|words| text.contains(words)) {
            return StepError::because(format!(
                "{text}; the image has no such program: mend 'command' in [process.{process}], or the image"
            ));
        }
        StepError::because(text)
    })?;
    Ok(vec![])
}

/// The id of the new container, which the journal has since it was created.
pub(super) fn new_id(run: &Run<'_>, process: &ProcessName) -> Result<String, StepError> {
    run.new_id(process)
        .ok_or_else(|| StepError::because("the journal does not say which container was created"))
}
