//! Images, and the registry as the Engine tells of it.

use anyhow::Result;
use lab::names::{ECR_HOST, REPOSITORY_URL};
use serde_json::json;

use crate::engine::{Engine, Login};

fn by(what: &str) -> String {
    format!("/images/create?fromImage={REPOSITORY_URL}&tag={what}")
}

pub(crate) fn pull(engine: &mut Engine<'_>) -> Result<()> {
    let (image, digest) = (engine.image("pulled"), engine.digest("pulled"));
    engine.get(&format!("/images/{image}/json"))?;
    engine.create("web", "pulled", json!({}))?;
    engine.with_login("POST", &by(&digest), Login::Good)?;
    engine.get(&format!("/images/{image}/json"))?;
    engine.with_login("POST", &by(&digest), Login::Good)?;
    engine.with_login("POST", &by("pulled"), Login::Good)?;
    engine.with_login("POST", &by("pulled"), Login::Good)?;
    engine.get(&format!("/images/{REPOSITORY_URL}:pulled/json"))?;
    engine.create("web", "pulled", json!({}))
}

pub(crate) fn pull_in_vain(engine: &mut Engine<'_>) -> Result<()> {
    // One that was never here: of another the Engine remembers the manifest.
    let digest = engine.digest("guarded");
    for login in [Login::None, Login::Wrong] {
        engine.with_login("POST", &by(&digest), login)?;
        engine.with_login("POST", &by("guarded"), login)?;
    }
    engine.with_login("POST", &by("none"), Login::Good)?;
    engine.with_login("POST", &by(&format!("sha256:{}", "a".repeat(64))), Login::Good)?;
    engine.with_login("POST", &by("sha256:12"), Login::Good)?;
    let elsewhere = format!("/images/create?fromImage={ECR_HOST}/nope&tag=v1");
    engine.with_login("POST", &elsewhere, Login::Good)
}

pub(crate) fn refused(engine: &mut Engine<'_>) -> Result<()> {
    let digest = engine.digest("guarded");
    for (status, code, words) in [
        (429, "TOOMANYREQUESTS", "toomanyrequests: slow down"),
        (403, "DENIED", "denied: not for you"),
        (401, "UNAUTHORIZED", "unauthorized: your token has expired"),
    ] {
        let look = format!("/distribution/{REPOSITORY_URL}:guarded/json");
        for (method, path) in [("POST", by(&digest)), ("POST", by("guarded")), ("GET", look)] {
            engine.note(&format!("the registry says {status} {words}"));
            engine.host().registry_says(Some((status, code, words)))?;
            engine.with_login(method, &path, Login::Good)?;
            engine.host().registry_says(None)?;
        }
    }
    Ok(())
}

pub(crate) fn lookup(engine: &mut Engine<'_>) -> Result<()> {
    for login in [Login::Good, Login::None, Login::Wrong] {
        engine.with_login("GET", &format!("/distribution/{REPOSITORY_URL}:pulled/json"), login)?;
    }
    let path = format!("/distribution/{}/json", engine.image("pulled"));
    engine.with_login("GET", &path, Login::None)?;
    for name in [format!("{REPOSITORY_URL}:none"), format!("{ECR_HOST}/nope:v1"), engine.image("pulled")] {
        engine.with_login("GET", &format!("/distribution/{name}/json"), Login::Good)?;
    }
    Ok(())
}

pub(crate) fn platforms(engine: &mut Engine<'_>) -> Result<()> {
    for tag in ["foreign", "index", "nowhere"] {
        engine.with_login("GET", &format!("/distribution/{REPOSITORY_URL}:{tag}/json"), Login::Good)?;
        let path = by(&engine.digest(tag));
        engine.with_login("POST", &path, Login::Good)?;
        let path = format!("/images/{}/json", engine.image(tag));
        engine.get(&path)?;
    }
    Ok(())
}

pub(crate) fn remove(engine: &mut Engine<'_>) -> Result<()> {
    let (image, digest) = (engine.image("removed"), engine.digest("removed"));
    engine.delete(&format!("/images/{image}"))?;
    engine.with_login("POST", &by(&digest), Login::Good)?;
    engine.run("web", "removed", "no", None)?;
    engine.delete(&format!("/images/{image}"))?;
    engine.stop("web")?;
    engine.delete(&format!("/images/{image}"))?;
    engine.delete("/containers/web?v=true")?;
    engine.delete(&format!("/images/{image}"))?;
    engine.get(&format!("/images/{image}/json"))?;
    // With a tag, too, the digest goes alone.
    engine.with_login("POST", &by("removed"), Login::Good)?;
    engine.delete(&format!("/images/{image}"))?;
    engine.get(&format!("/images/{REPOSITORY_URL}:removed/json"))?;
    engine.delete(&format!("/images/{REPOSITORY_URL}:removed"))
}

pub(crate) fn by_id(engine: &mut Engine<'_>) -> Result<()> {
    let id = engine.image_id("good")?;
    engine.name(&id, "<id of good>");
    engine.get(&format!("/images/{id}/json"))?;
    engine.create("web", "good", json!({ "Image": id }))?;
    engine.made_of("web")?;
    engine.post("/containers/web/start")?;
    engine.stop("web")?;
    // Of a build: a name that no registry has.
    engine.get("/images/built/app:dev/json")?;
    engine.create("before", "good", json!({ "Image": "built/app:dev" }))?;
    engine.post(&format!("/images/{id}/tag?repo=built/app&tag=dev"))?;
    engine.post(&format!("/images/{id}/tag?repo=handover/app&tag=r1"))?;
    engine.get("/images/built/app:dev/json")?;
    engine.create("named", "good", json!({ "Image": "built/app:dev" }))?;
    engine.made_of("named")?;
    engine.delete("/images/handover/app:r1")?;
    engine.delete("/images/built/app:dev")?;
    engine.get(&format!("/images/{id}/json"))?;
    let unknown = format!("sha256:{}", "a".repeat(64));
    engine.get(&format!("/images/{unknown}/json"))?;
    engine.create("unknown", "good", json!({ "Image": unknown }))
}
