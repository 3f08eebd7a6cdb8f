//! `[process.NAME.health]` checked: the gate of a process.

use std::ops::Range;
use std::time::Duration;

use hyper::header::HeaderValue;
use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use super::time_span::{LONGEST, LONGEST_PROBE, time_span_in};
use crate::model::{Health, Probe, Publish, StatusRange};
use crate::text::duration;

/// The most that a gate may ask for.
const MOST_SUCCESSES: u32 = 10_000;
/// The codes that count as healthy when none are given.
const STATUS: StatusRange = StatusRange::new(200, 399);

pub(super) fn resolve_health(
    health: file::Health,
    table: Range<usize>,
    publish: &[Publish],
) -> Result<Health, Mistake> {
    let asked = [
        ("http", health.http.as_ref().map(Spanned::span)),
        ("tcp", health.tcp.as_ref().filter(|t| *t.get_ref()).map(Spanned::span)),
        ("command", health.command.as_ref().map(Spanned::span)),
        ("docker", health.docker.as_ref().filter(|d| *d.get_ref()).map(Spanned::span)),
    ];
    let mut asked = asked.into_iter().filter_map(|(key, span)| Some((key, span?)));
    let first = asked.next();
    if let (Some((one, _)), Some((two, span))) = (&first, asked.next()) {
        return Err(Mistake::at(span, format!("'{one}' and '{two}' cannot both be the probe"))
            .help("keep one of them"));
    }
    let kind = first.map_or("", |(key, _)| key);
    if kind != "http" {
        let span = health.host.as_ref().map(Spanned::span);
        if let Some(span) = span.or_else(|| health.status.as_ref().map(|_| table.clone())) {
            return Err(Mistake::at(span, "'host' and 'status' can only be used with 'http'"));
        }
    }
    if let (Some(port), "command" | "docker") = (&health.port, kind) {
        return Err(
            Mistake::at(port.span(), format!("'port' cannot be used with '{kind}'")).help("remove it")
        );
    }
    let whole = table.clone();
    let port = |table: Range<usize>| match (&health.port, publish) {
        (Some(port), _) if *port.get_ref() == 0 => {
            Err(Mistake::at(port.span(), "there is no port 0").help("write the container's port"))
        }
        (Some(port), _) => Ok(*port.get_ref()),
        (None, [only]) => Ok(only.container),
        (None, _) => Err(Mistake::at(table, "it is not clear which port to probe")
            .help("add port = NUMBER, the container's port")),
    };
    let probe = match kind {
        "http" => {
            let path = health.http.clone().expect("'http' was found above");
            if !path.get_ref().starts_with('/') {
                return Err(Mistake::at(path.span(), "the path of a probe has to start with '/'"));
            }
            if path.get_ref().parse::<hyper::Uri>().is_err() {
                return Err(Mistake::at(path.span(), "this is not a valid path of a URL")
                    .help("percent-encode its special characters"));
            }
            if let Some(host) = health.host.as_ref().filter(|h| HeaderValue::from_str(h.get_ref()).is_err()) {
                return Err(Mistake::at(host.span(), "this cannot be a Host header"));
            }
            if health.status.as_ref().is_some_and(Vec::is_empty) {
                return Err(
                    Mistake::at(table, "no status counts as healthy").help("write status = [\"200-399\"]")
                );
            }
            Probe::Http {
                path: path.into_inner(),
                port: port(table)?,
                host: health.host.map(Spanned::into_inner),
                status: health.status.unwrap_or_else(|| vec![STATUS]),
            }
        }
        "tcp" => Probe::Tcp { port: port(table)? },
        "command" => {
            let command = health.command.clone().expect("'command' was found above");
            if command.get_ref().is_empty() {
                return Err(Mistake::at(command.span(), "the command is empty"));
            }
            Probe::Command(command.into_inner())
        }
        "docker" => Probe::Docker,
        _ => Probe::default_for(publish),
    };
    let tick = Duration::from_millis(1);
    let default = Health::new(probe);
    let health = Health {
        interval: time_span_in(health.interval, tick..=LONGEST_PROBE, default.interval)?,
        timeout: time_span_in(health.timeout, tick..=LONGEST_PROBE, default.timeout)?,
        successes: parse_successes(health.successes, default.successes)?,
        min_healthy: time_span_in(health.min_healthy, Duration::ZERO..=LONGEST, default.min_healthy)?,
        deadline: time_span_in(health.deadline, tick..=LONGEST, default.deadline)?,
        probe: default.probe,
    };
    let least = health.shortest().saturating_sub(health.timeout);
    if health.deadline <= least {
        let what = format!(
            "the gate can never be passed: it takes {}, and the deadline is {}",
            duration(least),
            duration(health.deadline)
        );
        return Err(Mistake::at(whole, what).help("raise 'deadline'"));
    }
    Ok(health)
}

fn parse_successes(successes: Option<Spanned<u32>>, default: u32) -> Result<u32, Mistake> {
    let Some(successes) = successes else { return Ok(default) };
    let wrong = |what: String| Mistake::at(successes.span(), what);
    match *successes.get_ref() {
        0 => Err(wrong("at least one success is needed".to_owned()).help("write 1 or more")),
        1..=MOST_SUCCESSES => Ok(successes.into_inner()),
        _ => Err(wrong(format!("this is more than {MOST_SUCCESSES}: no gate can ask for so many"))
            .help("use 'min-healthy' for a longer trial")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_no_deployment_can_have_is_refused_where_it_stands() {
        for (key, value, place, what) in [
            ("stop-timeout", "'25h'", "f:7:16", "this is more than 24 h"),
            ("stop-timeout", "'0s'", "f:7:16", "this is less than 1 s"),
            ("health.interval", "'61m'", "f:7:19", "this is more than 1 h"),
            ("health.timeout", "'2h'", "f:7:18", "this is more than 1 h"),
            ("health.min-healthy", "'2562047788015215h'", "f:7:22", "this is more than 24 h"),
            ("health.deadline", "'9223372036854775807h'", "f:7:19", "is not a duration"),
            ("health.deadline", "'9999999999999h'", "f:7:19", "this is more than 24 h"),
            ("health.successes", "4294967295", "f:7:20", "this is more than 10000"),
            ("health.successes", "0", "f:7:20", "at least one success is needed"),
            ("health.port", "0", "f:7:15", "there is no port 0"),
        ] {
            let text = format!(
                "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[process.web]\nhealth.tcp = true\n{key} = {value}\npublish = ['80:80']\norder = 'stop-first'\n"
            );
            let mistake = crate::config::parse(&text, "f").unwrap_err().headline;
            assert!(mistake.starts_with(&format!("{place}: ")) && mistake.contains(what), "{key}: {mistake}");
        }
    }
}
