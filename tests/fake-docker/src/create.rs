//! `POST /containers/create`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    container::{Bind, Container, Policy, Shown, Status},
    image::Healthcheck,
    images::tagged,
    lifecycle::known_signal,
    networks, options, ports,
    request::Request,
    schema, volumes,
    world::{LocalImage, World, hex64},
};

const TEMPLATE: &str = include_str!("template.json");
const MINIMUM_MEMORY: i64 = 6 * 1024 * 1024;

/// Handles the call.
pub(crate) fn create(world: &mut World, request: &Request) -> Answer {
    let name = request.take("name").unwrap_or_default();
    request.only("platform", &["", "linux", "linux/amd64"])?;
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::CREATE, "ContainerConfigWrapper")?;
    if fields.is_empty() {
        return Err(refuse(400, "Config cannot be empty in order to create a container"));
    }
    let none = json!({});
    let host = fields.get("HostConfig").filter(|host| !host.is_null()).unwrap_or(&none);
    let policy = policy(host.get("RestartPolicy"))?;
    let bindings = ports::bindings(host.get("PortBindings"))?;
    verify(fields, host)?;
    options::verify(host)?;
    let binds = binds(host)?;

    let wanted = text(fields, "Image");
    if wanted.is_empty() {
        return Err(refuse(400, "No command specified"));
    }
    let Some(local) = world.local_image(&wanted)?.cloned() else {
        return Err(refuse(404, format!("No such image: {}", tagged(&wanted))));
    };
    let config = merge(fields, &local)?;
    let argv = [strings(&config, "Entrypoint"), strings(&config, "Cmd")].concat();
    if argv.is_empty() {
        return Err(refuse(400, "No command specified"));
    }

    let network = host.get("NetworkMode").and_then(Value::as_str).unwrap_or_default().to_owned();
    let serial = world.next();
    let id = hex64((serial, &name, "container"));
    let name = if name.is_empty() { format!("unnamed_{serial}") } else { name };
    let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
    check_name(&name).map_err(|()| refuse(400, invalid_name(&name)))?;
    if let Some(owner) = world.containers.iter().find(|c| c.name == name) {
        return Err(refuse(409, name_in_use(&name, &owner.id)));
    }

    let commands = &local.image.commands;
    let cmd = strings(&config, "Cmd");
    let other = commands.iter().find(|(wanted, _)| *wanted == argv || *wanted == cmd);
    let behaviour = other.map_or(&local.image.behaviour, |(_, behaviour)| behaviour).clone();
    let exposed = config.get("ExposedPorts").and_then(Value::as_object);
    let exposed = exposed.into_iter().flatten().map(|(port, _)| port.clone()).collect();
    world.make_volumes(&binds);
    world.containers.push(Container {
        host_config: host_config(host, &bindings, &policy),
        aliases: networks::endpoint(fields, &network)?,
        network,
        others: Vec::new(),
        network_id: None,
        config: with_hostname(config, &id),
        image_id: local.id,
        digest: local.image.digest,
        execs: local.image.execs,
        start_logs: local.image.logs,
        id: id.clone(),
        created: jiff::Timestamp::now(),
        status: Status::Created,
        exit_code: 0,
        error: String::new(),
        oom_killed: false,
        started_at: None,
        finished_at: None,
        restart_count: 0,
        stopped_by_hand: false,
        started_before: false,
        pid: 0,
        exits: 0,
        log: Vec::new(),
        address: None,
        endpoint: String::new(),
        published: Vec::new(),
        shown: Shown::default(),
        probes: Arc::default(),
        listeners: None,
        name,
        argv,
        policy,
        exposed,
        bindings,
        binds,
        behaviour,
    });
    Ok(Reply::new(201, Body::Json(json!({ "Id": id, "Warnings": [] }))))
}

/// What the Engine refuses about single values.
fn verify(fields: &Map<String, Value>, host: &Value) -> Result<(), Reply> {
    let signal = text(fields, "StopSignal");
    if !signal.is_empty() && known_signal(&signal).is_none() {
        return Err(refuse(400, format!("Invalid signal: {signal}")));
    }
    let memory = host.get("Memory").and_then(Value::as_i64).unwrap_or(0);
    if memory != 0 && memory < MINIMUM_MEMORY {
        return Err(refuse(400, "Minimum memory limit allowed is 6MB"));
    }
    for field in ["Interval", "Timeout", "StartPeriod"] {
        let value = fields.get("Healthcheck").and_then(|check| check.get(field)).and_then(Value::as_i64);
        if value.is_some_and(|value| value != 0 && value < 1_000_000) {
            return Err(refuse(400, format!("{field} in Healthcheck cannot be less than 1ms")));
        }
    }
    Ok(())
}

