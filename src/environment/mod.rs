//! From secrets to what the containers are given: environment variables and files. Pure: what was fetched goes in.

mod fields;
mod known;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::config::settings::{FileSource, SecretSource, Settings, Value, Workload};
use crate::model::{Explain, Finding, ProcessName};
use crate::template;
pub use fields::{Field, Fields, completed, of_literal, of_text, of_texts};
pub use known::{fields_in, learn_environment, learn_rendered};

/// The fields of each secret, by the secret's name in the configuration.
pub type Secrets = BTreeMap<String, Fields>;

/// The secrets of a configuration that are literals in it.
pub fn literals(settings: &Settings) -> impl Iterator<Item = (String, Fields)> {
    settings.secrets.iter().filter_map(|(name, source)| match source {
        SecretSource::Literal { literal } => Some((name.clone(), of_literal(literal))),
        _ => None,
    })
}

/// Why a secret, a variable or a file cannot be made. Never contains a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvironmentError {
    /// The text is not JSON.
    #[error("secret {id} is not a JSON object: {place}")]
    NotJson {
        /// The name in the configuration.
        name: String,
        /// Name or ARN, quoted.
        id: String,
        /// Where it stops being JSON.
        place: String,
    },
    /// A member has a type that cannot be given to a container.
    #[error("field '{field}' of secret {id} is {what}: only strings, numbers and booleans can be injected")]
    NotScalar {
        /// Name or ARN, quoted.
        id: String,
        /// The member.
        field: String,
        /// What it is instead.
        what: &'static str,
    },
    /// `fields` names something that the secret has, with another value.
    #[error("[secret.{name}] fields.{field} clashes with secret {id}, which has a '{field}' of its own")]
    Clash {
        /// The name in the configuration.
        name: String,
        /// Name or ARN, quoted.
        id: String,
        /// The field.
        field: String,
    },
    /// A field is not there.
    #[error("field '{field}' is not in secret {id}, which has only {present}")]
    MissingField {
        /// The secret's name in the configuration.
        name: String,
        /// Name or ARN, quoted.
        id: String,
        /// The field.
        field: String,
        /// What is there.
        present: String,
    },
    /// A variable's field cannot be used.
    #[error("{place}: {why}")]
    Place {
        /// What needs it.
        place: String,
        /// What is wrong with it.
        #[source]
        why: Box<EnvironmentError>,
    },
    /// An environment variable cannot hold this.
    #[error("{place} would contain a NUL character, which no environment variable can hold")]
    Nul {
        /// The variable.
        place: String,
    },
    /// A template cannot be rendered.
    #[error("{place}: its template fails in line {line}: {why}")]
    Template {
        /// What it is for.
        place: String,
        /// The template's line.
        line: usize,
        /// The reason, without values.
        why: String,
    },
}

impl Explain for EnvironmentError {
    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::NotJson { name, .. } => {
                format!("if it is plain text, write format = \"text\" in [secret.{name}]")
            }
            Self::Clash { .. } => "remove it from the file".to_owned(),
            Self::MissingField { name, .. } => {
                format!("add it to [secret.{name}] fields, or give it a default")
            }
            Self::Place { why, .. } => return why.fix(),
            Self::NotScalar { .. } | Self::Nul { .. } | Self::Template { .. } => return None,
        })
    }
}

/// The environment of a container, `NAME=value`, in the order of the names; or everything that is wrong with it.
pub fn render(
    settings: &Settings,
    workload: &Workload,
    secrets: &Secrets,
) -> Result<Vec<SecretString>, Vec<EnvironmentError>> {
    all(settings.environment_of(workload).into_iter().map(|(variable, value)| {
        let place = format!("environment variable '{variable}'");
        let text = value_of(&place, value, settings, secrets)?;
        if text.expose_secret().contains('\0') {
            return Err(EnvironmentError::Nul { place });
        }
        Ok(SecretString::from(format!("{variable}={}", text.expose_secret())))
    }))
}

/// The variables that are made of secrets and are not what a container was given.
pub fn changed<'a>(
    settings: &'a Settings,
    workload: &'a Workload,
    secrets: &Secrets,
    given: &[(String, SecretString)],
) -> Vec<&'a str> {
    let is_another = |variable: &str, value: &Value| {
        let now = value_of(variable, value, settings, secrets);
        let then = given.iter().find(|(name, _)| name == variable);
        // One that was not there before is a change of the configuration.
        now.ok().zip(then).is_some_and(|(now, (_, then))| now.expose_secret() != then.expose_secret())
    };
    let of_secrets = settings.environment_of(workload).into_iter();
    let mut of_secrets =
        of_secrets.filter(|(_, value)| !matches!(value, Value::Literal(_))).collect::<Vec<_>>();
    of_secrets.retain(|(variable, value)| is_another(variable, value));
    of_secrets.into_iter().map(|(variable, _)| variable).collect()
}

