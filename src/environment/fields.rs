//! From the text of a secret to its fields.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use super::EnvironmentError;
use crate::config::settings::{SecretFormat, SecretSource};

/// The content of a secret's field.
#[derive(Debug, Clone)]
pub enum Field {
    /// A text.
    Text(SecretString),
    /// Something that cannot be given to a container, such as null. It does no harm as long as nothing asks for it.
    Unusable(&'static str),
}

/// The fields of one secret.
pub type Fields = BTreeMap<String, Field>;

/// The field of a plain text, and of an id that names a key.
const VALUE: &str = "value";

/// The fields of a literal.
pub fn of_literal(literal: &BTreeMap<String, String>) -> Fields {
    literal
        .iter()
        .map(|(field, text)| (field.clone(), Field::Text(SecretString::from(text.as_str()))))
        .collect()
}

/// Reads the text of a secret into its fields, completed by those of the configuration.
pub fn of_text(name: &str, source: &SecretSource, text: &SecretString) -> Result<Fields, EnvironmentError> {
    let fields = match (source.format(), source.key()) {
        // As it is, also with a newline at its end: that may be part of the value.
        (SecretFormat::Text, _) => Fields::from([(VALUE.to_owned(), Field::Text(text.clone()))]),
        (SecretFormat::Json, None) => members(name, source, text)?,
        (SecretFormat::Json, Some(key)) => {
            let mut members = members(name, source, text)?;
            let value = members.remove(key);
            let value = usable(name, source, key, value.as_ref(), &members)?;
            Fields::from([(VALUE.to_owned(), Field::Text(value.clone()))])
        }
    };
    completed(name, source, fields)
}

/// The same for one that has a text for each field.
pub fn of_texts(
    name: &str,
    source: &SecretSource,
    texts: &BTreeMap<String, SecretString>,
) -> Result<Fields, EnvironmentError> {
    let fields = texts.iter().map(|(field, text)| (field.clone(), Field::Text(text.clone()))).collect();
    completed(name, source, fields)
}

/// Adds the fields that the configuration knows.
pub fn completed(name: &str, source: &SecretSource, mut fields: Fields) -> Result<Fields, EnvironmentError> {
    for (field, value) in source.fields() {
        match fields.get(field) {
            None => {
                fields.insert(field.clone(), Field::Text(SecretString::from(value.as_str())));
            }
            Some(Field::Text(own)) if own.expose_secret() == value => {}
            Some(_) => {
                return Err(EnvironmentError::Clash {
                    name: name.to_owned(),
                    id: source.to_string(),
                    field: field.clone(),
                });
            }
        }
    }
    Ok(fields)
}

/// The text of a field, or what is wrong with it.
pub(super) fn usable<'a>(
    name: &str,
    source: &SecretSource,
    field: &str,
    found: Option<&'a Field>,
    present: &Fields,
) -> Result<&'a SecretString, EnvironmentError> {
    let (name, id, field) = (name.to_owned(), source.to_string(), field.to_owned());
    match found {
        Some(Field::Text(text)) => Ok(text),
        Some(Field::Unusable(what)) => Err(EnvironmentError::NotScalar { id, field, what }),
        None => {
            let present: Vec<String> = present.keys().map(|field| format!("'{field}'")).collect();
            let present = if present.is_empty() { "no fields".to_owned() } else { present.join(", ") };
            Err(EnvironmentError::MissingField { name, id, field, present })
        }
    }
}

fn members(name: &str, source: &SecretSource, text: &SecretString) -> Result<Fields, EnvironmentError> {
    let not_json = |place| EnvironmentError::NotJson { name: name.to_owned(), id: source.to_string(), place };
    // serde_json's messages can quote what they found: only the position is passed on.
    let broken = |e: serde_json::Error| {
        not_json(format!("its JSON is broken at line {}, column {}", e.line(), e.column()))
    };
    let whole: &RawValue = serde_json::from_str(text.expose_secret()).map_err(broken)?;
    if !whole.get().starts_with('{') {
        return Err(not_json("it is JSON, but not an object".to_owned()));
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text.expose_secret()).map_err(broken)?;
    let field_of = |(field, written): (String, &RawValue)| match of_member(written.get()) {
        Ok(value) => Ok((field, value)),
        Err(_) => Err(not_json(format!("the text of its member '{field}' is broken"))),
    };
    members.into_iter().map(field_of).collect()
}

