//! The configuration as written: the keys of `handover.toml`, and nothing that they imply.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use crate::model::{AppName, Bytes, ProcessName, Publish, Repository, StatusRange, TimeSpan};

/// The whole file. Unknown keys are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) app: AppName,
    #[serde(default)]
    pub(super) disposable: bool,
    pub(super) image: Spanned<Image>,
    #[serde(default)]
    pub(super) secret: BTreeMap<Spanned<String>, Spanned<Secret>>,
    #[serde(default)]
    pub(super) environment: Environment,
    #[serde(default)]
    pub(super) file: BTreeMap<Spanned<String>, Rendered>,
    pub(super) process: Spanned<BTreeMap<Spanned<ProcessName>, Process>>,
}

/// `[image]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Image {
    #[serde(default)]
    pub(super) repository: Option<Spanned<Repository>>,
    #[serde(default)]
    pub(super) auth: Option<Spanned<Auth>>,
    #[serde(default)]
    pub(super) region: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) tag: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) local: bool,
    #[serde(default)]
    pub(super) id: Option<Spanned<String>>,
}

/// `auth` of `[image]`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "write \"ecr\", \"none\" or { secret = \"NAME\" }")]
pub(super) enum Auth {
    Word(String),
    Secret(WithSecret),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithSecret {
    pub(super) secret: String,
}

/// `[secret.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Secret {
    #[serde(default)]
    pub(super) id: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) parameter: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) parameters: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) literal: Option<Spanned<BTreeMap<String, Field>>>,
    #[serde(default)]
    pub(super) format: Option<Spanned<SecretFormat>>,
    #[serde(default)]
    pub(super) fields: Option<Spanned<BTreeMap<String, Field>>>,
}

/// A value of `fields` and `literal`: a number is as good as a string, a port is written either way.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "write a string or a whole number")]
pub(super) enum Field {
    Text(String),
    Number(i64),
}

impl Field {
    /// As text: a number in its plain digits.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The key of `[environment]` that names files, and no variable.
pub(super) const FROM: &str = "from";

/// `[environment]`.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) from: Vec<Spanned<String>>,
    pub(super) variables: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// By hand: serde's `flatten` loses the places of the variables.
impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTable;
        impl<'de> Visitor<'de> for OfTable {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of variables")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Environment, A::Error> {
                let mut environment = Environment::default();
                while let Some(key) = table.next_key::<Spanned<String>>()? {
                    if key.get_ref() == FROM {
                        environment.from = table.next_value()?;
                    } else {
                        environment.variables.insert(key, table.next_value()?);
                    }
                }
                Ok(environment)
            }
        }
        deserializer.deserialize_map(OfTable)
    }
}

/// A value of `[environment]`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "write a string, { secret = \"NAME.FIELD\" } or { template = \"...\" }")]
pub(super) enum Value {
    Literal(String),
    Secret(FromSecret),
    Template(FromTemplate),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromSecret {
    pub(super) secret: String,
    #[serde(default)]
    pub(super) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromTemplate {
    pub(super) template: String,
}

/// `[file."/path"]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rendered {
    pub(super) template: Spanned<String>,
    #[serde(default)]
    pub(super) owner: Option<Spanned<Owner>>,
    #[serde(default)]
    pub(super) mode: Option<Spanned<String>>,
}

/// A user's number, or `USER:GROUP`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "write the number of a user, or \"USER:GROUP\" in numbers")]
pub(super) enum Owner {
    User(u32),
    Both(String),
}

/// `[process.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Process {
    #[serde(default)]
    pub(super) command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) publish: Vec<Spanned<Publish>>,
    #[serde(default)]
    pub(super) order: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) stop_timeout: Option<Spanned<TimeSpan>>,
    #[serde(default)]
    pub(super) memory: Option<Spanned<Bytes>>,
    #[serde(default)]
    pub(super) replaces: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) stop_signal: Option<Spanned<Field>>,
    #[serde(default)]
    pub(super) log: Option<WrittenLog>,
    #[serde(default)]
    pub(super) cpus: Option<Spanned<WrittenCpus>>,
    #[serde(default)]
    pub(super) user: Option<Spanned<Field>>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) tmpfs: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) volumes: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) anonymous_volumes: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) extra_hosts: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) network: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) capabilities: Option<WrittenCapabilities>,
    #[serde(default)]
    pub(super) ulimits: BTreeMap<Spanned<String>, Spanned<WrittenUlimit>>,
    #[serde(default)]
    pub(super) shm_size: Option<Bytes>,
    #[serde(default)]
    pub(super) init: bool,
    #[serde(default)]
    pub(super) no_new_privileges: bool,
    #[serde(default)]
    pub(super) labels: BTreeMap<Spanned<String>, Field>,
    #[serde(default)]
    pub(super) hostname: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) entrypoint: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) working_dir: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) devices: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) dns: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) pids_limit: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) security_opt: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) gpus: Option<Spanned<Field>>,
    #[serde(default)]
    pub(super) health: Option<Spanned<Health>>,
}

/// `[process.NAME.health]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Health {
    #[serde(default)]
    pub(super) http: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) tcp: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) docker: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) port: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) host: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) status: Option<Vec<StatusRange>>,
    #[serde(default)]
    pub(super) interval: Option<Spanned<TimeSpan>>,
    #[serde(default)]
    pub(super) timeout: Option<Spanned<TimeSpan>>,
    #[serde(default)]
    pub(super) successes: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) min_healthy: Option<Spanned<TimeSpan>>,
    #[serde(default)]
    pub(super) deadline: Option<Spanned<TimeSpan>>,
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

/// `log` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenLog {
    #[serde(default)]
    pub(super) driver: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) max_size: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) max_file: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) options: BTreeMap<Spanned<String>, String>,
}

/// `cpus` as written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write a number of processors, such as 0.5 or 2")]
pub(super) enum WrittenCpus {
    Whole(u16),
    Decimal(f64),
}

/// `capabilities` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCapabilities {
    #[serde(default)]
    pub(super) add: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) drop: Vec<Spanned<String>>,
}

/// A value of `ulimits` as written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write a number, or { soft = NUMBER, hard = NUMBER }")]
pub(super) enum WrittenUlimit {
    Both(i64),
    Each(SoftAndHard),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SoftAndHard {
    pub(super) soft: i64,
    pub(super) hard: i64,
}