/// A file of a container, rendered.
pub struct RenderedFile<'a> {
    /// Whose it is.
    pub of: &'a ProcessName,
    /// Its path in the container.
    pub path: &'a str,
    /// What it was rendered from.
    pub source: &'a FileSource,
    /// Its text.
    pub text: SecretString,
}

/// The files of all containers; or everything that is wrong with them.
pub fn render_files<'a>(
    settings: &'a Settings,
    secrets: &Secrets,
) -> Result<Vec<RenderedFile<'a>>, Vec<EnvironmentError>> {
    let files = settings.workloads().flat_map(|(of, workload)| {
        settings.files_of(workload).into_iter().map(move |(path, source)| (of, path, source))
    });
    all(files.map(|(of, path, file)| {
        let place = format!("file '{path}' ({})", file.template);
        let mut text = rendered(&place, &file.text, settings, secrets)?;
        // Jinja drops the last newline of a template; a file has one.
        if file.text.ends_with('\n') {
            text.push('\n');
        }
        Ok(RenderedFile { of, path, source: file, text: SecretString::from(text) })
    }))
}

/// Everything that is wrong with the environments and files of all containers.
pub fn check(settings: &Settings, secrets: &Secrets) -> Vec<EnvironmentError> {
    let environments =
        settings.workloads().filter_map(|(_, workload)| render(settings, workload, secrets).err());
    environments.chain(render_files(settings, secrets).err()).flatten().collect()
}

/// A template with every secret as a variable. `place` is what errors call the thing that it is for.
fn rendered(
    place: &str,
    text: &str,
    settings: &Settings,
    secrets: &Secrets,
) -> Result<String, EnvironmentError> {
    let field_of = |name: &str, field: &str, held: Option<&Field>| {
        fields::usable(name, &settings.secrets[name], field, held, &secrets[name])
            .cloned()
            .map_err(|error| Finding::of(&error).to_string())
    };
    let value_of = |(name, fields): (&String, &Fields)| {
        let texts = fields.iter().map(|(field, held)| (field.clone(), field_of(name, field, Some(held))));
        (name.clone(), texts.collect())
    };
    let values: template::Values = secrets.iter().map(value_of).collect();
    let missing =
        |name: &str, field: &str| field_of(name, field, secrets[name].get(field)).err().unwrap_or_default();
    template::render(text, &values, missing).map_err(|failed| EnvironmentError::Template {
        place: place.to_owned(),
        line: failed.line,
        why: failed.why,
    })
}

