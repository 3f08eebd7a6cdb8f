//! From secrets to environment variables. Pure: what was fetched goes in, what a container gets comes out.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, UndefinedBehavior};
use percent_encoding::utf8_percent_encode;
use secrecy::{ExposeSecret, SecretString};

use crate::config::settings::{SecretFormat, SecretSource, Settings, Value};
use crate::secret::UNRESERVED;

/// The fields of each secret, by the secret's name in the configuration.
pub type Secrets = BTreeMap<String, BTreeMap<String, SecretString>>;

/// Why a secret or a variable cannot be had. Never contains a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvironmentError {
    /// The text is not JSON.
    #[error(
        "secret '{id}' is not a JSON object: {place}; if it is plain text, add format = \"text\" to [secret.{name}]"
    )]
    NotJson {
        /// The name in the configuration.
        name: String,
        /// Name or ARN.
        id: String,
        /// Where it stops being JSON.
        place: String,
    },
    /// A member has a type that cannot be an environment variable.
    #[error("field '{field}' of secret '{id}' is {what}: only strings, numbers and booleans can be injected")]
    NotScalar {
        /// Name or ARN.
        id: String,
        /// The member.
        field: String,
        /// What it is instead.
        what: &'static str,
    },
    /// `fields` names something that the secret has, with another value.
    #[error(
        "[secret.{name}] fields.{field} clashes with secret '{id}', which has a '{field}' of its own: remove it from the file"
    )]
    Clash {
        /// The name in the configuration.
        name: String,
        /// Name or ARN.
        id: String,
        /// The field.
        field: String,
    },
    /// A variable asks for a field that is not there.
    #[error(
        "environment variable '{variable}' needs field '{field}' of secret '{id}', which has only {present}; add it to [secret.{name}] fields, or give the variable a default"
    )]
    MissingField {
        /// The variable.
        variable: String,
        /// The secret's name in the configuration.
        name: String,
        /// Name or ARN.
        id: String,
        /// The field.
        field: String,
        /// What is there.
        present: String,
    },
    /// A template does not compile or names what is not there.
    #[error("the template of '{variable}' fails: {why}")]
    Template {
        /// The variable.
        variable: String,
        /// The reason, without values.
        why: String,
    },
}

/// Reads the text of a secret into its fields, completed by those of the configuration.
pub fn fields(
    name: &str,
    source: &SecretSource,
    text: &SecretString,
) -> Result<BTreeMap<String, SecretString>, EnvironmentError> {
    let id = || source.id.clone();
    let mut fields = match source.format {
        SecretFormat::Text => BTreeMap::from([("value".to_owned(), text.clone())]),
        SecretFormat::Json => {
            let not_json = |place| EnvironmentError::NotJson { name: name.to_owned(), id: id(), place };
            // serde_json's messages can quote what they found: only the place is told.
            let value: serde_json::Value = serde_json::from_str(text.expose_secret())
                .map_err(|e| not_json(format!("it stops at line {}, column {}", e.line(), e.column())))?;
            let serde_json::Value::Object(members) = value else {
                return Err(not_json("it is JSON, but no object".to_owned()));
            };
            members
                .into_iter()
                .map(|(field, value)| match scalar(value) {
                    Ok(text) => Ok((field, SecretString::from(text))),
                    Err(what) => Err(EnvironmentError::NotScalar { id: id(), field, what }),
                })
                .collect::<Result<_, _>>()?
        }
    };
    for (field, value) in &source.fields {
        match fields.get(field) {
            Some(own) if own.expose_secret() != value => {
                return Err(EnvironmentError::Clash {
                    name: name.to_owned(),
                    id: id(),
                    field: field.clone(),
                });
            }
            _ => {
                fields.insert(field.clone(), SecretString::from(value.as_str()));
            }
        }
    }
    Ok(fields)
}

/// Numbers keep the digits they were written with: a port may come as 5432 or as "5432".
fn scalar(value: serde_json::Value) -> Result<String, &'static str> {
    match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Bool(flag) => Ok(flag.to_string()),
        serde_json::Value::Null => Err("null"),
        serde_json::Value::Array(_) => Err("an array"),
        serde_json::Value::Object(_) => Err("an object"),
    }
}

/// The environment of the containers, `NAME=value`, in the order of the names.
pub fn render(settings: &Settings, secrets: &Secrets) -> Result<Vec<SecretString>, EnvironmentError> {
    let templates = engine();
    let context = minijinja::Value::from_pairs(secrets.iter().map(|(name, fields)| {
        let fields = fields.iter().map(|(field, value)| (field.clone(), value.expose_secret().to_owned()));
        (name.clone(), minijinja::Value::from_pairs(fields))
    }));
    settings
        .environment
        .iter()
        .map(|(variable, value)| {
            let text = match value {
                Value::Literal(text) => text.clone(),
                Value::Secret { secret, field, default } => secrets
                    .get(secret)
                    .and_then(|fields| fields.get(field))
                    .map(|v| v.expose_secret().to_owned())
                    .or_else(|| default.clone())
                    .ok_or_else(|| missing(variable, secret, field, settings, secrets))?,
                Value::Template(template) => templates
                    .render_str(template, context.clone())
                    .map_err(|e| EnvironmentError::Template { variable: variable.clone(), why: why(&e) })?,
            };
            Ok(SecretString::from(format!("{variable}={text}")))
        })
        .collect()
}

