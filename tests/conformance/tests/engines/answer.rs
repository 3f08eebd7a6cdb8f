//! What is compared of an answer: its status, the words of a refusal, and the fields that handover reads.

use std::collections::BTreeMap;

use lab::http::Response;
use serde_json::Value;

/// What handover reads of a container, of how it is.
const STATE: &[&str] = &[
    "/Name",
    "/State/Status",
    "/State/Running",
    "/State/Paused",
    "/State/Restarting",
    "/State/OOMKilled",
    "/State/Dead",
    "/State/ExitCode",
    "/State/Error",
    "/State/StartedAt",
    "/State/FinishedAt",
    "/RestartCount",
    "/HostConfig/RestartPolicy",
];

/// And of what it is made of.
const MADE_OF: &[&str] = &[
    "/Name",
    "/Id",
    "/Path",
    "/Args",
    "/Config/Image",
    "/Config/Labels",
    "/Config/Env",
    "/Config/Cmd",
    "/Config/Entrypoint",
    "/Config/User",
    "/Config/ExposedPorts",
    "/Config/StopSignal",
    "/Config/StopTimeout",
    "/Config/Healthcheck",
    "/HostConfig/AutoRemove",
    "/HostConfig/CapAdd",
    "/HostConfig/CapDrop",
    "/HostConfig/CgroupParent",
    "/HostConfig/ExtraHosts",
    "/HostConfig/Init",
    "/HostConfig/LogConfig",
    "/HostConfig/Memory",
    "/HostConfig/Mounts",
    "/HostConfig/NanoCpus",
    "/HostConfig/NetworkMode",
    "/HostConfig/PortBindings",
    "/HostConfig/ReadonlyRootfs",
    "/HostConfig/RestartPolicy",
    "/HostConfig/SecurityOpt",
    "/HostConfig/ShmSize",
    "/HostConfig/Tmpfs",
    "/HostConfig/Ulimits",
];

/// What few containers have.
const FURTHER: &[&str] = &[
    "/Config/Hostname",
    "/Config/WorkingDir",
    "/HostConfig/Devices",
    "/HostConfig/Dns",
    "/HostConfig/PidsLimit",
];

/// The words about a layer that handover knows (`src/host/docker/pull.rs`).
const LAYER_WORDS: [&str; 8] = [
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
];

/// What is written down of an answer.
pub(crate) fn of(method: &str, path: &str, answer: &Response) -> Vec<String> {
    let mut lines = vec![answer.status.to_string()];
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status >= 400 {
        lines.push(body["message"].as_str().map_or_else(|| answer.text(), str::to_owned));
        return lines;
    }
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).filter(|segment| !segment.starts_with("v1.")).collect();
    lines.extend(match (method, segments.as_slice()) {
        ("GET", ["containers", "json"]) => listed(&body),
        ("GET", ["containers", _, "json"]) => state(&body),
        ("GET", ["exec", _, "json"]) => fields(&body, &["/Running", "/ExitCode", "/ContainerID"]),
        ("GET", ["images", .., "json"]) => {
            fields(&body, &["/Os", "/Architecture", "/RepoTags", "/RepoDigests"])
        }
        ("GET", ["distribution", ..]) => {
            let mut lines = fields(&body, &["/Descriptor/digest"]);
            for platform in body["Platforms"].as_array().into_iter().flatten() {
                lines.extend(fields(platform, &["/os", "/architecture"]));
            }
            lines
        }
        ("GET", ["networks", _]) | ("POST", ["volumes", "create"]) => fields(&body, &["/Name", "/Labels"]),
        ("GET", ["networks"]) => named(&body),
        ("GET", ["volumes"]) => named(&body["Volumes"]),
        ("GET", ["version"]) => fields(&body, &["/Version", "/ApiVersion", "/MinAPIVersion", "/Os", "/Arch"]),
        ("GET", ["info"]) => fields(
            &body,
            &[
                "/ServerVersion",
                "/OSType",
                "/MemoryLimit",
                "/DockerRootDir",
                "/LoggingDriver",
                "/Driver",
                "/CgroupDriver",
            ],
        ),
        ("POST", ["images", "create"]) => pulled(&answer.text()),
        ("DELETE", ["images", ..]) => body.as_array().into_iter().flatten().map(text).collect(),
        ("POST", ["exec", _, "start"]) | ("GET", ["containers", _, "logs"]) => frames(&answer.body),
        // The id alone, and that is known by now.
        ("POST", ["containers" | "networks", "create"] | ["containers", _, "exec"]) => {
            fields(&body, &["/Id"])
        }
        ("POST", ["containers", _, "update"]) => Vec::new(),
        _ => vec![answer.text().trim().to_owned()],
    });
    lines.retain(|line| !line.is_empty());
    lines
}

