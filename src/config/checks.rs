//! `[check.NAME]` checked: what the app needs of others.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::Mistake;
use super::environment::{Secrets, known};
use super::time_span::{LONGEST, LONGEST_PROBE, time_span_in};
use crate::model::container::Network;
use crate::model::{
    Check, CheckName, Needed, Place, Postgres, Redis, StatusRange, TimeSpan, TlsMode, Vantage, is_host,
};
use crate::suggest::nearest;

const TIMEOUT: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(15);
/// The codes that count when none are given.
const STATUS: StatusRange = StatusRange::new(200, 399);

/// The words of libpq's `sslmode`.
const TLS_MODES: &[(&str, TlsMode)] = &[
    ("verify-full", TlsMode::VerifyFull),
    ("verify-ca", TlsMode::VerifyCa),
    ("require", TlsMode::Require),
    ("prefer", TlsMode::Prefer),
    ("allow", TlsMode::Allow),
    ("disable", TlsMode::Disable),
];

/// `[check.NAME]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCheck {
    #[serde(default)]
    postgres: Option<Spanned<WrittenPostgres>>,
    #[serde(default)]
    redis: Option<Spanned<WrittenRedis>>,
    #[serde(default)]
    http: Option<Spanned<String>>,
    #[serde(default)]
    https: Option<Spanned<String>>,
    #[serde(default)]
    tcp: Option<Spanned<String>>,
    #[serde(default)]
    dns: Option<Spanned<String>>,
    #[serde(default)]
    status: Option<Spanned<Vec<StatusRange>>>,
    #[serde(default)]
    from: Option<Spanned<String>>,
    #[serde(default)]
    required: Option<bool>,
    #[serde(default)]
    timeout: Option<Spanned<TimeSpan>>,
    #[serde(default)]
    deadline: Option<Spanned<TimeSpan>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPostgres {
    secret: Spanned<String>,
    #[serde(default)]
    tls: Option<Spanned<String>>,
    #[serde(default)]
    ca: Option<Spanned<String>>,
    #[serde(default)]
    host: Option<Spanned<String>>,
    #[serde(default)]
    port: Option<Spanned<u16>>,
    #[serde(default)]
    dbname: Option<String>,
    #[serde(default)]
    username: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRedis {
    #[serde(default)]
    secret: Option<Spanned<String>>,
    #[serde(default)]
    host: Option<Spanned<String>>,
    #[serde(default)]
    port: Option<Spanned<u16>>,
    #[serde(default)]
    tls: Option<Spanned<bool>>,
    #[serde(default)]
    ca: Option<Spanned<String>>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    cluster: bool,
}

pub(super) fn resolve_checks(
    written: BTreeMap<CheckName, Spanned<WrittenCheck>>,
    secrets: &Secrets,
) -> Result<BTreeMap<CheckName, Check>, Mistake> {
    written.into_iter().map(|(name, check)| Ok((name, resolve(check, secrets)?))).collect()
}

fn resolve(check: Spanned<WrittenCheck>, secrets: &Secrets) -> Result<Check, Mistake> {
    let (table, check) = (check.span(), check.into_inner());
    one_of(&check, &table)?;
    if let (Some(status), None, None) = (&check.status, &check.http, &check.https) {
        return Err(
            Mistake::at(status.span(), "'status' can only be used with 'http' and 'https'").help("remove it")
        );
    }
    let ours = check.postgres.is_some() || check.redis.is_some();
    let needed = if let Some(postgres) = check.postgres {
        Needed::Postgres(resolve_postgres(postgres.into_inner(), secrets)?)
    } else if let Some(redis) = check.redis {
        let place = redis.span();
        Needed::Redis(resolve_redis(redis.into_inner(), place, secrets)?)
    } else if let Some(http) = check.http {
        Needed::Web { url: url(&http, "http")?, status: resolve_status(check.status)? }
    } else if let Some(https) = check.https {
        Needed::Web { url: url(&https, "https")?, status: resolve_status(check.status)? }
    } else if let Some(tcp) = check.tcp {
        Needed::Tcp(Place::parse(tcp.get_ref()).ok_or_else(|| {
            Mistake::at(tcp.span(), format!("'{}' is not a host and its port", tcp.get_ref()))
                .help("write \"HOST:PORT\", such as \"smtp.example.com:587\"")
        })?)
    } else {
        let dns = check.dns.ok_or_else(|| nothing(&table))?;
        Needed::Dns(host(dns)?)
    };
    let tick = Duration::from_millis(1);
    Ok(Check {
        needed,
        from: resolve_from(check.from)?,
        required: check.required.unwrap_or(ours),
        timeout: time_span_in(check.timeout, tick..=LONGEST_PROBE, TIMEOUT)?,
        deadline: time_span_in(check.deadline, tick..=LONGEST, DEADLINE)?,
    })
}

/// A check from inside needs a network of containers that it can be made on: the host's own is none.
pub(super) fn check_vantage<'p>(
    asked_from: Option<Range<usize>>,
    mut networks: impl Iterator<Item = Option<&'p Network>>,
) -> Result<(), Mistake> {
    match asked_from {
        Some(from) if !networks.any(|network| network.is_none_or(Network::can_publish)) => {
            Err(Mistake::at(from, "no process is on a network of containers that could be asked from")
                .help("write from = \"host\""))
        }
        _ => Ok(()),
    }
}

