//! The configuration as written: the keys of `handover.toml`, and nothing that they imply.

mod container;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::checks::WrittenCheck;
use crate::model::{AppName, CheckName, ProcessName, Repository, StatusRange, TimeSpan};
pub(super) use container::*;

/// The whole file. Unknown keys are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) app: AppName,
    #[serde(default)]
    pub(super) disposable: bool,
    #[serde(default)]
    pub(super) unpinned: Unpinned,
    pub(super) image: Spanned<Image>,
    #[serde(default)]
    pub(super) secret: BTreeMap<Spanned<String>, Spanned<Secret>>,
    #[serde(default)]
    pub(super) environment: Environment,
    #[serde(default)]
    pub(super) file: BTreeMap<Spanned<String>, Rendered>,
    #[serde(default)]
    pub(super) task: BTreeMap<Spanned<ProcessName>, Task>,
    #[serde(default)]
    pub(super) service: BTreeMap<Spanned<ProcessName>, Service>,
    pub(super) process: Spanned<BTreeMap<Spanned<ProcessName>, Process>>,
    #[serde(default)]
    pub(super) check: BTreeMap<CheckName, Spanned<WrittenCheck>>,
    #[serde(default)]
    pub(super) bake: Option<Bake>,
    #[serde(default)]
    pub(super) keep: Option<Keep>,
    #[serde(default)]
    pub(super) refresh: Option<Refresh>,
}

/// `unpinned`: what becomes of a tag that `handover.pin` does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unpinned {
    /// The registry is asked what it means, by each instance.
    #[default]
    Allow,
    /// Nothing is deployed.
    Refuse,
}

/// `[keep]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keep {
    #[serde(default)]
    pub(super) releases: Option<Spanned<u32>>,
}

/// `[refresh]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Refresh {
    #[serde(default)]
    pub(super) timer: Option<bool>,
    #[serde(default)]
    pub(super) window: Option<Spanned<TimeSpan>>,
}

/// `[bake]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bake {
    #[serde(default)]
    pub(super) duration: Option<Spanned<TimeSpan>>,
}

/// `[image]`, and `[image.NAME]`.
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
    pub(super) tag: Option<Spanned<Tag>>,
    #[serde(default)]
    pub(super) local: bool,
    #[serde(default)]
    pub(super) id: Option<Spanned<String>>,
}

/// `tag` of `[image]`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "write a tag, or { file = \"image-tag.txt\" }")]
pub(super) enum Tag {
    Text(String),
    InFile(TagInFile),
}

/// A file of the bundle that names the image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagInFile {
    pub(super) file: String,
    /// The container of an `imagedefinitions.json`.
    #[serde(default)]
    pub(super) name: Option<String>,
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
