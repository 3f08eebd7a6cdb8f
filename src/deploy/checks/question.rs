//! From a check as it is configured, and the secrets, to a question that can be asked.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Settings;
use crate::environment::{Field, Fields, Secrets};
use crate::host::check::postgres::Database;
use crate::host::check::redis::Cache;
use crate::host::check::{Layer, Question, Target, Trouble};
use crate::model::{Check, CheckName, Finding, Needed, Place, Postgres, Redis, is_host};

/// How long it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Whether it is asked again whatever the answer is.
    pub(super) patient: bool,
    /// The time that is left; nothing when there is no limit.
    pub(super) left: Option<Duration>,
}

/// The question of a check.
pub(super) fn of_check(
    name: &CheckName,
    check: &Check,
    secrets: &Secrets,
    how: How,
) -> Result<Question, Trouble> {
    let deadline = how.left.map_or(check.deadline, |left| check.deadline.min(left));
    let target = target(name, check, secrets)?;
    Ok(Question { target, timeout: check.timeout, deadline, patient: how.patient })
}

/// What is wrong with the checks before anybody is asked: a field or a file that is missing.
pub(in crate::deploy) fn mistakes(settings: &Settings, secrets: &Secrets) -> Vec<Finding> {
    let wrong = settings.checks.iter().filter(|(_, check)| check.required).filter_map(|(name, check)| {
        let trouble = target(name, check, secrets).err()?;
        Some(Finding::new(format!("check.{name}: {}", trouble.what), trouble.fix))
    });
    wrong.collect()
}

fn target(name: &CheckName, check: &Check, secrets: &Secrets) -> Result<Target, Trouble> {
    Ok(match &check.needed {
        Needed::Postgres(postgres) => Target::Postgres(database(name, postgres, secrets)?),
        Needed::Redis(redis) => Target::Redis(cache(name, redis, secrets)?),
        Needed::Web { url, status } => Target::Web { url: url.clone(), status: status.clone() },
        Needed::Tcp(place) => Target::Tcp(place.clone()),
        Needed::Dns(name) => Target::Dns(name.clone()),
    })
}

pub(in crate::deploy) fn database(
    name: &CheckName,
    check: &Postgres,
    secrets: &Secrets,
) -> Result<Database, Trouble> {
    let known = Known { name, secret: Some(&check.secret), fields: secrets.get(&check.secret) };
    let password = known.secret("password").ok_or_else(|| known.lacks("password", false))?;
    Ok(Database {
        place: known.place(check.host.as_ref(), check.port, 5432)?,
        user: known
            .text("username", check.username.as_ref())?
            .ok_or_else(|| known.lacks("username", true))?,
        password,
        dbname: known.text("dbname", check.dbname.as_ref())?,
        tls: check.tls,
        ca: check.ca.as_deref().map(read).transpose()?,
        secret: check.secret.clone(),
    })
}

fn cache(name: &CheckName, check: &Redis, secrets: &Secrets) -> Result<Cache, Trouble> {
    let fields = check.secret.as_ref().and_then(|secret| secrets.get(secret));
    let known = Known { name, secret: check.secret.as_deref(), fields };
    // That of a plain text is called so.
    let password = known.secret("password").or_else(|| known.secret("value"));
    if check.secret.is_some() && password.is_none() {
        return Err(known.lacks("password", false));
    }
    Ok(Cache {
        place: known.place(check.host.as_ref(), check.port, 6379)?,
        username: known.text("username", check.username.as_ref())?,
        password,
        tls: check.tls,
        ca: check.ca.as_deref().map(read).transpose()?,
        cluster: check.cluster,
        secret: check.secret.clone(),
    })
}

/// What a check knows: its secret first, and what it says itself where that has nothing.
struct Known<'a> {
    name: &'a CheckName,
    secret: Option<&'a str>,
    fields: Option<&'a Fields>,
}

