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

/// A secret's name or ARN, or the long form of the ECS agent
/// (amazon-ecs-agent, `agent/taskresource/asmsecret/asmsecret.go`):
/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME:KEY:STAGE:VERSION`, where the last three may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct SecretId {
    written: String,
    /// Its name or ARN, as Secrets Manager takes it.
    pub secret: String,
    /// The region in its ARN.
    pub region: Option<String>,
    /// The one key of its JSON object to use.
    pub key: Option<String>,
    /// The staging label; Secrets Manager takes `AWSCURRENT` when there is none.
    pub stage: Option<String>,
    /// The version's id.
    pub version: Option<String>,
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl From<SecretId> for String {
    fn from(id: SecretId) -> String {
        id.written
    }
}

const FORMS: &str = "write a name, an ARN, or an ARN with :KEY:STAGE:VERSION, where each may be empty";

impl std::str::FromStr for SecretId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |secret: &str, region: Option<&str>| Self {
            written: text.to_owned(),
            secret: secret.to_owned(),
            region: region.map(str::to_owned),
            key: None,
            stage: None,
            version: None,
        };
        if !text.starts_with("arn:") {
            return is_name(text).map(|()| plain(text, None));
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (["arn", partition, "secretsmanager", region, account, "secret", name], rest) =
            parts.split_at(parts.len().min(7))
        else {
            let is_parameter = text.split(':').nth(2) == Some("ssm");
            let other = if is_parameter { ", but of a parameter: write parameter = \"...\"" } else { "" };
            return Err(format!("this is not the ARN of a secret{other}"));
        };
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !partition.starts_with("aws") || region.is_empty() || !is_account {
            return Err("the partition, region or account in this ARN is not valid".to_owned());
        }
        is_name(name)?;
        let own = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty());
        let secret = parts[..7].join(":");
        match rest {
            [] => Ok(plain(&secret, Some(region))),
            [key, stage, version] => Ok(Self {
                key: own(key),
                stage: own(stage),
                version: own(version),
                ..plain(&secret, Some(region))
            }),
            _ => Err(format!(
                "this ARN has {} colons; the ARN of a secret has 6, or 9 with key, stage and version",
                parts.len() - 1
            )),
        }
    }
}

/// What Secrets Manager allows in a name (`CreateSecret`), and the `!` in those that services make.
fn is_name(name: &str) -> Result<(), String> {
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"/_+=.@-!".contains(*c)) {
        Some(other) => Err(format!("the name of a secret cannot contain '{other}'")),
        None if name.is_empty() || name.len() > 512 => {
            Err("the name of a secret has 1 to 512 characters".to_owned())
        }
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf";

    fn parts(text: &str) -> [Option<String>; 5] {
        let id: SecretId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        [Some(id.secret), id.region, id.key, id.stage, id.version]
    }

    fn some<const N: usize>(parts: [&str; N]) -> [Option<String>; N] {
        parts.map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()))
    }

    #[test]
    fn names_and_arns_of_every_form() {
        assert_eq!(parts("rds!db-0123"), some(["rds!db-0123", "", "", "", ""]));
        assert_eq!(parts(ARN), some([ARN, "eu-west-1", "", "", ""]));
        for (tail, [key, stage, version]) in [
            (":::", ["", "", ""]),
            (":password::", ["password", "", ""]),
            ("::AWSPREVIOUS:", ["", "AWSPREVIOUS", ""]),
            (":::9d4cb84b", ["", "", "9d4cb84b"]),
            (":password:AWSPREVIOUS:9d4cb84b", ["password", "AWSPREVIOUS", "9d4cb84b"]),
        ] {
            assert_eq!(parts(&format!("{ARN}{tail}")), some([ARN, "eu-west-1", key, stage, version]));
        }
        for partition in ["aws-cn", "aws-us-gov", "aws-eusc"] {
            let arn = ARN.replacen("aws", partition, 1);
            assert_eq!(parts(&format!("{arn}:k::")), some([arn.as_str(), "eu-west-1", "k", "", ""]));
        }
    }

    #[test]
    fn what_is_not_a_secret_is_refused() {
        for (text, why) in [
            (String::new(), "1 to 512"),
            ("prod:db".to_owned(), "':'"),
            ("prod db".to_owned(), "' '"),
            (format!("{ARN}:password"), "has 7 colons"),
            (format!("{ARN}:a:b"), "has 8 colons"),
            (format!("{ARN}:a:b:c:d"), "has 10 colons"),
            (ARN.replace("secretsmanager", "ssm"), "not the ARN of a secret"),
            (ARN.replace("123456789012", "1234"), "account"),
            (ARN.replace("eu-west-1", ""), "region"),
            ("arn:aws:secretsmanager:eu-west-1".to_owned(), "not the ARN of a secret"),
        ] {
            let error = text.parse::<SecretId>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