/// A number is the text that was written, be it `5432`, `1.10` or `1e3`: a password may look like one.
fn of_member(written: &str) -> Result<Field, serde_json::Error> {
    Ok(match written.as_bytes().first() {
        Some(b'"') => Field::Text(SecretString::from(serde_json::from_str::<String>(written)?)),
        Some(b'n') => Field::Unusable("null"),
        Some(b'[') => Field::Unusable("an array"),
        Some(b'{') => Field::Unusable("an object"),
        _ => Field::Text(SecretString::from(written)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::StoredSecret;

    fn source(id: &str, format: SecretFormat, extra: &[(&str, &str)]) -> SecretSource {
        let fields = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SecretSource::Stored(StoredSecret { id: id.parse().unwrap(), format, fields })
    }

    fn json(extra: &[(&str, &str)]) -> SecretSource {
        source("prod/db", SecretFormat::Json, extra)
    }

    /// The fields that are text; others by their type.
    fn read(source: &SecretSource, text: &str) -> Result<BTreeMap<String, String>, EnvironmentError> {
        let fields = of_text("database", source, &SecretString::from(text))?;
        let shown = |field| match field {
            Field::Text(text) => text.expose_secret().to_owned(),
            Field::Unusable(what) => format!("<{what}>"),
        };
        Ok(fields.into_iter().map(|(name, field)| (name, shown(field))).collect())
    }

    #[test]
    fn a_port_may_be_a_number_or_a_string() {
        for text in [r#"{"port": 5432}"#, r#"{"port": "5432"}"#] {
            assert_eq!(read(&json(&[]), text).unwrap()["port"], "5432");
        }
    }

    #[test]
    fn a_number_is_the_text_that_was_written() {
        for written in ["90071992547409931234", "1e3", "1E3", "1e+03", "1.10", "-0", "0.0", "true", "1e999"] {
            let fields = read(&json(&[]), &format!("{{ \"n\" :\t{written} }}")).unwrap();
            assert_eq!(fields["n"], written);
        }
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        assert_eq!(read(&json(&[]), r#"{"a": 1, "\u0061": "two"}"#).unwrap()["a"], "two");
    }

    /// The shapes that services write.
    #[test]
    fn every_shape_that_services_write() {
        let managed = json(&[("host", "db.internal"), ("port", "5432")]);
        let fields = read(&managed, r#"{"username": "sp", "password": "x"}"#).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["host", "password", "port", "username"]);
        let console = r#"{"engine":"postgres","host":"h","username":"u","password":"","dbname":null,"port":5432,
            "masterarn":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:m-abcdef","dbInstanceIdentifier":"db-1","extra":[1]}"#;
        let fields = read(&json(&[]), console).unwrap();
        assert_eq!((fields["password"].as_str(), fields["port"].as_str()), ("", "5432"));
        assert_eq!((fields["dbname"].as_str(), fields["extra"].as_str()), ("<null>", "<an array>"));
        let cache = r#"{"username":"sp","password":"p","user_arn":"arn:aws:elasticache:eu-west-1:123456789012:user:sp"}"#;
        assert_eq!(read(&json(&[]), cache).unwrap().len(), 3);
    }

    #[test]
    fn only_what_the_secret_lacks_is_completed() {
        let completed = json(&[("host", "db.internal")]);
        assert!(read(&completed, r#"{"host": "db.internal"}"#).is_ok());
        for text in [r#"{"host": "other"}"#, r#"{"host": null}"#] {
            assert!(matches!(read(&completed, text), Err(EnvironmentError::Clash { .. })), "{text}");
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let text = source("prod/redis", SecretFormat::Text, &[("host", "cache")]);
        for value in ["", "token", "token\n", r#"{"a": 1}"#, "null"] {
            let fields = read(&text, value).unwrap();
            assert_eq!((fields["value"].as_str(), fields["host"].as_str()), (value, "cache"));
        }
    }

    #[test]
    fn a_key_of_the_id_gives_one_field() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf:password::";
        let keyed = source(arn, SecretFormat::Json, &[("host", "db")]);
        let fields = read(&keyed, r#"{"password": "hunter2", "host": "elsewhere"}"#).unwrap();
        assert_eq!(
            fields,
            BTreeMap::from([("value", "hunter2"), ("host", "db")].map(|(k, v)| (k.into(), v.into())))
        );
        for (text, why) in [
            (r#"{"pass": "hunter2"}"#, "'password'"),
            (r#"{"password": {"x": "hunter2"}}"#, "an object"),
            (r#"{"password": null}"#, "null"),
        ] {
            let error = read(&keyed, text).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("prod/db") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_not_an_object_is_an_error_without_the_value() {
        for text in [
            "hunter2",
            r#""hunter2""#,
            r#"["hunter2"]"#,
            r#"{"a": "hunter2""#,
            r#"{"a": "hunter2\ud800"}"#,
            r#"{"a": 01}"#,
            "",
            "null",
        ] {
            let error = read(&json(&[]), text).unwrap_err().to_string();
            assert!(error.contains("prod/db") && !error.contains("hunter2"), "{error}");
        }
    }
}
