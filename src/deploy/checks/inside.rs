//! Checks from inside the release's network: this very binary in a container of its own, made like one of the release's. What it
//! is to ask goes in on stdin, the answers come out on stdout: nothing of it stands in arguments or environment.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, stdin};

use crate::config::settings::Process;
use crate::config::{Config, Settings};
use crate::deploy::containers::{self, Release};
use crate::deploy::context::Context;
use crate::deploy::one_off::{Folder, runs};
use crate::environment::Secrets;
use crate::host::check::{self, Layer, Question, Trouble};
use crate::host::docker::labels::Kind;
use crate::host::docker::{Printed, Spec};
use crate::install;
use crate::journal::Facts;
use crate::model::container::{ContainerOptions, Network};
use crate::model::{Failure, ProcessName, container_name};
use crate::signal::Termination;
use crate::text::duration;

/// The hidden command that [`answer`] is.
pub const COMMAND: &str = "check-inside";

/// Where the binary is in the container.
const BINARY: &str = "/.handover";

/// Beyond what the questions themselves may take: the container's own start.
const START: Duration = Duration::from_secs(30);

/// The most that is read of the answers, in bytes.
const LONGEST: usize = 1 << 20;

/// Asks from inside, and returns the answer to each question.
pub(super) async fn ask(
    context: &Context<'_>,
    facts: &Facts,
    questions: &[Question],
    termination: &Termination,
) -> Vec<Result<(), Trouble>> {
    if questions.is_empty() {
        return vec![];
    }
    let answers = Box::pin(asked(context, facts, questions, termination)).await;
    answers.unwrap_or_else(|failure| {
        let trouble = Trouble {
            layer: Layer::Container,
            what: format!("the check cannot be made from inside a container: {}", failure.what),
            fix: failure.fix,
            passing: false,
        };
        vec![Err(trouble); questions.len()]
    })
}

async fn asked(
    context: &Context<'_>,
    facts: &Facts,
    questions: &[Question],
    termination: &Termination,
) -> Result<Vec<Result<(), Trouble>>, Failure> {
    let docker = &context.host.docker;
    let copy = install::copies::keep(&context.host.paths)?;
    let (process, its) = seen_from(context.settings())?;
    let app = &context.header.app;
    let name = container_name::one_off(app, process, context.release(), std::process::id());
    // It is what a later process finds, if this one is killed.
    let _folder = Folder::make(&runs(context.host, app), &name)?;
    let image = containers::image_of(facts, &its.workload.image)?;
    let config = Config { settings: stripped(context), ..context.config.clone() };
    let release = Release {
        number: context.release(),
        deployment: &context.header.deployment,
        config: &config,
        releases: &context.releases,
        kept: &context.releases,
    };
    let spec = containers::spec(&release, process, image, &Secrets::new(), name, Kind::Run)?;
    let spec = in_its_place(spec, copy.path);
    let id = docker.create_attended(&spec, false).await?;
    let limit = questions.iter().map(|question| question.deadline + question.timeout).max();
    let limit = limit.unwrap_or_default() + START;
    let talking = tokio::time::timeout(limit, talk(context, &id, questions));
    let talked = termination.unless_requested(talking).await;
    // Whatever came of it.
    docker.stop(&id, Duration::ZERO).await?;
    docker.remove(&id).await?;
    match talked {
        None => Err(Failure::interrupted("asked from inside a container")),
        Some(Ok(answers)) => answers,
        Some(Err(_)) => {
            Err(Failure::because(format!("its container did not answer within {}", duration(limit))))
        }
    }
}

/// Whose network it is: that of the first process on the release's own, or else on another one of containers. The host's is
/// none.
fn seen_from(settings: &Settings) -> Result<(&ProcessName, &Process), Failure> {
    let on = |fits: fn(Option<&Network>) -> bool| {
        settings.processes.iter().find(|(_, process)| fits(process.workload.options.network.as_ref()))
    };
    let found =
        on(|network| network.is_none()).or_else(|| on(|network| network.is_some_and(Network::can_publish)));
    found.ok_or_else(|| {
        let what = "no process of the app is on a network of containers";
        Failure::with_fix(what, "ask from the host: from = \"host\"")
    })
}

