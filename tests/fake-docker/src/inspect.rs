//! `GET /containers/{id}/json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Reply},
    clock,
    container::{Container, Status},
    image::Behaviour,
    request::Request,
    world::{World, hex64},
};

const DEFAULT_INTERVAL: i64 = 30_000_000_000;
const DEFAULT_RETRIES: i64 = 3;

pub(crate) fn inspect(world: &mut World, request: &Request, name: &str) -> Answer {
    request.only("size", &["", "0", "false"])?;
    request.no_more_parameters()?;
    let one = world.container(name)?;
    Ok(Reply::json(one.inspect()))
}

impl Container {
    pub(crate) fn inspect(&self) -> Value {
        json!({
            "Id": self.id,
            "Created": clock::text(Some(self.created)),
            "Path": self.argv[0],
            "Args": self.argv[1..],
            "State": self.state(),
            "Image": self.image_id,
            "ResolvConfPath": "",
            "HostnamePath": "",
            "HostsPath": "",
            "LogPath": "",
            "Name": format!("/{}", self.name),
            "RestartCount": self.restart_count,
            "Driver": "overlay2",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": null,
            "HostConfig": self.host_config,
            "GraphDriver": { "Data": null, "Name": "overlay2" },
            "Mounts": self.mounts(),
            "Config": self.config,
            "NetworkSettings": self.network_settings(),
        })
    }

    fn state(&self) -> Value {
        let mut state = json!({
            "Status": self.status.word(),
            "Running": self.status.counts_as_running(),
            "Paused": false,
            "Restarting": self.status == Status::Restarting,
            "OOMKilled": self.oom_killed,
            "Dead": false,
            "Pid": self.pid,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": clock::text(self.started_at),
            "FinishedAt": clock::text(self.finished_at),
        });
        if let (Some(health), Some(fields)) = (self.health(), state.as_object_mut()) {
            fields.insert("Health".to_owned(), health);
        }
        state
    }

    /// What the container's own HEALTHCHECK has come to by now: one probe per interval since the start.
    pub(crate) fn health(&self) -> Option<Value> {
        let check = self.config.get("Healthcheck").and_then(Value::as_object)?;
        let test = check.get("Test").and_then(Value::as_array)?;
        if matches!(test.first().and_then(Value::as_str), None | Some("NONE")) {
            return None;
        }
        let started = self.started_at?;
        let until = if self.status == Status::Running { Timestamp::now() } else { self.finished_at? };
        let number = |key: &str| check.get(key).and_then(Value::as_i64).filter(|n| *n != 0);
        let interval = i128::from(number("Interval").unwrap_or(DEFAULT_INTERVAL));
        let retries = i128::from(number("Retries").unwrap_or(DEFAULT_RETRIES));
        let probes = (until.as_nanosecond() - started.as_nanosecond()) / interval;
        let failing = match self.behaviour {
            Behaviour::HealthcheckUnhealthy | Behaviour::NeverListens | Behaviour::Hangs => true,
            Behaviour::Answers(status) => status >= 400,
            _ => false,
        };
        let status = match (failing, probes) {
            // Nobody asks it any more: to the Engine that is as bad.
            _ if self.status != Status::Running => "unhealthy",
            (_, 0) => "starting",
            (false, _) => "healthy",
            (true, n) if n >= retries => "unhealthy",
            (true, _) => "starting",
        };
        let streak = if failing { i64::try_from(probes).unwrap_or(i64::MAX) } else { 0 };
        let output = if failing { "unhealthy\n" } else { "" };
        let entry = json!({
            "Start": clock::text(Some(until)),
            "End": clock::text(Some(until)),
            "ExitCode": i32::from(failing),
            "Output": output,
        });
        let log = if probes == 0 { json!([]) } else { json!([entry]) };
        Some(json!({ "Status": status, "FailingStreak": streak, "Log": log }))
    }

    pub(crate) fn mounts(&self) -> Value {
        let one = |bind: &crate::container::Bind| {
            json!({
                "Type": if bind.is_volume { "volume" } else { "bind" },
                "Name": if bind.is_volume { bind.source.as_str() } else { "" },
                "Source": bind.source,
                "Destination": bind.target,
                "Mode": bind.mode,
                "RW": bind.writable,
                "Propagation": "rprivate",
            })
        };
        self.binds.iter().map(one).collect()
    }

