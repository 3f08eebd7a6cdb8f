//! What goes on inside a container.

use anyhow::Result;
use serde_json::json;

use crate::engine::Engine;

pub(crate) fn exec(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("web", "good", "no", None)?;
    engine.until_lines("web", 2)?;
    engine.exec("web", &["/app", "check", "/ping"])?;
    engine.exec("web", &["/app", "exit", "3"])?;
    engine.exec("web", &["/app", "check", "/nope"])?;
    engine.exec("web", &["/nope"])?;
    engine.post_body("/containers/web/exec", &json!({ "Cmd": [] }))?;
    engine.run("loop", "crash", "always", None)?;
    engine.until("loop", "/State/Restarting", json!(true))?;
    engine.stop("web")?;
    engine.exec("web", &["/app", "check", "/ping"])
}

pub(crate) fn logs(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("web", "good", "no", None)?;
    engine.until_lines("web", 2)?;
    for query in ["stdout=true&stderr=true&tail=50", "stdout=true&stderr=true&tail=1", "stderr=true", ""] {
        engine.get(&format!("/containers/web/logs?{query}"))?;
    }
    engine.stop("web")?;
    // Each run adds to them.
    engine.run("crash", "crash", "no", None)?;
    engine.until("crash", "/State/Running", json!(false))?;
    engine.post("/containers/crash/start")?;
    engine.until("crash", "/State/Running", json!(false))?;
    engine.until_lines("crash", 4)?;
    engine.get("/containers/crash/logs?stdout=true&stderr=true&tail=all")
}

pub(crate) fn health(engine: &mut Engine<'_>) -> Result<()> {
    engine.create("well", "checked", json!({}))?;
    engine.create("sick", "sick", json!({}))?;
    engine.state("well")?;
    for name in ["well", "sick"] {
        engine.post(&format!("/containers/{name}/start"))?;
        engine.state(name)?;
    }
    engine.until("well", "/State/Health/Status", json!("healthy"))?;
    engine.state("well")?;
    engine.until("sick", "/State/Health/Status", json!("unhealthy"))?;
    engine.state("sick")?;
    engine.stop("well")?;
    engine.state("well")?;
    engine.create("off", "checked", json!({ "Healthcheck": { "Test": ["NONE"] } }))?;
    engine.post("/containers/off/start")?;
    engine.state("off")
}
