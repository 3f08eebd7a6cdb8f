//! The calls on images.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    clock,
    create::{healthcheck, template},
    filters,
    image::Image,
    reference::{Reference, is_digest},
    registry::{Denial, MANIFEST},
    request::Request,
    world::{LocalImage, World, hex64},
};

const DEFAULT_SIZE: u64 = 10_000_000;
/// What the Engine runs on.
const ARCHITECTURE: &str = "amd64";

pub(crate) fn pull(world: &mut World, request: &Request) -> Answer {
    let from = request.take("fromImage").unwrap_or_default();
    let tag = request.take("tag").filter(|tag| !tag.is_empty());
    for parameter in ["fromSrc", "repo", "message", "changes"] {
        request.only(parameter, &[""])?;
    }
    request.only("platform", &["", "linux/amd64"])?;
    request.no_more_parameters()?;
    request.no_body()?;
    if from.is_empty() {
        return Err(complain(400, "only pulls are supported: fromImage is missing"));
    }
    let mut wanted = Reference::parse(&from)?;
    match tag {
        Some(digest) if digest.contains(':') => {
            if !is_digest(&digest) {
                return Err(refuse(400, "invalid tag format"));
            }
            wanted.digest = Some(digest);
        }
        Some(tag) => wanted.tag = Reference::parse(&format!("{}:{tag}", wanted.repository))?.tag,
        None => {}
    }
    if wanted.tag.is_none() && wanted.digest.is_none() {
        return Err(complain(400, "without a tag or digest the Engine pulls every tag of the repository"));
    }
    let asked = world.ask_registry(&wanted, request.registry_auth.as_deref());
    let image = asked.map_err(Denial::of_pull)?;
    let path = wanted.repository.split_once('/').map_or(wanted.repository.as_str(), |(_, path)| path);
    let name = wanted.name();
    let shown = if wanted.digest.is_some() { name.as_str() } else { wanted.tag_or_latest() };
    let mut lines = vec![json!({ "status": format!("Pulling from {path}"), "id": shown })];
    let no_match = format!("no matching manifest for linux/{ARCHITECTURE} in the manifest list entries");
    let fails = image.pull_fails.clone().or_else(|| image.for_this_machine().is_none().then_some(no_match));
    if let Some(message) = fails {
        lines.push(json!({ "errorDetail": { "message": message }, "error": message }));
    } else {
        let known = world.local_image(&name)?.is_some_and(|local| local.image.digest == image.digest);
        if world.store(&wanted, image.clone()) {
            lines.extend(progress(&image));
        }
        let what = if known { "Image is up to date" } else { "Downloaded newer image" };
        lines.push(json!({ "status": format!("Digest: {}", image.digest) }));
        lines.push(json!({ "status": format!("Status: {what} for {name}") }));
    }
    let bytes = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
    Ok(Reply::new(200, Body::Bytes("application/json", bytes)))
}

/// What the Engine tells about the one layer of an image.
fn progress(image: &Image) -> [Value; 3] {
    let layer = &hex64((&image.digest, "layer"))[..12];
    let size = image.size();
    [
        json!({ "status": "Pulling fs layer", "progressDetail": {}, "id": layer }),
        json!({
            "status": "Downloading",
            "progressDetail": { "current": size, "total": size },
            "progress": "[==================================================>]",
            "id": layer,
        }),
        json!({ "status": "Pull complete", "progressDetail": {}, "id": layer }),
    ]
}

pub(crate) fn distribution(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let wanted = Reference::parse(name)?;
    let asked = world.ask_registry(&wanted, request.registry_auth.as_deref());
    let image = asked.map_err(Denial::of_distribution)?;
    Ok(Reply::json(json!({
        "Descriptor": { "mediaType": MANIFEST, "digest": image.digest, "size": 1234 },
        "Platforms": image.told_platforms(),
    })))
}

pub(crate) fn inspect(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    match world.local_image(name)? {
        Some(local) => Ok(Reply::json(local.inspect())),
        None => Err(refuse(404, format!("no such image: {name}: No such image: {}", tagged(name)))),
    }
}

