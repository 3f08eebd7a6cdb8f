//! What comes back after a power cut, and after a restart of the Engine.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::engine::{Engine, with};

/// Containers as a boot may find them: a name, the policy, a port of the host, and what was done to them.
type Situation = (&'static str, &'static str, Option<u16>, &'static [&'static str]);

fn arrange(engine: &mut Engine<'_>, situations: &[Situation]) -> Result<()> {
    for (name, policy, port, acts) in situations {
        engine.create(name, if *name == "missing" { "missing" } else { "good" }, {
            let mut body = with(policy, *port);
            if name.starts_with("ended") {
                body["Cmd"] = json!(["exit", "3"]);
            }
            body
        })?;
        for act in *acts {
            match *act {
                "start" => engine.post(&format!("/containers/{name}/start"))?,
                "stop" => engine.stop(name)?,
                "kill" => engine.post(&format!("/containers/{name}/kill?signal=KILL"))?,
                "end" => engine.until(name, "/State/Running", json!(false))?,
                policy => {
                    let body = json!({ "RestartPolicy": { "Name": policy } });
                    engine.post_body(&format!("/containers/{name}/update"), &body)?;
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn after_a_cut(engine: &mut Engine<'_>) -> Result<()> {
    let situations: &[Situation] = &[
        ("runs-unless-stopped", "unless-stopped", Some(8081), &["start"]),
        ("runs-always", "always", None, &["start"]),
        ("runs-no", "no", Some(8082), &["start"]),
        ("runs-on-failure", "on-failure", None, &["start"]),
        ("stopped-unless-stopped", "unless-stopped", None, &["start", "stop"]),
        ("stopped-always", "always", None, &["start", "stop"]),
        ("stopped-no", "no", None, &["start", "stop"]),
        ("stopped-then-always", "unless-stopped", None, &["start", "stop", "always"]),
        ("stopped-then-unless-stopped", "no", None, &["start", "stop", "unless-stopped"]),
        ("stopped-then-no", "always", None, &["start", "stop", "no"]),
        ("started-again", "unless-stopped", None, &["start", "stop", "start"]),
        ("killed-unless-stopped", "unless-stopped", None, &["start", "kill", "end"]),
        ("killed-always", "always", None, &["start", "kill", "end"]),
        ("created-unless-stopped", "unless-stopped", None, &[]),
        ("created-always", "always", None, &[]),
        ("refused-always", "always", Some(8082), &["start"]),
        ("ended-no", "no", None, &["start", "end"]),
        ("ended-then-always", "no", None, &["start", "end", "always"]),
        ("missing", "always", None, &["start"]),
    ];
    arrange(engine, situations)?;
    engine.note("the power is cut, and comes back");
    engine.host().cut()?;
    engine.host().boot()?;
    for (name, ..) in situations.iter().filter(|(name, ..)| *name != "ended-then-always") {
        engine.state(name)?;
    }
    // This one ends again and again.
    engine.until("ended-then-always", "/State/Restarting", json!(true))?;
    engine.delete("/containers/ended-then-always?force=true")?;
    engine.get("/containers/json?all=true")?;
    // Ports that are only listed are free.
    engine.run("next", "good", "no", Some(8082))
}

pub(crate) fn engine_restarted(engine: &mut Engine<'_>) -> Result<()> {
    let situations: &[Situation] = &[
        ("runs-unless-stopped", "unless-stopped", Some(8081), &["start"]),
        ("runs-no", "no", Some(8082), &["start"]),
        ("stopped-unless-stopped", "unless-stopped", None, &["start", "stop"]),
        ("stopped-always", "always", None, &["start", "stop"]),
        ("created-always", "always", None, &[]),
    ];
    arrange(engine, situations)?;
    ["runs-unless-stopped", "runs-no"].iter().try_for_each(|name| engine.until_lines(name, 2))?;
    engine.note("the Engine is restarted");
    engine.host().restart_engine()?;
    situations.iter().try_for_each(|(name, ..)| engine.state(name))?;
    engine.run("next", "good", "no", Some(8082))
}

/// A race: who wins it is chance, that there is one winner is not.
pub(crate) fn two_for_one_port(engine: &mut Engine<'_>) -> Result<()> {
    engine.run("old", "good", "always", Some(8080))?;
    engine.post("/containers/old/kill?signal=KILL")?;
    engine.until("old", "/State/Running", json!(false))?;
    engine.run("new", "good", "unless-stopped", Some(8080))?;
    engine.note("the power is cut, and comes back");
    engine.host().cut()?;
    engine.host().boot()?;
    let states = ["old", "new"].map(|name| engine.peek(name));
    let [old, new] = states;
    let (old, new) = (old?, new?);
    let (winner, loser) = if old["State"]["Running"] == json!(true) { (old, new) } else { (new, old) };
    ensure!(winner["State"]["Running"] == json!(true), "neither runs: {winner} {loser}");
    let (id, name) = (loser["Id"].as_str().unwrap_or_default(), loser["Name"].as_str().unwrap_or_default());
    // What it ended with is what it had before.
    let before = if name == "/old" { 137 } else { 255 };
    ensure!(loser["State"]["ExitCode"] == json!(before), "{}", loser["State"]);
    engine.name(&name[1..], "<the loser>");
    engine.name(id, "<id of the loser>");
    let error = loser["State"]["Error"].as_str().unwrap_or_default().to_owned();
    engine.note(&format!("one of the two runs; the other is {}: {error}", loser["State"]["Status"]));
    Ok(())
}

pub(crate) fn in_the_middle_of_a_stop(engine: &mut Engine<'_>) -> Result<()> {
    for (name, policy) in [("unless-stopped", "unless-stopped"), ("always", "always")] {
        engine.run(name, "deaf", policy, None)?;
        engine.stop_and_hang_up(name, 60)?;
    }
    engine.note("the power is cut, and comes back");
    engine.host().cut()?;
    engine.host().boot()?;
    engine.state("unless-stopped")?;
    engine.state("always")
}

pub(crate) fn without_mount(engine: &mut Engine<'_>) -> Result<()> {
    let (inside, outside) = engine.host().folder();
    let source = inside.join("boot").display().to_string();
    std::fs::write(outside.join("boot"), "a file")?;
    engine.create("web", "good", json!({ "HostConfig": {
        "RestartPolicy": { "Name": "unless-stopped" },
        "Mounts": [{ "Type": "bind", "Source": source, "Target": "/file", "ReadOnly": true }],
    } }))?;
    engine.post("/containers/web/start")?;
    engine.note("the power is cut, the file is removed, and the power comes back");
    engine.host().cut()?;
    std::fs::remove_file(outside.join("boot"))?;
    engine.host().boot()?;
    engine.state("web")
}