/// Reads a restart policy, as create and update both do.
pub(crate) fn policy(value: Option<&Value>) -> Result<Policy, Reply> {
    let name = value.and_then(|v| v.get("Name")).and_then(Value::as_str).unwrap_or_default();
    let retries = value.and_then(|v| v.get("MaximumRetryCount")).and_then(Value::as_i64).unwrap_or(0);
    match name {
        "always" | "unless-stopped" | "no" if retries != 0 => {
            Err(refuse(400, format!("maximum retry count cannot be used with restart policy '{name}'")))
        }
        "on-failure" if retries < 0 => Err(refuse(400, "maximum retry count cannot be negative")),
        "" | "always" | "unless-stopped" | "no" | "on-failure" => {
            Ok(Policy { name: name.to_owned(), retries })
        }
        other => Err(refuse(400, format!("invalid restart policy '{other}'"))),
    }
}

/// Bind mounts in both spellings.
fn binds(host: &Value) -> Result<Vec<Bind>, Reply> {
    let list = |key: &str| host.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut all = Vec::new();
    for one in list("Binds").filter_map(Value::as_str) {
        let mut parts = one.split(':');
        let (Some(source), Some(target), mode) = (parts.next(), parts.next(), parts.next().unwrap_or(""))
        else {
            return Err(refuse(400, format!("invalid volume specification: '{one}'")));
        };
        if !source.starts_with('/') || !target.starts_with('/') || parts.next().is_some() {
            return Err(complain(400, format!("only absolute bind mounts are supported: {one}")));
        }
        let writable = !mode.split(',').any(|word| word == "ro");
        all.push(Bind {
            source: source.to_owned(),
            target: target.to_owned(),
            mode: mode.to_owned(),
            writable,
            short_form: true,
            is_volume: false,
            labels: BTreeMap::new(),
        });
    }
    for one in list("Mounts") {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("Type").as_str() {
            "tmpfs" => continue,
            "volume" if text("Source").len() < 2 => {
                let name = text("Source");
                let rule = "volume name is too short, names should be at least two alphanumeric characters";
                return Err(refuse(400, format!("create {name}: {rule}")));
            }
            "bind" | "volume" => {}
            other => return Err(complain(400, format!("mounts of type {other:?} are not supported"))),
        }
        let is_volume = text("Type") == "volume";
        let mut paths = vec![text("Target")];
        paths.extend((!is_volume).then(|| text("Source")));
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
            let rule = format!("invalid mount path: '{path}' mount path must be absolute");
            return Err(refuse(400, format!("invalid mount config for type {:?}: {rule}", text("Type"))));
        }
        let bind = Bind {
            source: text("Source"),
            target: text("Target"),
            mode: String::new(),
            writable: one.get("ReadOnly").and_then(Value::as_bool) != Some(true),
            short_form: false,
            is_volume,
            labels: one
                .get("VolumeOptions")
                .and_then(Value::as_object)
                .map(volumes::labels)
                .unwrap_or_default(),
        };
        bind.check()?;
        all.push(bind);
    }
    let mut targets: Vec<_> = all.iter().map(|bind| &bind.target).collect();
    targets.sort();
    if let Some([twice, _]) = targets.array_windows().find(|[one, next]| one == next) {
        return Err(refuse(400, format!("Duplicate mount point: {twice}")));
    }
    Ok(all)
}

impl Bind {
    /// Refuses a source that is not there. For the short form the Engine would make a folder, which is never meant.
    pub(crate) fn check(&self) -> Result<(), Reply> {
        if self.is_volume || Path::new(&self.source).exists() {
            return Ok(());
        }
        Err(if self.short_form {
            complain(
                400,
                format!("the Engine would make a folder of the missing bind source {}", self.source),
            )
        } else {
            refuse(
                400,
                format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    self.source
                ),
            )
        })
    }
}

