//! Containers as things that are made, named, listed and removed.

use anyhow::Result;
use serde_json::json;

use crate::engine::{Engine, with};

fn labelled(app: &str, process: &str) -> serde_json::Value {
    json!({ "Labels": { "handover.app": app, "handover.process": process } })
}

pub(crate) fn created(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", with("no", Some(8080)))?;
    engine.state("web")?;
    engine.made_of("web")?;
    engine.post("/containers/web/stop?t=1")?;
    engine.post("/containers/web/kill?signal=KILL")?;
    engine.get("/containers/web/logs?stdout=true&stderr=true&tail=5")?;
    engine.exec("web", &["/app", "check"])?;
    engine.state("web")?;
    engine.delete("/containers/web?v=true")?;
    engine.state("web")
}

pub(crate) fn refused(engine: &mut Engine<'_>) -> Result<()> {
    let body = |image: &str| json!({ "Image": image, "HostConfig": {} });
    let (unknown, tagged) = ("repository/nope@sha256:".to_owned() + &"a".repeat(64), "nope:none");
    for image in [unknown.as_str(), tagged, "nope", "No:Reference", ""] {
        engine.post_body("/containers/create?name=web", &body(image))?;
    }
    engine.create("x", "good", json!({}))?;
    engine.create("-web", "good", json!({}))?;
    engine.create("web", "good", json!({}))?;
    engine.create("web", "good", json!({}))?;
    engine.create("sometimes", "good", with("sometimes", None))?;
    engine.create("never", "good", with("", None))?;
    engine.get("/containers/json?all=true")
}

pub(crate) fn listed(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("one", "good", labelled("a", "web"))?;
    engine.create("two", "good", labelled("a", "worker"))?;
    engine.create("three", "good", labelled("b", "web"))?;
    engine.create("other", "good", json!({
        "ExposedPorts": { "8000/tcp": {}, "53/udp": {}, "9000/tcp": {} },
        "HostConfig": { "PortBindings": {
            "8000/tcp": [{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "127.0.0.1", "HostPort": "8081" }],
            "53/udp": [{ "HostIp": "0.0.0.0", "HostPort": "5353" }],
        } },
    }))?;
    engine.post("/containers/other/start")?;
    engine.post("/containers/two/start")?;
    engine.get("/containers/json")?;
    for filters in [
        r#"{"label":["handover.app=a"]}"#,
        r#"{"label":["handover.app"]}"#,
        r#"{"label":["handover.app=a","handover.process=web"]}"#,
        r#"{"label":["handover.app=c"]}"#,
        r#"{"name":["^/two$"]}"#,
        r#"{"status":["running"]}"#,
        r#"{"nope":["x"]}"#,
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        engine.get(&format!("/containers/json?all=true&size=false&filters={encoded}"))?;
    }
    engine.stop("other")?;
    engine.until_listed_as_ended("other")?;
    engine.get("/containers/json?all=true")
}

pub(crate) fn unknown(engine: &mut Engine<'_>) -> Result<()> {
    engine.get("/containers/nope/json")?;
    for call in ["start", "stop?t=1", "kill?signal=KILL", "rename?name=web"] {
        engine.post(&format!("/containers/nope/{call}"))?;
    }
    engine.post_body("/containers/nope/update", &json!({ "RestartPolicy": { "Name": "no" } }))?;
    engine.post_body("/containers/nope/exec", &json!({ "Cmd": ["/app"] }))?;
    engine.get("/containers/nope/logs?stdout=true&stderr=true&tail=5")?;
    engine.delete("/containers/nope?v=true")?;
    engine.get("/exec/nope/json")?;
    engine.get("/images/nope/json")?;
    engine.get("/images/nope:v1/json")?;
    engine.delete("/images/nope:v1")
}

pub(crate) fn names(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", json!({}))?;
    engine.run("other", "good", "no", None)?;
    for name in ["web", "other", "x", "", "web.r1", "-no", "n:o"] {
        engine.post(&format!("/containers/web/rename?name={name}"))?;
    }
    engine.state("web")?;
    engine.state("web.r1")?;
    engine.post("/containers/other/rename?name=web")?;
    engine.post("/containers/web.r1/rename?name=other")?;
    engine.get("/containers/json?all=true")
}

pub(crate) fn policies(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("web", "good", json!({}))?;
    let update = |name: &str, retries: i64| json!({ "RestartPolicy": { "Name": name, "MaximumRetryCount": retries } });
    for state in ["created", "running", "stopped"] {
        engine.note(state);
        match state {
            "running" => engine.post("/containers/web/start")?,
            "stopped" => engine.stop("web")?,
            _ => {}
        }
        for (name, retries) in
            [("unless-stopped", 0), ("always", 0), ("on-failure", 2), ("no", 0), ("", 0), ("always", 3), ("sometimes", 0)]
        {
            engine.post_body("/containers/web/update", &update(name, retries))?;
            engine.state("web")?;
        }
    }
    Ok(())
}

pub(crate) fn removed(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("web", "good", "unless-stopped", None)?;
    engine.delete("/containers/web?v=true")?;
    engine.run("loop", "crash", "always", None)?;
    engine.until("loop", "/State/Restarting", json!(true))?;
    engine.stop("web")?;
    engine.delete("/containers/web?v=true")?;
    engine.delete("/containers/web?v=true")?;
    engine.delete("/containers/loop?v=true&force=true")?;
    engine.get("/containers/json?all=true")
}
