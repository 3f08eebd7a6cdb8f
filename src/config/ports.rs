//! Ports that are published more than once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toml::Spanned;

use super::diagnostic::Mistake;
use super::file;
use crate::model::{ProcessName, Publish};

/// Two processes on one port of the host: the second would find it taken when live is down.
pub(super) fn check_ports(written: &BTreeMap<Spanned<ProcessName>, file::Process>) -> Result<(), Mistake> {
    let mut taken: Vec<(&ProcessName, &Publish)> = vec![];
    for (name, process) in written {
        for port in &process.publish {
            let same = |(_, other): &&(&ProcessName, &Publish)| {
                let apart = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_some() && b.is_some() && a != b;
                let port = port.get_ref();
                port.host.is_some()
                    && other.host == port.host
                    && other.protocol == port.protocol
                    && !apart(other.address, port.address)
            };
            if let Some((other, _)) = taken.iter().find(same).filter(|(other, _)| *other != name.get_ref()) {
                let number = port.get_ref().host.unwrap_or_default();
                let what = format!("port {number} of the host is published by '{other}', too");
                return Err(Mistake::at(port.span(), what).help("publish another port"));
            }
            taken.push((name.get_ref(), port.get_ref()));
        }
    }
    Ok(())
}

/// One process on one port of the host twice, or twice on one that Docker picks for the same port of its own.
pub(super) fn check_twice(publish: &[Spanned<Publish>]) -> Result<(), Mistake> {
    for (i, port) in publish.iter().enumerate() {
        let port_is = port.get_ref();
        let same = |other: &Publish| {
            let both_picked = other.container == port_is.container && other.address == port_is.address;
            other.host == port_is.host
                && other.protocol == port_is.protocol
                && (port_is.host.is_some() || both_picked)
        };
        if publish[..i].iter().any(|other| same(other.get_ref())) {
            let what = match port_is.host {
                Some(number) => format!("port {number} of the host is published twice"),
                None => format!("port {} of the container is published twice", port_is.container),
            };
            return Err(Mistake::at(port.span(), what).help("keep one of them"));
        }
    }
    Ok(())
}
