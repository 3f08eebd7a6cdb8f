//! The network of a release: made, found, joined by containers, lost and made again.

use anyhow::Result;
use serde_json::{Value, json};

use crate::engine::{Engine, filtered};

fn make(engine: &mut Engine<'_>, name: &str, release: &str) -> Result<()> {
    let labels = json!({ "handover.app": "a", "handover.release": release });
    engine.post_body("/networks/create", &json!({ "Name": name, "Driver": "bridge", "Labels": labels }))
}

/// A container on a network, and its name there.
fn on(network: &str, alias: &str) -> Value {
    json!({
        "HostConfig": { "NetworkMode": network },
        "NetworkingConfig": { "EndpointsConfig": { network: { "Aliases": [alias] } } },
    })
}

pub(crate) fn made(engine: &mut Engine<'_>) -> Result<()> {
    make(engine, "a.r1", "1")?;
    make(engine, "a.r12", "12")?;
    for (key, value) in [
        ("name", "a.r1"),
        ("name", "a.r12"),
        ("name", "nope"),
        ("label", "handover.app=a"),
        ("label", "handover.release=1"),
        ("label", "handover.app=b"),
    ] {
        engine.get(&filtered("/networks", key, value))?;
    }
    for name in ["a.r1", "a.r2"] {
        engine.get(&format!("/networks/{name}"))?;
        engine.delete(&format!("/networks/{name}"))?;
        engine.get(&format!("/networks/{name}"))?;
    }
    engine.get(&filtered("/networks", "label", "handover.app=a"))
}

pub(crate) fn joined(engine: &mut Engine<'_>) -> Result<()> {
    make(engine, "a.r1", "1")?;
    engine.create("a-web.r1", "good", on("a.r1", "web"))?;
    engine.made_of("a-web.r1")?;
    engine.post("/containers/a-web.r1/start")?;
    engine.state("a-web.r1")?;
    engine.made_of("a-web.r1")?;
    engine.delete("/networks/a.r1")?;
    engine.stop("a-web.r1")?;
    engine.state("a-web.r1")?;
    engine.post("/containers/a-web.r1/start")?;
    engine.state("a-web.r1")?;
    engine.stop("a-web.r1")?;
    // Nothing that runs is on it any more.
    engine.delete("/networks/a.r1")
}

pub(crate) fn lost(engine: &mut Engine<'_>) -> Result<()> {
    make(engine, "a.r1", "1")?;
    let all = ["created", "stopped", "early"];
    for name in all {
        engine.create(name, "good", on("a.r1", name))?;
    }
    for name in ["stopped", "early"] {
        engine.post(&format!("/containers/{name}/start"))?;
        engine.stop(name)?;
    }
    engine.delete("/networks/a.r1")?;
    for name in ["created", "stopped"] {
        engine.post(&format!("/containers/{name}/start"))?;
        engine.state(name)?;
    }
    // Nobody looks whether the network is there: it is looked for by its name from now on.
    connect(engine, "early")?;
    make(engine, "a.r1", "1")?;
    // The first knows it by its name, the second by the id that it had.
    for name in all {
        engine.post(&format!("/containers/{name}/start"))?;
        engine.state(name)?;
    }
    connect(engine, "stopped")?;
    engine.made_of("stopped")?;
    engine.post("/containers/stopped/start")?;
    engine.state("stopped")?;
    engine.made_of("stopped")?;
    connect(engine, "stopped")
}

pub(crate) fn made_again(engine: &mut Engine<'_>) -> Result<()> {
    make(engine, "a.r1", "1")?;
    engine.create("created", "good", on("a.r1", "created"))?;
    engine.delete("/networks/a.r1")?;
    make(engine, "a.r1", "1")?;
    // One that never ran is connected all the same: who mends does not know which it is.
    connect(engine, "created")?;
    engine.made_of("created")?;
    engine.post("/containers/created/start")?;
    engine.state("created")
}

/// A container that is on the Engine's own network, and is put on others and taken off them, whether it runs or not.
pub(crate) fn beside(engine: &mut Engine<'_>) -> Result<()> {
    for release in ["1", "2", "3"] {
        make(engine, &format!("a.r{release}"), release)?;
    }
    engine.create("database", "good", json!({}))?;
    engine.post("/containers/database/start")?;
    for network in ["a.r1", "a.r2", "a.r2", "a.r9"] {
        to(engine, network, "connect")?;
    }
    engine.made_of("database")?;
    engine.delete("/networks/a.r1")?;
    // Once: what an Engine says the second time has another status in each version.
    for network in ["a.r1", "a.r9"] {
        to(engine, network, "disconnect")?;
    }
    engine.delete("/networks/a.r1")?;
    engine.made_of("database")?;
    engine.stop("database")?;
    // Nothing that runs is on the second, and it may go, though it is to be on it.
    to(engine, "a.r3", "connect")?;
    to(engine, "a.r3", "connect")?;
    engine.delete("/networks/a.r2")?;
    engine.post("/containers/database/start")?;
    engine.state("database")?;
    to(engine, "a.r2", "disconnect")?;
    engine.post("/containers/database/start")?;
    engine.state("database")?;
    engine.made_of("database")?;
    engine.stop("database")?;
    // Made again under its name: it is another one.
    engine.delete("/networks/a.r3")?;
    make(engine, "a.r3", "3")?;
    engine.post("/containers/database/start")?;
    to(engine, "a.r3", "connect")?;
    engine.post("/containers/database/start")?;
    engine.made_of("database")?;
    engine.stop("database")
}

fn to(engine: &mut Engine<'_>, network: &str, verb: &str) -> Result<()> {
    let body = match verb {
        "connect" => json!({ "Container": "database", "EndpointConfig": { "Aliases": ["db"] } }),
        _ => json!({ "Container": "database", "Force": false }),
    };
    engine.post_body(&format!("/networks/{network}/{verb}"), &body)
}

fn connect(engine: &mut Engine<'_>, name: &str) -> Result<()> {
    let body = json!({ "Container": name, "EndpointConfig": { "Aliases": [name] } });
    engine.post_body("/networks/a.r1/connect", &body)
}

/// The bridges of all networks: the Engine's own has one with a name, that of a release is called after its id.
pub(crate) fn bridges(engine: &mut Engine<'_>) -> Result<()> {
    engine.get(&filtered("/networks", "driver", "bridge"))?;
    make(engine, "a.r1", "1")?;
    engine.get(&filtered("/networks", "driver", "bridge"))?;
    engine.delete("/networks/a.r1")
}