pub(crate) fn list(world: &mut World, request: &Request) -> Answer {
    request.flag("all")?;
    for parameter in ["shared-size", "manifests"] {
        request.only(parameter, &["", "0", "false"])?;
    }
    request.flag("digests")?;
    let filters = filters::pairs(&request.take("filters").unwrap_or_default())?;
    request.no_more_parameters()?;
    let mut found: Vec<&LocalImage> = world.local.iter().rev().collect();
    for (key, values) in filters {
        match key.as_str() {
            "reference" => found.retain(|local| values.iter().any(|value| local.named(value))),
            "dangling" => {
                let wanted = values.iter().any(|value| value == "true" || value == "1");
                found.retain(|local| local.tags.is_empty() == wanted);
            }
            "before" | "since" | "label" | "until" => {
                return Err(complain(400, format!("filter {key} is not supported")));
            }
            _ => return Err(refuse(400, format!("Invalid filter '{key}'"))),
        }
    }
    Ok(Reply::json(found.into_iter().map(LocalImage::summary).collect()))
}

pub(crate) fn tag(world: &mut World, request: &Request, name: &str) -> Answer {
    let repository = request.take("repo").unwrap_or_default();
    let tag = request.take("tag").filter(|tag| !tag.is_empty()).unwrap_or_else(|| "latest".to_owned());
    request.no_more_parameters()?;
    request.no_body()?;
    let wanted = Reference::parse(&format!("{repository}:{tag}"))?;
    let Some(id) = world.local_image(name)?.map(|local| local.id.clone()) else {
        return Err(refuse(404, format!("No such image: {}", tagged(name))));
    };
    world.give_tag(&id, &format!("{}:{tag}", wanted.repository));
    Ok(Reply::empty(201))
}

/// The name with the tag that it has when it says none.
pub(crate) fn tagged(name: &str) -> String {
    match Reference::parse(name) {
        Ok(Reference { repository, tag: None, digest: None }) => format!("{repository}:latest"),
        _ => name.to_owned(),
    }
}

impl World {
    /// Finds a pulled image by name, digest or id.
    pub(crate) fn local_image(&self, wanted: &str) -> Result<Option<&LocalImage>, Reply> {
        if let Some(by_id) = self.local.iter().find(|local| local.is_called_by_id(wanted)) {
            return Ok(Some(by_id));
        }
        Reference::parse(wanted)?;
        Ok(self.local.iter().find(|local| local.named(wanted)))
    }

    /// Keeps a pulled image; says whether it was not here before.
    pub(crate) fn store(&mut self, wanted: &Reference, image: Image) -> bool {
        let id = format!("sha256:{}", hex64((&image.digest, "config")));
        let fresh = !self.local.iter().any(|local| local.id == id);
        let digest = format!("{}@{}", image.repository, image.digest);
        let repository = image.repository.clone();
        if fresh {
            let created = jiff::Timestamp::now();
            let local = LocalImage { id: id.clone(), image, tags: Vec::new(), digests: Vec::new(), created };
            self.local.push(local);
        }
        if let Some(local) = self.local.iter_mut().find(|local| local.id == id)
            && !local.digests.contains(&digest)
        {
            local.digests.push(digest);
        }
        if wanted.digest.is_none() {
            self.give_tag(&id, &format!("{repository}:{}", wanted.tag_or_latest()));
        }
        fresh
    }

    /// Keeps an image that no registry has: it has no digest.
    pub(crate) fn load(&mut self, image: Image) {
        let id = format!("sha256:{}", hex64((&image.digest, "config")));
        let name = format!("{}:{}", image.repository, image.tag.as_deref().unwrap_or("latest"));
        if !self.local.iter().any(|local| local.id == id) {
            let created = jiff::Timestamp::now();
            let local = LocalImage { id: id.clone(), image, tags: Vec::new(), digests: Vec::new(), created };
            self.local.push(local);
        }
        self.give_tag(&id, &name);
    }

