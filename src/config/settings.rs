//! The configuration as meant: validated, with its defaults, and no `Option` without a meaning.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::container::{ContainerOptions, Network, meant_options};
use super::diagnostic::{Mistake, nearest};
use super::file;
pub use super::health::{Health, Probe};
use super::health::{at_least, default_probe, health_with, meant_health};
use super::repository::Repository;
use super::units::{Bytes, Publish};
use crate::environment;
use crate::release::{AppName, ProcessName};

/// What a bundle asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// The app's name.
    pub app: AppName,
    /// The image of every process.
    pub image: ImageSource,
    /// Where secrets come from, by the name that the rest of the file uses.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The environment of every process.
    pub environment: BTreeMap<String, Value>,
    /// The long-running commands.
    pub processes: BTreeMap<ProcessName, Process>,
}

/// Which image.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSource {
    /// Its repository.
    pub repository: Repository,
    /// A tag, resolved to a digest once per deployment.
    pub tag: String,
}

/// How the text of a secret is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretFormat {
    /// A JSON object; its members are the fields.
    #[default]
    Json,
    /// Plain text; one field, `value`.
    Text,
}

/// One secret of Secrets Manager.
#[derive(Debug, Clone, Serialize)]
pub struct SecretSource {
    /// Name or ARN.
    pub id: String,
    /// How it is read.
    pub format: SecretFormat,
    /// What it lacks, such as the host in the secrets that RDS manages.
    pub fields: BTreeMap<String, String>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// As it is.
    Literal(String),
    /// A field of a secret.
    Secret {
        /// The secret's name in this file.
        secret: String,
        /// Its field.
        field: String,
        /// What stands in when the secret has no such field.
        default: Option<String>,
    },
    /// Rendered with every secret as a variable.
    Template(String),
}

/// One long-running command.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// What runs; the image's own command when there is none.
    pub command: Option<Vec<String>>,
    /// The ports of the host that lead to it.
    pub publish: Vec<Publish>,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// The most memory it may use.
    pub memory: Option<Bytes>,
    /// A container that somebody else made, from which it is handed over the first time. It is no part of a release.
    #[serde(skip)]
    pub replaces: Option<String>,
    /// When it counts as healthy.
    pub health: Health,
    /// What else its container is made of.
    #[serde(flatten)]
    pub options: ContainerOptions,
}

/// Docker's own ten seconds are short for a web server that finishes its requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

impl Process {
    /// What putting the old release back may take: the new container's stop, live's start and its gate.
    pub fn reserve(&self) -> Duration {
        const START: Duration = Duration::from_secs(5);
        const BOOT: Duration = Duration::from_secs(30);
        self.stop_timeout.min(UNPROVEN_STOP)
            + START
            + self.health.deadline.min(self.health.min_healthy + BOOT)
    }

    /// The least time that a switch needs, with what it needs to go back.
    pub fn shortest_switch(&self) -> Duration {
        self.stop_timeout + self.health.shortest() + self.reserve()
    }
}

/// The longest that a container which did not pass its gate may take to stop: nothing serves meanwhile.
pub const UNPROVEN_STOP: Duration = Duration::from_secs(10);

impl Settings {
    /// Gives a parsed file its meaning.
    pub(super) fn from_file(file: file::ConfigFile) -> Result<Self, Mistake> {
        let tag = file.image.tag;
        let is_tag = |t: &str| {
            !t.is_empty()
                && t.len() <= 128
                && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !is_tag(tag.get_ref()) {
            return Err(Mistake::at(tag.span(), format!("'{}' is not a tag of an image", tag.get_ref())));
        }
        let secrets = file
            .secret
            .into_iter()
            .map(|(name, secret)| Ok((name, secret_source(secret)?)))
            .collect::<Result<BTreeMap<_, _>, Mistake>>()?;
        let environment = file
            .environment
            .into_iter()
            .map(|(name, value)| Ok((variable_name(name)?, variable(value, &secrets)?)))
            .collect::<Result<_, Mistake>>()?;
        let span = file.process.span();
        let written = file.process.into_inner();
        if written.is_empty() {
            return Err(
                Mistake::at(span, "no process: there is nothing to deploy").help("add a table [process.web]")
            );
        }
        if let Some((second, _)) = written.iter().nth(1) {
            return Err(Mistake::at(
                second.span(),
                format!(
                    "more than one process is not supported by handover {} yet",
                    env!("CARGO_PKG_VERSION")
                ),
            )
            .help("keep one table [process.NAME]"));
        }
        let processes = written
            .into_iter()
            .map(|(name, process)| Ok((name.get_ref().clone(), meant_process(process, &name)?)))
            .collect::<Result<_, Mistake>>()?;
        let image = ImageSource { repository: file.image.repository, tag: tag.into_inner() };
        Ok(Self { app: file.app, image, secrets, environment, processes })
    }
}

fn secret_source(secret: file::Secret) -> Result<SecretSource, Mistake> {
    let (span, id) = (secret.id.span(), secret.id.into_inner());
    if id.is_empty() {
        return Err(Mistake::at(span, "the id of a secret is empty").help("write its name or ARN"));
    }
    // arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME has seven parts; ECS's long form has more.
    if id.starts_with("arn:") && id.split(':').count() != 7 {
        return Err(Mistake::at(span, "this is not the ARN of a secret").help(
            "write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, without key, stage and version",
        ));
    }
    let fields = secret
        .fields
        .into_iter()
        .map(|(name, field)| match field {
            file::Field::Text(text) => (name, text),
            file::Field::Number(number) => (name, number.to_string()),
        })
        .collect();
    Ok(SecretSource { id, format: secret.format, fields })
}

fn variable_name(name: Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err(Mistake::at(
            name.span(),
            format!("'{text}' cannot be the name of an environment variable"),
        ));
    }
    Ok(name.into_inner())
}