/// Where a check says that it is made from inside.
pub(super) fn asked_from_inside(
    written: &BTreeMap<CheckName, Spanned<WrittenCheck>>,
) -> Option<Range<usize>> {
    let mut asked = written.values().filter_map(|check| check.get_ref().from.as_ref());
    asked.find(|from| from.get_ref() == "container").map(Spanned::span)
}

/// A check asks one thing.
fn one_of(check: &WrittenCheck, table: &Range<usize>) -> Result<(), Mistake> {
    let asked = [
        ("postgres", check.postgres.as_ref().map(Spanned::span)),
        ("redis", check.redis.as_ref().map(Spanned::span)),
        ("http", check.http.as_ref().map(Spanned::span)),
        ("https", check.https.as_ref().map(Spanned::span)),
        ("tcp", check.tcp.as_ref().map(Spanned::span)),
        ("dns", check.dns.as_ref().map(Spanned::span)),
    ];
    let mut asked = asked.into_iter().filter_map(|(key, span)| Some((key, span?)));
    let (one, _) = asked.next().ok_or_else(|| nothing(table))?;
    match asked.next() {
        None => Ok(()),
        Some((two, span)) => Err(Mistake::at(span, format!("'{one}' and '{two}' cannot both be one check"))
            .help("write a table [check.NAME] for each")),
    }
}

fn nothing(table: &Range<usize>) -> Mistake {
    Mistake::at(table.clone(), "this check asks nothing")
        .help("write one of postgres, redis, http, https, tcp and dns")
}

fn resolve_postgres(written: WrittenPostgres, secrets: &Secrets) -> Result<Postgres, Mistake> {
    let tls = match written.tls {
        None => TlsMode::default(),
        Some(tls) => {
            let known = TLS_MODES.iter().find(|(word, _)| word == tls.get_ref());
            let words: Vec<&str> = TLS_MODES.iter().map(|(word, _)| *word).collect();
            let wrong = || {
                Mistake::at(tls.span(), format!("'{}' is none of libpq's modes", tls.get_ref()))
                    .help(nearest(tls.get_ref(), &words))
            };
            known.ok_or_else(wrong)?.1
        }
    };
    let no_tls = matches!(tls, TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer);
    if let Some(ca) = written.ca.as_ref().filter(|_| no_tls) {
        return Err(Mistake::at(ca.span(), "with this 'tls' no CA is asked for")
            .help("write tls = \"verify-full\", or remove 'ca'"));
    }
    Ok(Postgres {
        secret: known_secret(written.secret, secrets)?,
        tls,
        ca: written.ca.map(path).transpose()?,
        host: written.host.map(host).transpose()?,
        port: written.port.map(port).transpose()?,
        dbname: written.dbname,
        username: written.username,
    })
}

