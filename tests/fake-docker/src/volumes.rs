//! Volumes with a name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    container::{Bind, Container},
    filters,
    request::Request,
    schema,
    world::World,
};

/// A volume.
#[derive(Clone)]
pub(crate) struct Volume {
    pub(crate) name: String,
    labels: BTreeMap<String, String>,
}

impl Volume {
    fn json(&self) -> Value {
        json!({
            "Name": self.name, "Driver": "local", "Mountpoint": format!("/var/lib/docker/volumes/{}/_data", self.name),
            "Labels": self.labels, "Scope": "local", "Options": null,
        })
    }
}

impl World {
    /// A volume is made where there is none; one that is there stays as it is.
    pub(crate) fn volume(&mut self, name: &str, labels: BTreeMap<String, String>) -> &Volume {
        let at = self.volumes.iter().position(|volume| volume.name == name).unwrap_or_else(|| {
            self.volumes.push(Volume { name: name.to_owned(), labels });
            self.volumes.len() - 1
        });
        &self.volumes[at]
    }

    /// A container brings its volumes with it.
    pub(crate) fn make_volumes(&mut self, binds: &[Bind]) {
        for bind in binds.iter().filter(|bind| bind.is_volume) {
            self.volume(&bind.source, bind.labels.clone());
        }
    }
}

/// The labels in `fields`.
pub(crate) fn labels(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let labels = fields.get("Labels").and_then(Value::as_object);
    let label = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(label).collect()
}

pub(crate) fn create(world: &mut World, request: &Request) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::VOLUME, "VolumeCreateRequest")?;
    let name = fields.get("Name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(complain(400, "volumes without a name are not supported"));
    }
    let volume = world.volume(name, labels(fields)).json();
    Ok(Reply::new(201, Body::Json(volume)))
}

pub(crate) fn list(world: &World, request: &Request) -> Answer {
    let mut wanted = vec![];
    for (key, values) in filters::pairs(&request.take("filters").unwrap_or_default())? {
        match key.as_str() {
            "label" => wanted.extend(values),
            other => return Err(complain(400, format!("filter {other} of volumes is not supported"))),
        }
    }
    request.no_more_parameters()?;
    let fits = |volume: &&Volume| wanted.iter().all(|label| filters::has_label(&volume.labels, label));
    let volumes: Vec<Value> = world.volumes.iter().filter(fits).map(Volume::json).collect();
    Ok(Reply::json(json!({ "Volumes": volumes, "Warnings": null })))
}

pub(crate) fn remove(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    if !world.volumes.iter().any(|volume| volume.name == name) {
        return Err(refuse(404, format!("get {name}: no such volume")));
    }
    let has_it = |one: &&Container| one.binds.iter().any(|bind| bind.is_volume && bind.source == name);
    let users: Vec<&str> = world.containers.iter().filter(has_it).map(|one| one.id.as_str()).collect();
    if !users.is_empty() {
        return Err(refuse(409, format!("remove {name}: volume is in use - [{}]", users.join(", "))));
    }
    world.volumes.retain(|volume| volume.name != name);
    Ok(Reply::new(204, Body::Empty))
}
