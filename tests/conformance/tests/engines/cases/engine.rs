//! What the Engine says about itself.

use anyhow::Result;

use crate::engine::Engine;

pub(crate) fn about_itself(engine: &mut Engine<'_>) -> Result<()> {
    engine.get("/_ping")?;
    engine.get("/version")?;
    engine.get("/info")?;
    engine.get("/v1.24/version")?;
    engine.get("/v1.99/containers/json")
}

pub(crate) fn networks(engine: &mut Engine<'_>) -> Result<()> {
    for name in ["bridge", "host", "none", "nope"] {
        engine.get(&format!("/networks/{name}"))?;
    }
    Ok(())
}