fn resolve_redis(written: WrittenRedis, place: Range<usize>, secrets: &Secrets) -> Result<Redis, Mistake> {
    let tls = written.tls.is_some_and(Spanned::into_inner);
    if let Some(ca) = written.ca.as_ref().filter(|_| !tls) {
        return Err(Mistake::at(ca.span(), "without TLS no CA is asked for").help("add tls = true"));
    }
    if written.secret.is_none() && written.host.is_none() {
        return Err(Mistake::at(place, "it is not said where this Redis is").help("add host = \"NAME\""));
    }
    Ok(Redis {
        secret: written.secret.map(|secret| known_secret(secret, secrets)).transpose()?,
        host: written.host.map(host).transpose()?,
        port: written.port.map(port).transpose()?,
        tls,
        ca: written.ca.map(path).transpose()?,
        username: written.username,
        cluster: written.cluster,
    })
}

fn known_secret(secret: Spanned<String>, secrets: &Secrets) -> Result<String, Mistake> {
    known(secret.get_ref(), secrets, &secret.span())?;
    Ok(secret.into_inner())
}

fn url(written: &Spanned<String>, scheme: &str) -> Result<String, Mistake> {
    let text = written.get_ref();
    let help = format!("write {scheme} = \"{scheme}://HOST/PATH\"");
    let wrong = |what: String| Mistake::at(written.span(), what).help(help.clone());
    let uri: hyper::Uri = text.parse().map_err(|_| wrong("this is not a valid URL".to_owned()))?;
    if uri.scheme_str() != Some(scheme)
        || uri.host().is_none_or(|host| !is_host(host.trim_matches(['[', ']'])))
    {
        return Err(wrong(format!("this is no URL of {scheme}")));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Mistake::at(written.span(), "a URL with a password would be shown")
            .help("ask for something that needs none"));
    }
    Ok(text.clone())
}

fn resolve_status(status: Option<Spanned<Vec<StatusRange>>>) -> Result<Vec<StatusRange>, Mistake> {
    match status {
        None => Ok(vec![STATUS]),
        Some(none) if none.get_ref().is_empty() => {
            Err(Mistake::at(none.span(), "no status counts").help("write status = [\"200-399\"]"))
        }
        Some(status) => Ok(status.into_inner()),
    }
}

fn resolve_from(from: Option<Spanned<String>>) -> Result<Vantage, Mistake> {
    let Some(from) = from else { return Ok(Vantage::Host) };
    match from.get_ref().as_str() {
        "host" => Ok(Vantage::Host),
        "container" => Ok(Vantage::Container),
        other => Err(Mistake::at(from.span(), format!("'{other}' is no place to ask from"))
            .help(nearest(other, &["host", "container"]))),
    }
}

fn host(name: Spanned<String>) -> Result<String, Mistake> {
    if is_host(name.get_ref()) {
        return Ok(name.into_inner());
    }
    Err(Mistake::at(name.span(), format!("'{}' is not the name of a host", name.get_ref()))
        .help("write a name or an address alone, without a scheme and a port"))
}

fn port(port: Spanned<u16>) -> Result<u16, Mistake> {
    match *port.get_ref() {
        0 => Err(Mistake::at(port.span(), "there is no port 0").help("write the server's port")),
        port => Ok(port),
    }
}

fn path(path: Spanned<String>) -> Result<String, Mistake> {
    if path.get_ref().starts_with('/') {
        return Ok(path.into_inner());
    }
    Err(Mistake::at(path.span(), format!("'{}' is not an absolute path", path.get_ref()))
        .help("write the path of a PEM file on the instance, such as \"/etc/ssl/rds.pem\""))
}

#[cfg(test)]
mod tests;