    /// Points a tag at an image, away from where it pointed.
    fn give_tag(&mut self, id: &str, tag: &str) {
        for local in &mut self.local {
            local.tags.retain(|other| other != tag);
            if local.id == id {
                local.tags.push(tag.to_owned());
            }
        }
    }
}

impl Image {
    fn told_platforms(&self) -> Vec<Value> {
        let told = self.architectures().into_iter().filter(|_| !self.platform_untold);
        told.map(|architecture| json!({ "architecture": architecture, "os": "linux" })).collect()
    }

    fn architectures(&self) -> Vec<&str> {
        let all: Vec<&str> = self.architectures.iter().map(String::as_str).collect();
        if all.is_empty() { vec![ARCHITECTURE] } else { all }
    }

    /// Of an index the Engine takes what is for its own machine only; a single image it takes as it is.
    fn for_this_machine(&self) -> Option<&str> {
        let all = self.architectures();
        if all.len() == 1 { Some(all[0]) } else { all.into_iter().find(|one| *one == ARCHITECTURE) }
    }

    pub(crate) fn size(&self) -> u64 {
        if self.size == 0 { DEFAULT_SIZE } else { self.size }
    }
}

impl LocalImage {
    fn named(&self, wanted: &str) -> bool {
        let wanted = tagged(wanted);
        // With tag and digest together the digest decides.
        let wanted = match Reference::parse(&wanted) {
            Ok(Reference { repository, tag: Some(_), digest: Some(digest) }) => {
                format!("{repository}@{digest}")
            }
            _ => wanted,
        };
        self.tags.contains(&wanted) || self.digests.contains(&wanted)
    }

    pub(crate) fn is_called_by_id(&self, wanted: &str) -> bool {
        let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let sound = hex.len() >= 12 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        sound && self.id["sha256:".len()..].starts_with(hex)
    }

    fn summary(&self) -> Value {
        let labels: Map<String, Value> =
            self.image.config.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        json!({
            "Containers": -1,
            "Created": self.created.as_second(),
            "Id": self.id,
            "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
            "ParentId": "",
            "RepoDigests": self.digests,
            "RepoTags": if self.tags.is_empty() { Value::Null } else { json!(self.tags) },
            "SharedSize": -1,
            "Size": self.image.size(),
            "VirtualSize": self.image.size(),
        })
    }

    fn inspect(&self) -> Value {
        let image = &self.image.config;
        let mut config = template("Config");
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("Env", json!(image.env));
        set("Entrypoint", json!(image.entrypoint));
        set("Cmd", json!(image.cmd));
        set("User", json!(image.user));
        let labels: Map<_, _> = image.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        set("Labels", if labels.is_empty() { Value::Null } else { Value::Object(labels) });
        let exposed: Map<_, _> = image.exposed_ports.iter().map(|p| (p.clone(), json!({}))).collect();
        set("ExposedPorts", if exposed.is_empty() { Value::Null } else { Value::Object(exposed) });
        if !image.stop_signal.is_empty() {
            set("StopSignal", json!(image.stop_signal));
        }
        if let Some(check) = &image.healthcheck {
            set("Healthcheck", Value::Object(healthcheck(check)));
        }
        json!({
            "Id": self.id,
            "RepoTags": self.tags,
            "RepoDigests": self.digests,
            "Parent": "",
            "Comment": "",
            "Created": clock::text(Some(self.created)),
            "Container": "",
            "DockerVersion": "",
            "Author": "",
            "Config": config,
            "Architecture": self.image.for_this_machine(),
            "Os": "linux",
            "Size": self.image.size(),
            "VirtualSize": self.image.size(),
            "GraphDriver": { "Data": null, "Name": "overlay2" },
            "RootFS": { "Type": "layers", "Layers": [format!("sha256:{}", hex64((&self.id, "layer")))] },
            "Metadata": { "LastTagTime": clock::text(Some(self.created)) },
        })
    }
}