    fn ports(&self) -> Value {
        let mut ports = BTreeMap::<&str, Vec<Value>>::new();
        for one in &self.shown.ports {
            let list = ports.entry(&one.port).or_default();
            let host_port = one.host_port.to_string();
            if one.host_ip.is_empty() {
                list.push(json!({ "HostIp": "0.0.0.0", "HostPort": host_port }));
                list.push(json!({ "HostIp": "::", "HostPort": host_port }));
            } else {
                list.push(json!({ "HostIp": one.host_ip, "HostPort": host_port }));
            }
        }
        let mut all: Map<String, Value> =
            ports.into_iter().map(|(port, list)| (port.to_owned(), json!(list))).collect();
        all.extend(self.shown.inside.iter().map(|port| (port.clone(), Value::Null)));
        Value::Object(all)
    }

    fn network_settings(&self) -> Value {
        let mut settings = self.endpoint_json();
        if let Some(fields) = settings.as_object_mut() {
            let sandbox = if self.started_before { hex64((&self.id, "sandbox")) } else { String::new() };
            let key = if sandbox.is_empty() {
                String::new()
            } else {
                format!("/var/run/docker/netns/{}", &sandbox[..12])
            };
            fields.insert("Bridge".to_owned(), json!(""));
            fields.insert("SandboxID".to_owned(), json!(sandbox));
            fields.insert("SandboxKey".to_owned(), json!(key));
            fields.insert("HairpinMode".to_owned(), json!(false));
            fields.insert("Ports".to_owned(), self.ports());
            fields.insert("Networks".to_owned(), self.networks());
            if !self.on_bridge() || self.on_named_network() {
                fields.insert("EndpointID".to_owned(), json!(""));
            }
            if self.on_named_network() {
                for key in ["Gateway", "IPAddress", "MacAddress"] {
                    fields.insert(key.to_owned(), json!(""));
                }
                fields.insert("IPPrefixLen".to_owned(), json!(0));
            }
        }
        settings
    }

    pub(crate) fn networks(&self) -> Value {
        let is_default = matches!(self.network.as_str(), "" | "default");
        let name = if is_default { "bridge" } else { &self.network };
        let mut endpoint = self.endpoint_json();
        if let Some(fields) = endpoint.as_object_mut() {
            let network = match &self.network_id {
                Some(id) => id.clone(),
                None if self.started_before => hex64(("network", name)),
                None => String::new(),
            };
            fields.insert("NetworkID".to_owned(), json!(network));
            for key in ["IPAMConfig", "Links", "Aliases", "DriverOpts"] {
                fields.insert(key.to_owned(), Value::Null);
            }
            if self.on_named_network() {
                let own = self.id[..12].to_owned();
                fields.insert("Aliases".to_owned(), json!([self.aliases.clone(), vec![own]].concat()));
            }
        }
        let mut networks = json!({ name: endpoint });
        for on in &self.others {
            let mut endpoint = self.endpoint_json();
            if let Some(fields) = endpoint.as_object_mut() {
                fields.insert("NetworkID".to_owned(), json!(on.id.clone().unwrap_or_default()));
                for key in ["IPAMConfig", "Links", "DriverOpts"] {
                    fields.insert(key.to_owned(), Value::Null);
                }
                let own = self.id[..12].to_owned();
                fields.insert("Aliases".to_owned(), json!([on.aliases.clone(), vec![own]].concat()));
            }
            networks[&on.name] = endpoint;
        }
        networks
    }

    fn endpoint_json(&self) -> Value {
        let up = self.status == Status::Running;
        let address = self.shown.address;
        let on_bridge = address.is_some();
        let mac = address.map(|ip| {
            let [_, b, c, d] = ip.octets();
            format!("02:42:7f:{b:02x}:{c:02x}:{d:02x}")
        });
        json!({
            "EndpointID": if up { self.endpoint.as_str() } else { "" },
            "Gateway": if on_bridge { "172.17.0.1" } else { "" },
            "IPAddress": address.map(|ip| ip.to_string()).unwrap_or_default(),
            "IPPrefixLen": if on_bridge { 16 } else { 0 },
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": mac.unwrap_or_default(),
        })
    }
}