fn missing(
    variable: &str,
    secret: &str,
    field: &str,
    settings: &Settings,
    secrets: &Secrets,
) -> EnvironmentError {
    let present: Vec<String> =
        secrets.get(secret).into_iter().flat_map(BTreeMap::keys).map(|f| format!("'{f}'")).collect();
    EnvironmentError::MissingField {
        variable: variable.to_owned(),
        name: secret.to_owned(),
        id: settings.secrets.get(secret).map(|s| s.id.clone()).unwrap_or_default(),
        field: field.to_owned(),
        present: present.join(", "),
    }
}

/// The secrets that a template names.
pub fn template_names(template: &str) -> Result<BTreeSet<String>, String> {
    let engine = engine();
    let compiled = engine.template_from_str(template).map_err(|e| why(&e))?;
    Ok(compiled.undeclared_variables(false).into_iter().collect())
}

/// What is wrong with a template. The kind and the detail of an error of the engine name expressions, not values.
fn why(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.add_filter("urlencode", |text: String| utf8_percent_encode(&text, UNRESERVED).to_string());
    engine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(format: SecretFormat, extra: &[(&str, &str)]) -> SecretSource {
        let fields = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SecretSource { id: "prod/db".to_owned(), format, fields }
    }

    fn read(source: &SecretSource, text: &str) -> Result<BTreeMap<String, String>, EnvironmentError> {
        let fields = fields("database", source, &SecretString::from(text))?;
        Ok(fields.into_iter().map(|(k, v)| (k, v.expose_secret().to_owned())).collect())
    }

    #[test]
    fn a_port_may_be_a_number_or_a_string() {
        for text in [r#"{"port": 5432}"#, r#"{"port": "5432"}"#] {
            assert_eq!(read(&source(SecretFormat::Json, &[]), text).unwrap()["port"], "5432");
        }
        let long = read(&source(SecretFormat::Json, &[]), r#"{"n": 90071992547409931234}"#).unwrap();
        assert_eq!(long["n"], "90071992547409931234");
    }

    #[test]
    fn a_secret_that_rds_manages_is_completed() {
        let source = source(SecretFormat::Json, &[("host", "db.internal"), ("port", "5432")]);
        let fields = read(&source, r#"{"username": "sp", "password": "x"}"#).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["host", "password", "port", "username"]);
        assert!(matches!(read(&source, r#"{"host": "other"}"#), Err(EnvironmentError::Clash { .. })));
        assert!(read(&source, r#"{"host": "db.internal"}"#).is_ok());
    }

    #[test]
    fn what_cannot_be_injected_is_an_error_without_the_value() {
        let json = source(SecretFormat::Json, &[]);
        for text in [
            r#"{"a": null}"#,
            r#"{"a": {"b": "hunter2"}}"#,
            r#"{"a": ["hunter2"]}"#,
            "hunter2",
            r#""hunter2""#,
        ] {
            let error = read(&json, text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("prod/db"), "{error}");
        }
    }

    fn settings(environment: &str) -> Settings {
        let text = format!(
            "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[secret.redis]\nid = 'r'\nformat = 'text'\n[environment]\n{environment}\n[process.web]\n"
        );
        crate::config::parse(&text, "handover.toml").unwrap()
    }

    fn redis(value: &str) -> Secrets {
        BTreeMap::from([(
            "redis".to_owned(),
            BTreeMap::from([("value".to_owned(), SecretString::from(value))]),
        )])
    }

    #[test]
    fn templates_encode_what_a_url_cannot_hold() {
        let settings =
            settings("URL = { template = \"rediss://:{{ redis.value | urlencode }}@cache:6379/0\" }");
        let rendered = render(&settings, &redis("To/k#e^n&<1>")).unwrap();
        assert_eq!(rendered[0].expose_secret(), "URL=rediss://:To%2Fk%23e%5En%26%3C1%3E@cache:6379/0");
    }

    #[test]
    fn a_missing_field_is_fatal_unless_it_has_a_default() {
        let rendered =
            render(&settings("A = { secret = 'redis.port', default = '6379' }"), &redis("x")).unwrap();
        assert_eq!(rendered[0].expose_secret(), "A=6379");
        let error =
            render(&settings("A = { secret = 'redis.port' }"), &redis("hunter2")).unwrap_err().to_string();
        assert!(
            error.contains("'port'") && error.contains("'value'") && !error.contains("hunter2"),
            "{error}"
        );
        let undefined =
            render(&settings("A = { template = '{{ redis.nope }}' }"), &redis("hunter2")).unwrap_err();
        assert!(matches!(undefined, EnvironmentError::Template { .. }));
    }
}
