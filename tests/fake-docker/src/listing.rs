//! `GET /containers/json`.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Reply},
    container::{Container, Status},
    filters::Filters,
    ports,
    request::Request,
    world::World,
};

pub(crate) fn list(world: &mut World, request: &Request) -> Answer {
    let mut all = request.flag("all")?;
    let limit = request.number("limit")?.filter(|n| *n > 0);
    request.only("size", &["", "0", "false"])?;
    let filters = Filters::parse(&request.take("filters").unwrap_or_default())?;
    request.no_more_parameters()?;
    // A filter on the state, or a limit, looks at all of them.
    all |= !filters.states.is_empty() || limit.is_some();
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let found = world
        .containers
        .iter()
        .rev()
        .filter(|one| all || one.status.counts_as_running())
        .filter(|one| filters.match_container(one))
        .take(limit)
        .map(|one| one.summary(world));
    Ok(Reply::json(found.collect()))
}

impl Container {
    fn summary(&self, world: &World) -> Value {
        let status = match self.status {
            Status::Created => "Created".to_owned(),
            Status::Running => "Up 1 second".to_owned(),
            Status::Restarting => format!("Restarting ({}) 1 second ago", self.exit_code),
            Status::Exited => format!("Exited ({}) 1 second ago", self.exit_code),
        };
        // The name it was made from, unless that name has moved on: then the id.
        let named = self.config.get("Image").and_then(Value::as_str).unwrap_or_default();
        let current = world.local_image(named).ok().flatten();
        let image = match current {
            Some(local) if local.id == self.image_id => named,
            _ => &self.image_id,
        };
        json!({
            "Id": self.id,
            "Names": [format!("/{}", self.name)],
            "Image": image,
            "ImageID": self.image_id,
            "Command": self.argv.join(" "),
            "Created": self.created.as_second(),
            "Ports": self.ports_summary(),
            "Labels": self.config.get("Labels"),
            "State": self.status.word(),
            "Status": status,
            "HostConfig": { "NetworkMode": self.host_config.get("NetworkMode") },
            "NetworkSettings": { "Networks": self.networks() },
            "Mounts": self.mounts(),
        })
    }

    fn ports_summary(&self) -> Value {
        let mut list = Vec::new();
        for one in &self.shown.ports {
            let protocol = one.port.rsplit_once('/').map_or("tcp", |(_, protocol)| protocol);
            let ips = if one.host_ip.is_empty() { vec!["0.0.0.0", "::"] } else { vec![one.host_ip.as_str()] };
            for ip in ips {
                list.push(json!({
                    "IP": ip,
                    "PrivatePort": one.container_port(),
                    "PublicPort": one.host_port,
                    "Type": protocol,
                }));
            }
        }
        for port in &self.shown.inside {
            let protocol = port.rsplit_once('/').map_or("tcp", |(_, protocol)| protocol);
            list.push(json!({ "PrivatePort": ports::number(port), "Type": protocol }));
        }
        json!(list)
    }
}