impl Known<'_> {
    fn secret(&self, field: &str) -> Option<SecretString> {
        match self.fields?.get(field)? {
            Field::Text(text) => Some(text.clone()),
            Field::Unusable(_) => None,
        }
    }

    fn text(&self, field: &str, own: Option<&String>) -> Result<Option<String>, Trouble> {
        let stored = self.secret(field).map(|text| text.expose_secret().to_owned());
        match (stored, own) {
            (Some(stored), Some(own)) if stored != *own => Err(configured(
                format!(
                    "'{field}' clashes with secret '{}', which has another",
                    self.secret.unwrap_or_default()
                ),
                format!("remove it from [check.{}]", self.name),
            )),
            (stored, own) => Ok(stored.or_else(|| own.cloned())),
        }
    }

    fn place(&self, host: Option<&String>, port: Option<u16>, usual: u16) -> Result<Place, Trouble> {
        let host = self.text("host", host)?.ok_or_else(|| self.lacks("host", true))?;
        let port = self.text("port", port.map(|port| port.to_string()).as_ref())?;
        let number = port.map_or(Ok(usual), |port| port.parse());
        match number {
            Ok(port) if port != 0 && is_host(&host) => Ok(Place { host, port }),
            _ => Err(configured(
                format!("'host' and 'port' of secret '{}' are none", self.secret.unwrap_or_default()),
                "correct them in the secret",
            )),
        }
    }

    /// Who misses what; `may_say` tells whether the check itself could have it.
    fn lacks(&self, field: &str, may_say: bool) -> Trouble {
        let name = self.name;
        let what = match self.secret {
            Some(secret) => format!("secret '{secret}' has no field '{field}' that can be used"),
            None => format!("there is no '{field}'"),
        };
        configured(
            what,
            if may_say {
                format!("add {field} = \"...\" in [check.{name}], or the field to the secret")
            } else {
                "add it to the secret".to_owned()
            },
        )
    }
}

fn configured(what: String, fix: impl Into<String>) -> Trouble {
    Trouble { layer: Layer::Configuration, what, fix: fix.into(), passing: false }
}

/// On the instance, also for a check that is made from inside a container.
fn read(ca: &str) -> Result<String, Trouble> {
    std::fs::read_to_string(ca).map_err(|error| {
        let fix = "put the CA's file on the instance (a user-data script, or the image of the instance), or correct 'ca'";
        configured(format!("'{ca}' cannot be read: {error}"), fix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::of_literal;
    use crate::model::TlsMode;

    fn secrets(fields: &[(&str, &str)]) -> Secrets {
        let literal = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Secrets::from([("s".to_owned(), of_literal(&literal))])
    }

    fn postgres(host: Option<&str>, port: Option<u16>) -> Postgres {
        Postgres {
            secret: "s".to_owned(),
            tls: TlsMode::Require,
            ca: None,
            host: host.map(str::to_owned),
            port,
            dbname: None,
            username: Some("u".to_owned()),
        }
    }

    #[test]
    fn the_secret_goes_first_and_the_check_says_what_it_lacks() {
        let name = "it".parse().unwrap();
        let whole = secrets(&[("host", "db"), ("port", "6432"), ("username", "u"), ("password", "p")]);
        let found = database(&name, &postgres(None, None), &whole).unwrap();
        assert_eq!((found.place.to_string().as_str(), found.user.as_str()), ("db:6432", "u"));
        let managed = secrets(&[("password", "p")]);
        let found = database(&name, &postgres(Some("db"), None), &managed).unwrap();
        assert_eq!((found.place.port, found.dbname), (5432, None));
    }

    #[test]
    fn what_is_missing_or_said_twice_is_named() {
        let name = "it".parse().unwrap();
        for (fields, check, says) in [
            (vec![("password", "p")], postgres(None, None), "no field 'host'"),
            (vec![("host", "db")], postgres(None, None), "no field 'password'"),
            (vec![("host", "a"), ("password", "p")], postgres(Some("b"), None), "'host' clashes"),
            (vec![("port", "x"), ("password", "p")], postgres(Some("b"), None), "'host' and 'port'"),
            (
                vec![("password", "p")],
                Postgres { ca: Some("/nowhere".to_owned()), ..postgres(Some("b"), None) },
                "'/nowhere' cannot be read",
            ),
        ] {
            let trouble = database(&name, &check, &secrets(&fields)).unwrap_err();
            assert!(trouble.what.contains(says), "{trouble}");
        }
    }

    #[test]
    fn the_password_of_redis_may_be_a_plain_text() {
        let name = "it".parse().unwrap();
        let check = Redis {
            secret: Some("s".to_owned()),
            host: Some("cache".to_owned()),
            port: None,
            tls: true,
            ca: None,
            username: None,
            cluster: false,
        };
        let found = cache(&name, &check, &secrets(&[("value", "p")])).unwrap();
        assert_eq!(found.password.unwrap().expose_secret(), "p");
        assert!(cache(&name, &check, &secrets(&[])).is_err());
        let open = Redis { secret: None, ..check };
        assert!(cache(&name, &open, &secrets(&[])).unwrap().password.is_none());
    }
}