/// The settings of a container that is told everything by us alone.
fn stripped(context: &Context<'_>) -> Settings {
    let mut settings = context.settings().clone();
    settings.environment.clear();
    settings.files.clear();
    for process in settings.processes.values_mut() {
        process.workload.environment.clear();
        process.workload.files.clear();
    }
    settings
}

/// A container of the release, with our binary in place of its program: on its network, with its names, and nothing else of
/// what it has.
fn in_its_place(spec: Spec, binary: std::path::PathBuf) -> Spec {
    let ContainerOptions { network, dns, extra_hosts, .. } = spec.options;
    Spec {
        command: Some(vec![COMMAND.to_owned()]),
        files: vec![(binary, BINARY.to_owned())],
        publish: vec![],
        memory: None,
        options: ContainerOptions {
            network,
            dns,
            extra_hosts,
            entrypoint: Some(vec![BINARY.to_owned()]),
            ..ContainerOptions::default()
        },
        ..spec
    }
}

async fn talk(
    context: &Context<'_>,
    id: &str,
    questions: &[Question],
) -> Result<Vec<Result<(), Trouble>>, Failure> {
    let docker = &context.host.docker;
    let mut attached = docker.attach(id).await?;
    docker.start(id).await?;
    let asked = serde_json::to_vec(questions).expect("questions are plain data");
    let asking = async {
        // One that ends at once says why by its exit code.
        let _ = attached.input.write_all(&asked).await;
        let _ = attached.input.shutdown().await;
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let answering = async {
        while let Some(printed) = attached.output.next().await {
            match printed {
                Printed::Out(bytes) if out.len() < LONGEST => out.extend(bytes),
                Printed::Err(bytes) if err.len() < LONGEST => err.extend(bytes),
                _ => {}
            }
        }
    };
    futures_util::future::join(asking, answering).await;
    let answers: Option<Vec<Result<(), Trouble>>> = serde_json::from_slice(&out).ok();
    if let Some(answers) = answers.filter(|answers| answers.len() == questions.len()) {
        return Ok(answers);
    }
    let code = docker.exit_code(id).await?;
    let said = String::from_utf8_lossy(&err);
    let said = said.lines().last().unwrap_or_default();
    Err(Failure::because(format!("its container ended with code {code} and no answer {said}")))
}

/// The other end of it, in the container: reads questions, asks all of them side by side, and returns the answers, as they are to be
/// printed.
pub async fn answer() -> Result<String, String> {
    let mut text = Vec::new();
    stdin().read_to_end(&mut text).await.map_err(|error| format!("failed to read stdin: {error}"))?;
    let questions: Vec<Question> =
        serde_json::from_slice(&text).map_err(|_| "stdin holds no questions".to_owned())?;
    let answers = futures_util::future::join_all(questions.iter().map(check::ask)).await;
    serde_json::to_string(&answers).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_from_the_release_s_own_network_if_there_is_one() {
        let seen = |processes: &str| {
            let text = format!("app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n{processes}");
            let settings = crate::config::parse(&text, "handover.toml").unwrap();
            seen_from(&settings).map(|(name, _)| name.to_string()).map_err(|failure| failure.what)
        };
        let (host, backend, none) = ("network = 'host'", "network = 'backend'", "network = 'none'");
        let all = format!("[process.a]\n{host}\n[process.b]\n{backend}\n[process.c]\n{none}\n[process.d]\n");
        assert_eq!(seen(&all).as_deref(), Ok("d"));
        assert_eq!(seen(&format!("[process.a]\n{host}\n[process.b]\n{backend}\n")).as_deref(), Ok("b"));
        assert!(seen(&format!("[process.a]\n{host}\n[process.b]\n{none}\n")).is_err());
    }
}
