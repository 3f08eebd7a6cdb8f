//! Host ports: parsed, clashing, published.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    answer::{Reply, complain, refuse},
    host_port::HostPort,
};

/// A wish from `PortBindings`.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// `8000/tcp`.
    pub(crate) port: String,
    pub(crate) host_ip: String,
    /// `None`: the Engine picks one.
    pub(crate) host_port: Option<u16>,
    /// That as it was written: inspect shows it so.
    written: String,
}

/// A host port that a running container owns.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) port: String,
    pub(crate) host_ip: String,
    pub(crate) host_port: u16,
    /// Keeps one that the Engine picked from everybody else, where host ports are real.
    pub(crate) _held: Option<Arc<HostPort>>,
}

impl Published {
    fn protocol(&self) -> &str {
        self.port.rsplit_once('/').map_or("tcp", |(_, protocol)| protocol)
    }

    /// The host's address, as the Engine writes it.
    pub(crate) fn host_address(&self) -> &str {
        if self.host_ip.is_empty() { "0.0.0.0" } else { &self.host_ip }
    }

    pub(crate) fn container_port(&self) -> u16 {
        number(&self.port)
    }

    /// Whether both cannot be bound at once.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.host_port == other.host_port
            && self.protocol() == other.protocol()
            && (any(&self.host_ip) || any(&other.host_ip) || self.host_ip == other.host_ip)
    }
}

/// The number in `8000/tcp`.
pub(crate) fn number(port: &str) -> u16 {
    port.split('/').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// `8000` and `8000/tcp` are the same; anything else must be a number and a protocol.
pub(crate) fn normal(port: &str) -> Result<String, Reply> {
    let (digits, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    if digits.contains('-') {
        return Err(complain(400, format!("port ranges are not supported: {port}")));
    }
    if digits.parse::<u16>().is_err() {
        return Err(refuse(400, format!("invalid port specification: \"{digits}\"")));
    }
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(refuse(400, format!("invalid proto: {protocol}")));
    }
    Ok(format!("{digits}/{protocol}"))
}

/// Reads `PortBindings`.
pub(crate) fn bindings(value: Option<&Value>) -> Result<Vec<Binding>, Reply> {
    let mut all = Vec::new();
    for (port, list) in value.and_then(Value::as_object).into_iter().flatten() {
        let port = normal(port)?;
        for one in list.as_array().into_iter().flatten() {
            let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let wanted = text("HostPort");
            if wanted.contains('-') {
                return Err(complain(400, format!("port ranges are not supported: {wanted}")));
            }
            let host_port = match wanted.as_str() {
                "" | "0" => None,
                digits => Some(
                    digits
                        .parse()
                        .map_err(|_| refuse(400, format!("invalid port specification: \"{digits}\"")))?,
                ),
            };
            all.push(Binding { port: port.clone(), host_ip: text("HostIp"), host_port, written: wanted });
        }
    }
    Ok(all)
}

/// `PortBindings` as inspect shows it.
pub(crate) fn bindings_json(bindings: &[Binding]) -> Value {
    let mut ports = BTreeMap::<&str, Vec<Value>>::new();
    for one in bindings {
        let entry = json!({ "HostIp": one.host_ip, "HostPort": one.written });
        ports.entry(&one.port).or_default().push(entry);
    }
    json!(ports)
}