fn variable(value: Spanned<file::Value>, secrets: &BTreeMap<String, SecretSource>) -> Result<Value, Mistake> {
    let span = value.span();
    let known = |name: &str, span: &Range<usize>| {
        if secrets.contains_key(name) {
            return Ok(());
        }
        let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
        let help =
            if names.is_empty() { format!("add a table [secret.{name}]") } else { nearest(name, &names) };
        Err(Mistake::at(span.clone(), format!("no secret is called '{name}'")).help(help))
    };
    match value.into_inner() {
        file::Value::Literal(text) => Ok(Value::Literal(text)),
        file::Value::Secret(file::FromSecret { secret, default }) => {
            let Some((name, field)) = secret.split_once('.') else {
                return Err(Mistake::at(span, format!("'{secret}' does not say which field"))
                    .help(format!("write \"{secret}.FIELD\", such as \"{secret}.password\"")));
            };
            known(name, &span)?;
            Ok(Value::Secret { secret: name.to_owned(), field: field.to_owned(), default })
        }
        file::Value::Template(file::FromTemplate { template }) => {
            for name in environment::template_names(&template)
                .map_err(|e| Mistake::at(span.clone(), format!("this is no template: {e}")))?
            {
                known(&name, &span)?;
            }
            Ok(Value::Template(template))
        }
    }
}

fn meant_process(process: file::Process, name: &Spanned<ProcessName>) -> Result<Process, Mistake> {
    let publish: Vec<Publish> = process.publish.iter().map(|p| *p.get_ref()).collect();
    for (i, port) in process.publish.iter().enumerate() {
        let same =
            |other: &Publish| other.host == port.get_ref().host && other.protocol == port.get_ref().protocol;
        if publish[..i].iter().any(same) {
            return Err(Mistake::at(
                port.span(),
                format!("port {} of the host is published twice", port.get_ref().host),
            ));
        }
    }
    check_order(process.order.as_ref(), !publish.is_empty(), name)?;
    if let Some(command) = process.command.as_ref().filter(|c| c.get_ref().is_empty()) {
        return Err(
            Mistake::at(command.span(), "the command is empty").help("leave it out to run the image's own")
        );
    }
    let options = meant_options(&process)?;
    let health = match process.health {
        Some(health) => {
            let span = health.span();
            let meant = meant_health(health.into_inner(), span.clone(), &publish)?;
            check_reach(&meant.probe, options.network.as_ref(), span)?;
            meant
        }
        None => health_with(default_probe(&publish)),
    };
    Ok(Process {
        command: process.command.map(Spanned::into_inner),
        publish,
        stop_timeout: at_least(process.stop_timeout, Duration::from_secs(1), STOP_TIMEOUT)?,
        memory: process.memory.map(Spanned::into_inner),
        replaces: process.replaces.map(container).transpose()?,
        health,
        options,
    })
}

/// A container's name as Docker allows it (`[a-zA-Z0-9][a-zA-Z0-9_.-]+`).
fn container(name: Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    let is_name = text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !is_name {
        return Err(Mistake::at(name.span(), format!("'{text}' cannot be the name of a container"))
            .help("write the name that 'docker ps' shows"));
    }
    Ok(name.into_inner())
}

/// A container without a network is asked through Docker only.
fn check_reach(probe: &Probe, network: Option<&Network>, health: Range<usize>) -> Result<(), Mistake> {
    match (probe, network) {
        (Probe::Http { .. } | Probe::Tcp { .. }, Some(Network::None)) => {
            Err(Mistake::at(health, "with network = \"none\" the container cannot be reached by a probe")
                .help("use 'command' or 'docker'"))
        }
        _ => Ok(()),
    }
}

/// `start-first` is the default with published ports, and not built yet: so it has to be said that it is not wanted.
fn check_order(
    order: Option<&Spanned<String>>,
    published: bool,
    name: &Spanned<ProcessName>,
) -> Result<(), Mistake> {
    let not_yet = |span, what: String| {
        Err(Mistake::at(
            span,
            format!("{what} is not supported by handover {} yet", env!("CARGO_PKG_VERSION")),
        )
        .help("write order = \"stop-first\""))
    };
    match order.map(|o| (o.span(), o.get_ref().as_str())) {
        Some((_, "stop-first")) => Ok(()),
        Some((span, "start-first")) => not_yet(span, "order = \"start-first\"".to_owned()),
        Some((span, other)) => Err(Mistake::at(span, format!("'{other}' is not an order"))
            .help(nearest(other, &["stop-first", "start-first"]))),
        None if published => {
            let what = format!("start-first, the order of '{}' because it publishes ports,", name.get_ref());
            not_yet(name.span(), what)
        }
        None => Ok(()),
    }
}