/// A line for each field that says something: to handover, what is empty, zero, false or null is what is not there.
fn fields(body: &Value, pointers: &[&str]) -> Vec<String> {
    let said = pointers.iter().filter_map(|pointer| Some((pointer, body.pointer(pointer)?)));
    said.filter(|(_, value)| !is_nothing(value))
        .map(|(pointer, value)| {
            format!("{}: {}", pointer.trim_start_matches('/').replace('/', "."), text(value))
        })
        .collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn state(body: &Value) -> Vec<String> {
    let mut lines = fields(body, STATE);
    if body.pointer("/State/Pid").and_then(Value::as_i64).is_some_and(|pid| pid > 0) {
        lines.push("State.Pid: <a process>".to_owned());
    }
    if let Some(health) = body.pointer("/State/Health") {
        lines.push(format!("State.Health.Status: {}", text(&health["Status"])));
        // The last one before the end may have been interrupted, and when there is a first one is chance.
        let settled = body["State"]["Running"] == true && health["Status"] != "starting";
        let last = health["Log"].as_array().and_then(|log| log.last());
        if let Some(last) = last.filter(|_| settled) {
            let words = last["Output"].as_str().is_some_and(|output| !output.is_empty());
            let how = match (last["ExitCode"] == 0, words) {
                (true, _) => "well",
                (false, true) => "failed, with words",
                (false, false) => "failed, without words",
            };
            lines.push(format!("State.Health.Log, the last: {how}"));
        }
    }
    lines.extend(reached_at(body));
    lines
}

/// Where a container is reached. Of one that never ran the Engine tells after a boot what a failed start left behind.
fn reached_at(body: &Value) -> Vec<String> {
    if body["State"]["Status"] == "created" {
        return Vec::new();
    }
    let mut lines: Vec<_> = (body["NetworkSettings"]["Ports"].as_object().into_iter().flatten())
        .map(|(port, bindings)| format!("NetworkSettings.Ports: {port} {}", text(bindings)))
        .collect();
    for (name, network) in body["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let [v4, v6] = ["IPAddress", "GlobalIPv6Address"].map(|key| text(&network[key]));
        lines.push(format!("NetworkSettings.Networks: {name} {v4} {v6}"));
    }
    lines.sort();
    lines
}

/// What a container is made of.
pub(crate) fn made_of(body: &Value) -> Vec<String> {
    let mut lines = fields(body, MADE_OF);
    let mut mounts: Vec<_> = body["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| {
            format!("Mounts: {} {} {}", text(&mount["Type"]), text(&mount["Destination"]), text(&mount["RW"]))
        })
        .collect();
    mounts.sort();
    lines.extend(mounts);
    lines.extend(called(body));
    lines
}

/// What it is called on the networks that somebody made. Older Engines add the beginning of its id.
fn called(body: &Value) -> Vec<String> {
    let id = body["Id"].as_str().unwrap_or_default();
    let networks = body["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    networks
        .filter_map(|(name, network)| {
            let aliases: Vec<&str> = network["Aliases"]
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .filter(|alias| !id.starts_with(alias))
                .collect();
            (!aliases.is_empty()).then(|| format!("NetworkSettings.Networks: {name} as {aliases:?}"))
        })
        .collect()
}

/// Networks or volumes in a list, by name.
fn named(list: &Value) -> Vec<String> {
    let of_one =
        |one: &Value| fields(one, &["/Name", "/Labels", "/Options/com.docker.network.bridge.name"]).join(" ");
    let mut lines: Vec<_> = list.as_array().into_iter().flatten().map(of_one).collect();
    lines.sort();
    lines
}

/// What else it is made of.
pub(crate) fn further(body: &Value) -> Vec<String> {
    fields(body, FURTHER)
}

fn listed(body: &Value) -> Vec<String> {
    let of_one = |one: &Value| {
        let mut lines = fields(one, &["/Id", "/Names", "/State", "/Labels"]);
        let ports = one["Ports"].as_array().filter(|_| one["State"] != "created");
        let mut ports: Vec<_> = ports.into_iter().flatten().map(text).collect();
        ports.sort();
        lines.extend(ports.into_iter().map(|port| format!("  {port}")));
        lines
    };
    body.as_array().into_iter().flatten().flat_map(of_one).collect()
}

/// The stream of a pull: each layer's end, and every other line.
fn pulled(stream: &str) -> Vec<String> {
    let mut layers = BTreeMap::<String, String>::new();
    let mut lines = Vec::new();
    for line in stream.lines() {
        let said: Value = serde_json::from_str(line).unwrap_or_else(|_| line.into());
        match (said["id"].as_str(), said["status"].as_str()) {
            (Some(id), Some(status)) if LAYER_WORDS.contains(&status) => {
                layers.insert(id.to_owned(), status.to_owned());
            }
            (id, Some(status)) => {
                lines.push(format!("{status} {}", id.unwrap_or_default()).trim().to_owned());
            }
            _ => lines.push(text(&said)),
        }
    }
    if !layers.is_empty() {
        let done = layers.values().all(|last| ["Pull complete", "Already exists"].contains(&last.as_str()));
        lines.insert(1, if done { "layers: all complete".to_owned() } else { format!("layers: {layers:?}") });
    }
    lines
}

/// A stream in frames: each is eight bytes (stream, zeros, length), then the text. Which of the two streams comes first
/// is chance.
fn frames(mut stream: &[u8]) -> Vec<String> {
    let mut texts = BTreeMap::<u8, Vec<u8>>::new();
    while let Some((head, rest)) = stream.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (text, rest) = rest.split_at(length.min(rest.len()));
        texts.entry(head[0]).or_default().extend_from_slice(text);
        stream = rest;
    }
    let line = |(stream, text): (u8, Vec<u8>)| format!("{stream}: {:?}", String::from_utf8_lossy(&text));
    texts.into_iter().map(line).collect()
}

/// JSON with its keys in order, without those that say nothing.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            // What is in a list or is a map of its own may be empty and yet mean something.
            let says = |value: &Value| value.is_array() || value.is_object() || !is_nothing(value);
            let sorted: BTreeMap<_, _> = map.iter().filter(|(_, value)| says(value)).collect();
            let pairs: Vec<_> =
                sorted.into_iter().map(|(key, value)| format!("{key}: {}", text(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A path as people read it.
pub(crate) fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
