//! What a container can be made of: everything that `src/host/docker/options.rs` may ask for.

use anyhow::Result;
use serde_json::{Value, json};

use crate::engine::Engine;

pub(crate) fn all(engine: &mut Engine<'_>) -> Result<()> {
    let (inside, outside) = engine.host().folder();
    let source = inside.join("file").display().to_string();
    std::fs::write(outside.join("file"), "a file")?;
    engine.create("web", "good", json!({
        "Cmd": ["serve"],
        "Env": ["NAME=value", "VARIANT=good", "EMPTY="],
        "Labels": { "handover.app": "a" },
        "ExposedPorts": { "8000/tcp": {} },
        "StopTimeout": 7,
        "StopSignal": "INT",
        "User": "0:0",
        "HostConfig": {
            "Mounts": [
                { "Type": "bind", "Source": source, "Target": "/file", "ReadOnly": true },
                { "Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": false },
            ],
            "PortBindings": { "8000/tcp": [{ "HostIp": "", "HostPort": "8080" }] },
            "RestartPolicy": { "Name": "no" },
            "Memory": 64 << 20,
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m", "max-file": "3" } },
            "NanoCpus": 500_000_000,
            "ReadonlyRootfs": true,
            "Tmpfs": { "/tmp": "size=1048576,mode=1777" },
            "ExtraHosts": ["db:10.0.0.1", "host:host-gateway"],
            "NetworkMode": "bridge",
            "CapAdd": ["NET_BIND_SERVICE"],
            "CapDrop": ["ALL"],
            "Ulimits": [{ "Name": "nofile", "Soft": 1024, "Hard": 2048 }],
            "ShmSize": 1 << 20,
            "Init": false,
            "SecurityOpt": ["no-new-privileges:true"],
        },
    }))?;
    engine.made_of("web")?;
    engine.post("/containers/web/start")?;
    engine.state("web")?;
    engine.made_of("web")?;
    engine.stop("web")?;
    engine.state("web")?;
    // Not started: its control group would stay.
    engine.create("grouped", "good", json!({ "HostConfig": { "CgroupParent": "/handover" } }))?;
    engine.made_of("grouped")
}

pub(crate) fn further(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", json!({
        "Entrypoint": ["/app"],
        "Cmd": ["serve"],
        "WorkingDir": "/tmp",
        "Hostname": "web.internal",
        "HostConfig": {
            "Devices": [{ "PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r" }],
            "Dns": ["10.0.0.2"],
            "PidsLimit": 200,
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
        },
    }))?;
    engine.made_of("web")?;
    engine.further("web")?;
    engine.post("/containers/web/start")?;
    engine.state("web")?;
    engine.stop("web")?;
    // An empty one is none: what runs is the command alone.
    for (name, command) in [("bare", json!(["/app", "serve"])), ("nothing", json!([]))] {
        engine.create(name, "good", json!({ "Entrypoint": [], "Cmd": command }))?;
    }
    engine.made_of("bare")?;
    engine.post("/containers/bare/start")?;
    engine.state("bare")?;
    // The image's command does not count with an entrypoint of the container's own.
    engine.create("entered", "talkative", json!({ "Entrypoint": ["/app"] }))?;
    engine.made_of("entered")
}

pub(crate) fn of_the_image(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("plain", "talkative", json!({}))?;
    engine.made_of("plain")?;
    engine.create("other", "talkative", json!({
        "Cmd": ["check"],
        "Env": ["RELEASE=other", "MORE=1"],
        "Labels": { "both": "the container", "more": "the container" },
        "ExposedPorts": { "9000/tcp": {}, "9001/udp": {} },
        "User": "1",
        "StopSignal": "SIGQUIT",
    }))?;
    engine.made_of("other")?;
    engine.create("entered", "talkative", json!({ "Entrypoint": ["/app", "exit"] }))?;
    engine.made_of("entered")?;
    engine.create("checked", "checked", json!({}))?;
    engine.made_of("checked")
}

pub(crate) fn networks(engine: &mut Engine<'_>) -> Result<()> {
    for name in ["", "default", "bridge", "host", "none"] {
        let container = format!("on-{name}");
        engine.create(&container, "good", json!({ "HostConfig": { "NetworkMode": name } }))?;
        engine.made_of(&container)?;
        engine.post(&format!("/containers/{container}/start"))?;
        engine.state(&container)?;
    }
    Ok(())
}

pub(crate) fn refused(engine: &mut Engine<'_>) -> Result<()> {
    let host = |key: &str, value: Value| json!({ "HostConfig": { key: value } });
    let log = |driver: &str, option: &str| {
        host("LogConfig", json!({ "Type": driver, "Config": { option: "1m" } }))
    };
    let mount = |kind: &str, source: &str, target: &str| {
        host("Mounts", json!([{ "Type": kind, "Source": source, "Target": target }]))
    };
    // Not a driver that is not there: the Engine looks for a plugin for a quarter of a minute before it says so.
    for body in [
        host("Memory", json!(5)),
        host("NanoCpus", json!(64_000_000_000_000_i64)),
        host("NanoCpus", json!(-1)),
        host("ShmSize", json!(-1)),
        host("CapAdd", json!(["FOO"])),
        host("CapDrop", json!(["CAP_FOO"])),
        host("ExtraHosts", json!(["a:b"])),
        host("ExtraHosts", json!(["a"])),
        host("SecurityOpt", json!(["no-new-things"])),
        host("SecurityOpt", json!(["systempaths=unconfined"])),
        host("Tmpfs", json!({ "tmp": "" })),
        host("Tmpfs", json!({ "/": "" })),
        log("json-file", "foo"),
        log("local", "foo"),
        mount("bind", "/nope", "/x"),
        mount("volume", "m", "/x"),
        mount("bind", "/tmp", "x"),
        mount("bind", "tmp", "/x"),
        host("Mounts", json!([
            { "Type": "bind", "Source": "/tmp", "Target": "/x" },
            { "Type": "volume", "Source": "data", "Target": "/x" },
        ])),
        host("PortBindings", json!({ "8000/tcp": [{ "HostPort": "x" }] })),
        host("PortBindings", json!({ "8000/tcp": [{ "HostPort": "99999" }] })),
        json!({ "StopSignal": "NOPE" }),
    ] {
        engine.create("web", "good", body)?;
    }
    Ok(())
}