/// Every success, or every failure: people fix them all at once.
fn all<T>(
    results: impl Iterator<Item = Result<T, EnvironmentError>>,
) -> Result<Vec<T>, Vec<EnvironmentError>> {
    let (mut good, mut bad) = (vec![], vec![]);
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => bad.push(error),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

fn value_of(
    place: &str,
    value: &Value,
    settings: &Settings,
    secrets: &Secrets,
) -> Result<SecretString, EnvironmentError> {
    match value {
        Value::Literal(text) => Ok(SecretString::from(text.as_str())),
        Value::Secret { secret, field, default } => {
            let present = &secrets[secret];
            match (present.get(field), default) {
                // A field that is there without a text is a mistake in the secret, and no reason for the default.
                (None, Some(default)) => Ok(SecretString::from(default.as_str())),
                (found, _) => fields::usable(secret, &settings.secrets[secret], field, found, present)
                    .cloned()
                    .map_err(|why| EnvironmentError::Place { place: place.to_owned(), why: Box::new(why) }),
            }
        }
        Value::Template(text) => rendered(place, text, settings, secrets).map(SecretString::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &str) -> Settings {
        let text = format!(
            "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[secret.redis]\nid = 'prod/redis'\n[environment]\n{environment}\n[process.web]\n"
        );
        crate::config::parse(&text, "handover.toml").unwrap_or_else(|e| panic!("{e}"))
    }

    fn redis(json: &str) -> Secrets {
        let settings = settings("");
        let source = &settings.secrets["redis"];
        BTreeMap::from([("redis".to_owned(), of_text("redis", source, &SecretString::from(json)).unwrap())])
    }

    fn rendered(environment: &str, json: &str) -> Result<String, String> {
        let settings = settings(environment);
        let (_, web) = settings.workloads().next().unwrap();
        let rendered = render(&settings, web, &redis(json));
        let one_line = |errors: Vec<EnvironmentError>| {
            errors.iter().map(|error| Finding::of(error).to_string()).collect::<Vec<_>>().join("; ")
        };
        rendered
            .map(|all| all.iter().map(|v| v.expose_secret().to_owned()).collect::<Vec<_>>().join(" "))
            .map_err(one_line)
    }

    #[test]
    fn templates_encode_what_a_url_cannot_hold() {
        assert_eq!(
            rendered(
                "URL = { template = \"rediss://:{{ redis.value | urlencode }}@cache:6379/0\" }",
                r#"{"value": "To/k#e^n&<1>"}"#
            )
            .unwrap(),
            "URL=rediss://:To%2Fk%23e%5En%26%3C1%3E@cache:6379/0"
        );
        assert_eq!(
            rendered(
                "A = { template = '{{ redis.port | default(\"6379\") }} {{ redis[\"a-b\"] | tojson }}' }",
                r#"{"a-b": "<&>"}"#
            )
            .unwrap(),
            "A=6379 \"<&>\""
        );
    }

    #[test]
    fn a_default_stands_in_for_what_is_not_there_and_for_nothing_else() {
        let port = "A = { secret = 'redis.port', default = '6379' }";
        assert_eq!(rendered(port, "{}").unwrap(), "A=6379");
        assert_eq!(rendered(port, r#"{"port": ""}"#).unwrap(), "A=");
        assert!(rendered(port, r#"{"port": null}"#).unwrap_err().contains("null"));
        let template = "A = { template = '{{ redis.port | default(\"6379\") }}' }";
        assert!(rendered(template, r#"{"port": null}"#).unwrap_err().contains("null"));
    }

    /// Every mistake names its place, the secret and the key, and no value.
    #[test]
    fn mistakes_name_the_place_the_secret_and_the_key_and_no_value() {
        let secret = r#"{"value": "hunter2", "none": null, "list": ["hunter2"], "nul": "hunter2\u0000"}"#;
        for (environment, words) in [
            (
                "A = { secret = 'redis.port' }",
                vec!["'A'", "'port'", "'prod/redis'", "'value'", "[secret.redis] fields"],
            ),
            ("A = { secret = 'redis.none' }", vec!["'A'", "'none'", "'prod/redis'", "null"]),
            ("A = { template = '{{ redis.port }}' }", vec!["'A'", "'port'", "'prod/redis'"]),
            ("A = { template = '{{ redis.list }}' }", vec!["'A'", "'list'", "'prod/redis'", "an array"]),
            ("A = { template = '{{ redis.none | tojson }}' }", vec!["'A'", "'none'", "'prod/redis'", "null"]),
            ("A = { template = \"a\\n{{ redis.port | urlencode }}\" }", vec!["'A'", "'port'", "line 2"]),
            ("A = { template = '{{ redis.value + 1 }}' }", vec!["'A'", "redis.value + 1"]),
            ("A = { template = '{{ redis }}' }", vec!["'A'"]),
            ("A = { template = '{{ redis | tojson }}' }", vec!["'A'", "redis | tojson"]),
            ("A = { template = '{% for x in redis %}{{ x }}{% endfor %}' }", vec!["'A'"]),
            ("A = { secret = 'redis.nul' }", vec!["'A'", "NUL"]),
            ("A = { template = '{{ redis.nul | shell }}' }", vec!["'A'"]),
        ] {
            let error = rendered(environment, secret).unwrap_err();
            for word in words {
                assert!(error.contains(word), "'{word}' is missing for {environment}: {error}");
            }
            assert!(!error.contains("hunter2"), "{error}");
        }
        // Nothing asks for what cannot be injected: nothing fails.
        assert_eq!(rendered("A = { secret = 'redis.value' }", secret).unwrap(), "A=hunter2");
    }

    #[test]
    fn every_failure_is_reported() {
        let error =
            rendered("A = { secret = 'redis.a' }\nB = { template = '{{ redis.b }}' }", "{}").unwrap_err();
        assert!(error.contains("'A'") && error.contains("'B'"), "{error}");
    }
}
