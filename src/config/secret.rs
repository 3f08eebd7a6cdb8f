//! `[secret.NAME]`, checked: where a secret comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
pub use super::file::SecretFormat;
use super::parameter::Wrong;
pub use super::parameter::{ParameterId, ParameterPath};
use super::secret_id::FORMS;
pub use super::secret_id::SecretId;

/// Where the fields of a secret come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SecretSource {
    /// They are in the file.
    Literal {
        /// The fields.
        literal: BTreeMap<String, String>,
    },
    /// They are in Secrets Manager.
    Stored(StoredSecret),
    /// They are in one parameter of Parameter Store.
    Parameter(StoredParameter),
    /// Each is a parameter of Parameter Store.
    Parameters(StoredParameters),
}

impl SecretSource {
    /// Whether nobody has to be asked for it.
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal { .. })
    }

    /// How its text is read.
    pub fn format(&self) -> SecretFormat {
        match self {
            Self::Stored(StoredSecret { format, .. }) | Self::Parameter(StoredParameter { format, .. }) => {
                *format
            }
            Self::Literal { .. } | Self::Parameters(_) => SecretFormat::Text,
        }
    }

    /// The one key of its JSON object to use.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Stored(stored) => stored.id.key.as_deref(),
            _ => None,
        }
    }

    /// The fields that the configuration knows: all of a literal, else what is lacking elsewhere.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Literal { literal } => literal,
            Self::Stored(StoredSecret { fields, .. })
            | Self::Parameter(StoredParameter { fields, .. })
            | Self::Parameters(StoredParameters { fields, .. }) => fields,
        }
    }
}

/// As errors name it: what is asked for, or that it is a literal.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { .. } => f.write_str("a literal"),
            Self::Stored(stored) => write!(f, "'{}'", stored.id),
            Self::Parameter(stored) => write!(f, "'{}'", stored.parameter),
            Self::Parameters(stored) => write!(f, "'{}'", stored.parameters),
        }
    }
}

/// One parameter of Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredParameter {
    /// Which.
    pub parameter: ParameterId,
    /// How it is read.
    pub format: SecretFormat,
    /// What it lacks.
    pub fields: BTreeMap<String, String>,
}

/// All parameters of Parameter Store below a path: each is a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredParameters {
    /// The path.
    pub parameters: ParameterPath,
    /// What is not there.
    pub fields: BTreeMap<String, String>,
}

/// One secret of Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredSecret {
    /// Which.
    pub id: SecretId,
    /// How it is read.
    pub format: SecretFormat,
    /// What it lacks, such as the host in the secrets that RDS manages.
    pub fields: BTreeMap<String, String>,
}

pub(super) fn resolve_secret(
    name: &Spanned<String>,
    table: Range<usize>,
    secret: file::Secret,
) -> Result<SecretSource, Mistake> {
    if name.get_ref().is_empty() || name.get_ref().contains(|c: char| c == '.' || c.is_whitespace()) {
        return Err(Mistake::at(name.span(), format!("'{}' cannot be the name of a secret", name.get_ref()))
            .help("variables refer to it as NAME.FIELD, so it cannot contain dots or spaces"));
    }
    only_one(&secret)?;
    let fields = |fields: Option<Spanned<BTreeMap<String, file::Field>>>| {
        texts(fields.map(Spanned::into_inner).unwrap_or_default())
    };
    let format = secret.format;
    if let Some(id) = secret.id {
        let id_is: SecretId =
            id.get_ref().parse().map_err(|why: String| Mistake::at(id.span(), why).help(FORMS))?;
        if let (Some(format), Some(_)) = (&format, &id_is.key)
            && *format.get_ref() == SecretFormat::Text
        {
            return Err(Mistake::at(format.span(), "the id names a key, and plain text has none")
                .help("remove it: the key's value is the field 'value'"));
        }
        let format = format.map_or(SecretFormat::Json, Spanned::into_inner);
        return Ok(SecretSource::Stored(StoredSecret { id: id_is, format, fields: fields(secret.fields) }));
    }
    if let Some(parameter) = secret.parameter {
        let format = format.map_or(SecretFormat::Text, Spanned::into_inner);
        let parameter = of_parameter_store(&parameter)?;
        return Ok(SecretSource::Parameter(StoredParameter {
            parameter,
            format,
            fields: fields(secret.fields),
        }));
    }
    if let Some(parameters) = secret.parameters {
        no_format(format, "parameters", "each parameter is a field, and text")?;
        let parameters = of_parameter_store(&parameters)?;
        return Ok(SecretSource::Parameters(StoredParameters { parameters, fields: fields(secret.fields) }));
    }
    let Some(literal) = secret.literal else {
        return Err(Mistake::at(table, format!("nothing says what secret '{}' is", name.get_ref())).help(
            "add id = \"NAME\", the name or ARN of a secret, or parameter = \"/NAME\", one of Parameter Store",
        ));
    };
    no_format(format, "literal", "a literal has its fields already")?;
    if let Some(fields) = secret.fields {
        return Err(Mistake::at(fields.span(), "'fields' cannot be used with 'literal'")
            .help("write them into 'literal'"));
    }
    Ok(SecretSource::Literal { literal: texts(literal.into_inner()) })
}

/// The keys that say where a secret is exclude each other.
fn only_one(secret: &file::Secret) -> Result<(), Mistake> {
    let keys = [
        ("id", secret.id.as_ref().map(Spanned::span)),
        ("parameter", secret.parameter.as_ref().map(Spanned::span)),
        ("parameters", secret.parameters.as_ref().map(Spanned::span)),
        ("literal", secret.literal.as_ref().map(Spanned::span)),
    ];
    let mut written = keys.into_iter().filter_map(|(key, span)| Some((key, span?)));
    match (written.next(), written.next()) {
        (Some((first, _)), Some((second, span))) => {
            Err(Mistake::at(span, format!("a secret has either '{first}' or '{second}', not both"))
                .help("keep one of them"))
        }
        _ => Ok(()),
    }
}

fn no_format(format: Option<Spanned<SecretFormat>>, key: &str, why: &str) -> Result<(), Mistake> {
    match format {
        Some(format) => Err(Mistake::at(format.span(), format!("'format' cannot be used with '{key}'"))
            .help(format!("remove it: {why}"))),
        None => Ok(()),
    }
}

/// A name of Parameter Store's, checked.
fn of_parameter_store<T: std::str::FromStr<Err = Wrong>>(text: &Spanned<String>) -> Result<T, Mistake> {
    text.get_ref().parse().map_err(|wrong: Wrong| Mistake::at(text.span(), wrong.what).help(wrong.help))
}

fn texts(fields: BTreeMap<String, file::Field>) -> BTreeMap<String, String> {
    fields.into_iter().map(|(name, field)| (name, field.into_text())).collect()
}
