//! Values that are not written as text, or as more than one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toml::Spanned;

use super::written::parse;
use crate::config::diagnostic::Mistake;
use crate::config::file::{Field, SoftAndHard, WrittenCpus, WrittenUlimit};
use crate::model::container::{Capability, Cpus, ULIMITS, Ulimit};
use crate::model::container_label;
use crate::suggest::nearest;

pub(super) fn parse_cpus(written: &Spanned<WrittenCpus>) -> Result<Cpus, Mistake> {
    let cpus = match *written.get_ref() {
        WrittenCpus::Whole(whole) => f64::from(whole),
        WrittenCpus::Decimal(decimal) => decimal,
    };
    // Docker's own range; how many there are is seen on the instance.
    if !(0.01..=1024.0).contains(&cpus) {
        return Err(Mistake::at(written.span(), format!("a container cannot have {cpus} processors"))
            .help("write a number from 0.01 to 1024"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024 billions")]
    Ok(Cpus((cpus * 1e9).round() as i64))
}

pub(super) fn parse_capabilities(written: Option<&[Spanned<String>]>) -> Result<Vec<Capability>, Mistake> {
    let mut capabilities: Vec<Capability> =
        written.unwrap_or_default().iter().map(parse).collect::<Result<_, _>>()?;
    capabilities.sort();
    capabilities.dedup();
    Ok(capabilities)
}

pub(super) fn parse_labels(
    written: &BTreeMap<Spanned<String>, Field>,
) -> Result<BTreeMap<String, String>, Mistake> {
    let mut labels = BTreeMap::new();
    for (name, value) in written {
        let key = name.get_ref();
        if key.is_empty() {
            return Err(Mistake::at(name.span(), "the name of a label is empty"));
        }
        if container_label::is_ours(key) {
            let what = format!("label '{key}' is handover's own: it finds its containers by it");
            return Err(Mistake::at(name.span(), what)
                .help(format!("use a name that does not begin with '{}'", container_label::PREFIX)));
        }
        labels.insert(key.clone(), value.clone().into_text());
    }
    Ok(labels)
}

pub(super) fn parse_working_dir(written: &Spanned<String>) -> Result<String, Mistake> {
    if written.get_ref().starts_with('/') {
        return Ok(written.get_ref().clone());
    }
    Err(Mistake::at(
        written.span(),
        format!("'{}' is not the path of a folder in the container", written.get_ref()),
    )
    .help("write an absolute path, such as \"/app\""))
}

pub(super) fn parse_dns(written: &Spanned<String>) -> Result<IpAddr, Mistake> {
    written.get_ref().parse().map_err(|_| {
        Mistake::at(written.span(), format!("'{}' is not the address of a DNS server", written.get_ref()))
            .help("write an IP address, such as \"10.0.0.2\"")
    })
}

pub(super) fn parse_pids_limit(written: &Spanned<i64>) -> Result<i64, Mistake> {
    match *written.get_ref() {
        limit @ -1.. => Ok(limit),
        _ => Err(Mistake::at(written.span(), "a limit cannot be negative").help("-1 means no limit")),
    }
}

pub(super) fn parse_ulimits(
    written: &BTreeMap<Spanned<String>, Spanned<WrittenUlimit>>,
) -> Result<BTreeMap<String, Ulimit>, Mistake> {
    let mut ulimits = BTreeMap::new();
    for (name, value) in written {
        if !ULIMITS.contains(&name.get_ref().as_str()) {
            return Err(Mistake::at(name.span(), format!("'{}' is not a ulimit", name.get_ref()))
                .help(nearest(name.get_ref(), ULIMITS)));
        }
        let limit = match *value.get_ref() {
            WrittenUlimit::Both(both) => Ulimit { soft: both, hard: both },
            WrittenUlimit::Each(SoftAndHard { soft, hard }) => Ulimit { soft, hard },
        };
        if limit.soft < -1 || limit.hard < -1 {
            return Err(Mistake::at(value.span(), "a limit cannot be negative").help("-1 means no limit"));
        }
        if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
            return Err(Mistake::at(value.span(), "the soft limit is above the hard limit"));
        }
        // The kernel has a limit of its own for it (fs.nr_open), and the container would not start.
        if name.get_ref() == "nofile" && limit.hard == -1 {
            return Err(Mistake::at(value.span(), "'nofile' cannot be unlimited").help("write a number"));
        }
        ulimits.insert(name.get_ref().clone(), limit);
    }
    Ok(ulimits)
}
