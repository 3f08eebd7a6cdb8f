//! User-defined bridge networks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    container::{Attached, Container, Status},
    filters,
    request::Request,
    schema, volumes,
    world::{World, hex64},
};

/// A network that somebody made.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) id: String,
    pub(crate) name: String,
    labels: BTreeMap<String, String>,
}

/// The three networks that every Engine has.
const OWN: [&str; 3] = ["bridge", "host", "none"];

impl Network {
    fn json(&self) -> Value {
        json!({
            "Name": self.name, "Id": self.id, "Scope": "local", "Driver": "bridge", "Internal": false,
            "Attachable": false, "Ingress": false, "Labels": self.labels,
        })
    }
}

/// The network of every container that names none.
fn own_bridge() -> Value {
    json!({
        "Name": "bridge", "Id": hex64("the Engine's own bridge"), "Scope": "local", "Driver": "bridge", "Internal": false,
        "Attachable": false, "Ingress": false, "Labels": {}, "Options": { "com.docker.network.bridge.name": "docker0" },
    })
}

impl World {
    /// The network that a container is to be on: by its id once it has been there, else by its name.
    pub(crate) fn network_of(&self, one: &Container) -> Result<Option<String>, String> {
        if !one.on_named_network() {
            return Ok(None);
        }
        let wanted = one.network_id.as_deref().unwrap_or(&one.network);
        match self.network(wanted) {
            Some(network) => Ok(Some(network.id.clone())),
            None => Err(format!("network {wanted} not found")),
        }
    }

    /// The same of the networks that it was put on since.
    pub(crate) fn others_of(&self, one: &Container) -> Result<Vec<String>, String> {
        let id = |on: &Attached| {
            let wanted = on.id.as_deref().unwrap_or(&on.name);
            let found = self.network(wanted).map(|network| network.id.clone());
            found.ok_or_else(|| format!("network {wanted} not found"))
        };
        one.others.iter().map(id).collect()
    }

    fn network(&self, wanted: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == wanted || network.name == wanted)
    }
}

pub(crate) fn inspect(world: &World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    if OWN.contains(&name) {
        return Ok(Reply::json(json!({ "Name": name, "Scope": "local" })));
    }
    let network = world.network(name).ok_or_else(|| refuse(404, format!("network {name} not found")))?;
    Ok(Reply::json(network.json()))
}

pub(crate) fn list(world: &World, request: &Request) -> Answer {
    let (mut names, mut labels, mut drivers) = (vec![], vec![], vec![]);
    for (key, values) in filters::pairs(&request.take("filters").unwrap_or_default())? {
        match key.as_str() {
            "name" => names.extend(values),
            "label" => labels.extend(values),
            "driver" => drivers.extend(values),
            other => return Err(complain(400, format!("filter {other} of networks is not supported"))),
        }
    }
    request.no_more_parameters()?;
    let fits = |network: &&Network| {
        (names.is_empty() || names.iter().any(|name| network.name.contains(name.as_str())))
            && labels.iter().all(|label| filters::has_label(&network.labels, label))
    };
    let mut listed: Vec<Value> = world.networks.iter().filter(fits).map(Network::json).collect();
    match drivers.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        // The Engine's own is one of those.
        ["bridge"] if names.is_empty() && labels.is_empty() => listed.insert(0, own_bridge()),
        other => return Err(complain(400, format!("networks of drivers {other:?} are not supported"))),
    }
    Ok(Reply::json(listed.into()))
}

pub(crate) fn create(world: &mut World, request: &Request) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::NETWORK, "NetworkCreateRequest")?;
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("Name");
    if !matches!(text("Driver").as_str(), "" | "bridge") {
        return Err(complain(400, format!("networks of driver '{}' are not supported", text("Driver"))));
    }
    if name.is_empty() || OWN.contains(&name.as_str()) {
        return Err(complain(400, format!("a network cannot be called '{name}'")));
    }
    if let Some(message) = world.no_network.clone() {
        return Err(refuse(403, message));
    }
    let labels = volumes::labels(fields);
    // Two may have one name.
    let id = hex64((world.next(), &name, "network"));
    world.networks.push(Network { id: id.clone(), name, labels });
    Ok(Reply::new(201, Body::Json(json!({ "Id": id, "Warning": "" }))))
}

