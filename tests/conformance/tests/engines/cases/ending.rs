//! How containers end.

use anyhow::Result;
use serde_json::json;

use crate::engine::{Engine, with};

pub(crate) fn by_itself(engine: &mut Engine<'_>) -> Result<()> {
    for (name, command) in [("well", ["exit", "0"]), ("badly", ["exit", "3"])] {
        engine.create(name, "good", json!({ "Cmd": command }))?;
        engine.post(&format!("/containers/{name}/start"))?;
        engine.until(name, "/State/Running", json!(false))?;
        engine.state(name)?;
        engine.post(&format!("/containers/{name}/stop?t=5"))?;
    }
    engine.run("crash", "crash", "no", Some(8080))?;
    engine.until("crash", "/State/Running", json!(false))?;
    engine.until_lines("crash", 2)?;
    engine.state("crash")?;
    engine.get("/containers/crash/logs?stdout=true&stderr=true&tail=5")
}

pub(crate) fn under_a_policy(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("loop", "crash", "unless-stopped", None)?;
    engine.until("loop", "/State/Restarting", json!(true))?;
    engine.post("/containers/loop/stop?t=5")?;
    engine.until("loop", "/State/Running", json!(false))?;
    engine.create("twice", "crash", json!({
        "HostConfig": { "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 } },
    }))?;
    engine.post("/containers/twice/start")?;
    engine.until("twice", "/RestartCount", json!(2))?;
    engine.until("twice", "/State/Running", json!(false))?;
    engine.state("twice")?;
    engine.create("done", "good", {
        let mut body = with("on-failure", None);
        body["Cmd"] = json!(["exit", "0"]);
        body
    })?;
    engine.post("/containers/done/start")?;
    engine.until("done", "/State/Running", json!(false))?;
    engine.state("done")
}

pub(crate) fn by_signals(engine: &mut Engine<'_>) -> Result<()> {
    for (name, signal) in [("killed", "KILL"), ("by-name", "SIGTERM"), ("by-number", "2")] {
        engine.run(name, "good", "unless-stopped", None)?;
        engine.until_lines(name, 2)?;
        engine.post(&format!("/containers/{name}/kill?signal={signal}"))?;
        engine.until(name, "/State/Running", json!(false))?;
        engine.state(name)?;
        engine.post(&format!("/containers/{name}/kill?signal={signal}"))?;
    }
    engine.post("/containers/killed/kill?signal=NOPE")
}

/// Too little memory is no end by hand: the policy applies. `OOMKilled` is chance: the Engine may hear of it after the end,
/// and then it stays false.
pub(crate) fn out_of_memory(engine: &mut Engine<'_>) -> Result<()> {
    for (name, policy) in [("once", "no"), ("again", "on-failure")] {
        let mut body = with(policy, None);
        body["HostConfig"]["Memory"] = json!(48 << 20);
        body["HostConfig"]["RestartPolicy"]["MaximumRetryCount"] = json!(i32::from(name == "again"));
        engine.create(name, "eater", body)?;
        engine.post(&format!("/containers/{name}/start"))?;
        engine.host().runs_out_of_memory(name)?;
    }
    engine.until("once", "/State/Running", json!(false))?;
    engine.until("once", "/State/ExitCode", json!(137))?;
    engine.until("again", "/RestartCount", json!(1))
}

/// Those that do not hear TERM, and the one that only answers no request.
pub(crate) fn deaf(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("hang", "hang", "no", None)?;
    engine.until_lines("hang", 2)?;
    engine.stop("hang")?;
    engine.state("hang")?;
    engine.run("web", "deaf", "no", None)?;
    engine.post("/containers/web/kill?signal=TERM")?;
    engine.state("web")?;
    engine.post("/containers/web/stop?t=1")?;
    engine.state("web")?;
    engine.create("own-time", "deaf", json!({ "StopTimeout": 1 }))?;
    engine.post("/containers/own-time/start")?;
    engine.post("/containers/own-time/stop")?;
    engine.state("own-time")
}

/// Who has been asked to stop is known: by its stop signal, since its last start.
pub(crate) fn asked_to(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("web", "deaf", "no", None)?;
    engine.signals("web")?;
    engine.stop_and_hang_up("web", 60)?;
    engine.signals("web")?;
    engine.post("/containers/web/kill?signal=TERM")?;
    engine.post("/containers/web/kill?signal=KILL")?;
    engine.until("web", "/State/Running", json!(false))?;
    engine.signals("web")?;
    engine.post("/containers/web/start")?;
    engine.signals("web")
}

/// The client is gone; the Engine goes on.
pub(crate) fn a_stop_goes_on(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("web", "deaf", "unless-stopped", Some(8080))?;
    engine.stop_and_hang_up("web", 6)?;
    engine.state("web")?;
    // It runs already, says the Engine. It will not for long.
    engine.post("/containers/web/start")?;
    engine.post_body("/containers/web/update", &json!({ "RestartPolicy": { "Name": "always" } }))?;
    engine.until("web", "/State/Running", json!(false))?;
    engine.state("web")?;
    engine.post("/containers/web/start")?;
    engine.state("web")?;
    // A second one with less time ends both.
    engine.stop_and_hang_up("web", 60)?;
    engine.post("/containers/web/stop?t=1")?;
    engine.state("web")?;
    engine.run("killed", "deaf", "always", None)?;
    engine.stop_and_hang_up("killed", 60)?;
    engine.post("/containers/killed/kill?signal=KILL")?;
    engine.until("killed", "/State/Running", json!(false))?;
    engine.state("killed")
}