/// The container's `Config`: the call's over the image's over the Engine's defaults.
fn merge(fields: &Map<String, Value>, local: &LocalImage) -> Result<Map<String, Value>, Reply> {
    let image = &local.image.config;
    let mut config = template("Config");
    for (key, value) in fields {
        if key != "HostConfig" && key != "NetworkingConfig" && !value.is_null() {
            config.insert(key.clone(), value.clone());
        }
    }
    if strings(&config, "Entrypoint").is_empty() {
        if strings(&config, "Cmd").is_empty() {
            config.insert("Cmd".to_owned(), json!(some(&image.cmd)));
        }
        // One that is given and empty is none at all.
        if config.get("Entrypoint").is_none_or(Value::is_null) {
            config.insert("Entrypoint".to_owned(), json!(some(&image.entrypoint)));
        }
    }
    let mut env = strings(&config, "Env");
    let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    for entry in &image.env {
        if !env.iter().any(|own| key(own) == key(entry)) {
            env.push(entry.clone());
        }
    }
    config.insert("Env".to_owned(), json!(env));
    let mut labels: Map<_, _> = image.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    labels.extend(object(&config, "Labels"));
    config.insert("Labels".to_owned(), Value::Object(labels));
    let mut exposed = Map::new();
    for port in image.exposed_ports.iter().chain(object(&config, "ExposedPorts").keys()) {
        // The Engine takes anything.
        let port = ports::normal(port).map_err(|_| complain(400, format!("{port} is no port to expose")))?;
        exposed.insert(port, json!({}));
    }
    if !exposed.is_empty() {
        config.insert("ExposedPorts".to_owned(), Value::Object(exposed));
    }
    for (key, value) in [("User", &image.user), ("StopSignal", &image.stop_signal)] {
        if text(&config, key).is_empty() && !value.is_empty() {
            config.insert(key.to_owned(), json!(value));
        }
    }
    if let Some(check) = &image.healthcheck {
        let mut merged = healthcheck(check);
        for (key, value) in object(&config, "Healthcheck") {
            if !value.is_null() && value != json!(0) && value != json!([]) {
                merged.insert(key, value);
            }
        }
        config.insert("Healthcheck".to_owned(), Value::Object(merged));
    }
    Ok(config)
}

/// A HEALTHCHECK as inspect shows it.
pub(crate) fn healthcheck(check: &Healthcheck) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("Test".to_owned(), json!(check.test));
    let interval = i64::try_from(check.interval.as_nanos()).unwrap_or(i64::MAX);
    for (key, value) in [("Interval", interval), ("Retries", i64::from(check.retries))] {
        if value != 0 {
            map.insert(key.to_owned(), json!(value));
        }
    }
    map
}

fn host_config(host: &Value, bindings: &[ports::Binding], policy: &Policy) -> Map<String, Value> {
    let mut config = template("HostConfig");
    for (key, value) in host.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        config.insert(key.clone(), value.clone());
    }
    config.insert("PortBindings".to_owned(), ports::bindings_json(bindings));
    if config.get("NetworkMode") == Some(&json!("")) {
        config.insert("NetworkMode".to_owned(), json!("default"));
    }
    config.insert("RestartPolicy".to_owned(), policy.json());
    config
}

impl Policy {
    /// As inspect shows it.
    pub(crate) fn json(&self) -> Value {
        json!({ "Name": self.name, "MaximumRetryCount": self.retries })
    }
}

fn with_hostname(mut config: Map<String, Value>, id: &str) -> Map<String, Value> {
    if text(&config, "Hostname").is_empty() {
        config.insert("Hostname".to_owned(), json!(&id[..12]));
    }
    config
}

pub(crate) fn template(part: &str) -> Map<String, Value> {
    let all: Value = serde_json::from_str(TEMPLATE).expect("the template is JSON");
    all[part].as_object().expect("the template has this part").clone()
}

/// The Engine's rule for names: two characters at least.
pub(crate) fn check_name(name: &str) -> Result<(), ()> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let sound =
        name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(word);
    if sound { Ok(()) } else { Err(()) }
}

pub(crate) fn invalid_name(name: &str) -> String {
    format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
}

pub(crate) fn name_in_use(name: &str, owner: &str) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(map: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = map.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn object(map: &Map<String, Value>, key: &str) -> Map<String, Value> {
    map.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn some(list: &[String]) -> Option<&[String]> {
    (!list.is_empty()).then_some(list)
}