pub(crate) fn remove(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let network = world.network(name).ok_or_else(|| refuse(404, format!("network {name} not found")))?;
    let (id, name) = (network.id.clone(), network.name.clone());
    let is_on_it = |one: &Container| {
        let on = one.others.iter().map(|on| &on.id).chain([&one.network_id]);
        one.status == Status::Running && on.flatten().any(|on| *on == id)
    };
    if world.containers.iter().any(is_on_it) {
        let why = format!("error while removing network: network {name} id {id} has active endpoints");
        return Err(refuse(403, why));
    }
    world.networks.retain(|network| network.id != id);
    Ok(Reply::new(204, Body::Empty))
}

/// Puts a container on a network: on one more, or on one of its own again.
pub(crate) fn connect(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::CONNECT, "NetworkConnectRequest")?;
    let wanted = fields.get("Container").and_then(Value::as_str).unwrap_or_default().to_owned();
    // A container that does not run is connected to whatever is called so when it starts.
    let network = world.network(name).map(|network| (network.id.clone(), network.name.clone()));
    let (id, name) = network.map_or((None, name.to_owned()), |(id, name)| (Some(id), name));
    let aliases = fields.get("EndpointConfig").and_then(Value::as_object).map(aliases).unwrap_or_default();
    let one = world.container(&wanted)?;
    if one.network != name {
        return attach(one, Attached { name, id, aliases });
    }
    if one.status == Status::Running {
        let why = format!("endpoint with name {} already exists in network {name}", one.name);
        return Err(refuse(403, why));
    }
    one.network_id = id;
    one.aliases = aliases;
    Ok(Reply::new(200, Body::Empty))
}

/// Puts a container on a network beside its own.
fn attach(one: &mut Container, to: Attached) -> Answer {
    if !one.on_bridge() {
        return Err(complain(400, "a container on the host's network is put on no other"));
    }
    let there = one.others.iter().position(|on| on.name == to.name);
    if one.status == Status::Running {
        if to.id.is_none() {
            return Err(refuse(404, format!("network {} not found", to.name)));
        }
        if there.is_some() {
            let why = format!("endpoint with name {} already exists in network {}", one.name, to.name);
            return Err(refuse(403, why));
        }
    }
    match there {
        Some(at) => one.others[at] = to,
        None => one.others.push(to),
    }
    Ok(Reply::new(200, Body::Empty))
}

/// Takes a container off a network.
pub(crate) fn disconnect(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::DISCONNECT, "NetworkDisconnectRequest")?;
    let wanted = fields.get("Container").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_there = world.network(name).is_some();
    let one = world.container(&wanted)?;
    if one.network == name {
        return Err(complain(400, "a container leaves the network that it was created with"));
    }
    if !is_there && one.status == Status::Running {
        return Err(refuse(404, format!("network {name} not found")));
    }
    let before = one.others.len();
    one.others.retain(|on| on.name != name);
    if one.others.len() == before {
        let why = format!("container {} is not connected to network {name}", one.id);
        return Err(refuse(500, why));
    }
    Ok(Reply::new(200, Body::Empty))
}

/// What a container is called on its one network.
pub(crate) fn endpoint(fields: &Map<String, Value>, network: &str) -> Result<Vec<String>, Reply> {
    let endpoints = fields.get("NetworkingConfig").and_then(|config| config.get("EndpointsConfig"));
    let Some(endpoints) = endpoints.and_then(Value::as_object) else { return Ok(vec![]) };
    match endpoints.iter().next() {
        None => Ok(vec![]),
        Some((name, endpoint)) if endpoints.len() == 1 && name == network => {
            Ok(endpoint.as_object().map(aliases).unwrap_or_default())
        }
        Some(_) => Err(complain(400, "an endpoint is only known for the network of NetworkMode")),
    }
}

fn aliases(endpoint: &Map<String, Value>) -> Vec<String> {
    let list = endpoint.get("Aliases").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
