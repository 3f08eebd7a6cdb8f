//! The volumes of a release: made, shared by containers, found by their labels, removed.

use anyhow::Result;
use serde_json::{Value, json};

use crate::engine::{Engine, filtered};

fn labels() -> Value {
    json!({ "handover.app": "a", "handover.release": "1" })
}

fn on(volume: &str, read_only: bool) -> Value {
    json!({ "HostConfig": { "Mounts": [{
        "Type": "volume", "Source": volume, "Target": "/static", "ReadOnly": read_only,
        "VolumeOptions": { "Labels": labels() },
    }] } })
}

pub(crate) fn of_a_release(engine: &mut Engine<'_>) -> Result<()> {
    let body = json!({ "Name": "a-static.r1", "Labels": labels() });
    engine.post_body("/volumes/create", &body)?;
    // It is there: nothing changes, whatever is asked for.
    engine.post_body("/volumes/create", &json!({ "Name": "a-static.r1", "Labels": { "other": "1" } }))?;
    engine.create("web", "good", on("a-static.r1", false))?;
    engine.made_of("web")?;
    engine.create("front", "good", on("a-static.r1", true))?;
    engine.made_of("front")?;
    for label in ["handover.app=a", "handover.app=b"] {
        engine.get(&filtered("/volumes", "label", label))?;
    }
    engine.delete("/containers/front?v=true")?;
    engine.delete("/volumes/a-static.r1")?;
    engine.delete("/containers/web?v=true")?;
    engine.get(&filtered("/volumes", "label", "handover.app=a"))?;
    engine.delete("/volumes/a-static.r1")?;
    engine.delete("/volumes/a-static.r1")?;
    engine.get(&filtered("/volumes", "label", "handover.app=a"))?;
    // A container brings it with it, with its labels.
    engine.create("again", "good", on("a-static.r1", false))?;
    engine.get(&filtered("/volumes", "label", "handover.app=a"))
}
