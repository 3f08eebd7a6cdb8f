//! Starts and stops, and what keeps a container from starting.

use anyhow::Result;
use serde_json::json;

use crate::engine::{Engine, with};

pub(crate) fn and_stopping(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", with("unless-stopped", Some(8080)))?;
    for _ in 0..2 {
        engine.post("/containers/web/start")?;
        engine.state("web")?;
        engine.post("/containers/web/start")?;
        engine.stop("web")?;
        engine.state("web")?;
        engine.stop("web")?;
        engine.post("/containers/web/kill?signal=KILL")?;
    }
    engine.state("web")
}

pub(crate) fn with_a_port_picked(engine: &mut Engine<'_>) -> Result<()> {
    for (name, ip, port) in [("web", "", ""), ("local", "127.0.0.1", ""), ("zero", "", "0")] {
        let bindings = json!({ "8000/tcp": [{ "HostIp": ip, "HostPort": port }] });
        engine.create(name, "good", json!({ "HostConfig": { "PortBindings": bindings } }))?;
        engine.made_of(name)?;
        engine.state(name)?;
        for _ in 0..2 {
            engine.post(&format!("/containers/{name}/start"))?;
            let ports = engine.peek(name)?["NetworkSettings"]["Ports"]["8000/tcp"].clone();
            for bound in ports.as_array().into_iter().flatten() {
                let number = bound["HostPort"].as_str().unwrap_or_default();
                engine.name(&format!("\"{number}\""), "<picked>");
            }
            engine.state(name)?;
            engine.stop(name)?;
            engine.state(name)?;
        }
    }
    Ok(())
}

pub(crate) fn with_a_port_taken(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("old", "good", "no", Some(8080))?;
    engine.create("new", "good", with("unless-stopped", Some(8080)))?;
    engine.post("/containers/new/start")?;
    engine.state("new")?;
    engine.stop("new")?;
    engine.post("/containers/new/kill?signal=KILL")?;
    engine.stop("old")?;
    engine.post("/containers/new/start")?;
    engine.state("new")?;
    // One that has run before keeps its old exit code.
    engine.post("/containers/old/start")?;
    engine.state("old")?;
    // Another address, another protocol: no clash.
    for (name, key, ip, port) in
        [("local", "8000/tcp", "127.0.0.1", "8081"), ("all", "8000/tcp", "0.0.0.0", "8081"), ("udp", "8000/udp", "", "8080")]
    {
        let bindings = json!({ key: [{ "HostIp": ip, "HostPort": port }] });
        engine.create(name, "good", json!({ "ExposedPorts": { key: {} }, "HostConfig": { "PortBindings": bindings } }))?;
        engine.post(&format!("/containers/{name}/start"))?;
        engine.state(name)?;
    }
    Ok(())
}

pub(crate) fn without_entrypoint(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "missing", with("unless-stopped", Some(8080)))?;
    engine.post("/containers/web/start")?;
    engine.state("web")?;
    // Its port is free again.
    engine.run("other", "good", "no", Some(8080))
}

pub(crate) fn without_network(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", json!({ "HostConfig": { "NetworkMode": "nope" } }))?;
    engine.made_of("web")?;
    engine.post("/containers/web/start")?;
    engine.state("web")
}

pub(crate) fn without_mount(engine: &mut Engine<'_>) -> Result<()> {
    let (inside, outside) = engine.host().folder();
    let source = inside.join("gone").display().to_string();
    std::fs::write(outside.join("gone"), "a file")?;
    engine.create("web", "good", json!({
        "HostConfig": { "Mounts": [{ "Type": "bind", "Source": source, "Target": "/file", "ReadOnly": true }] },
    }))?;
    std::fs::remove_file(outside.join("gone"))?;
    engine.post("/containers/web/start")?;
    engine.state("web")
}
