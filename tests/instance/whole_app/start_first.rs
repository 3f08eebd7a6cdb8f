//! The whole application start-first: the front server's candidate talks to the web server's.

use anyhow::{Context as _, Result, ensure};
use lab::Load;
use serde_json::Value;

use super::{Release, Whole};

fn start_first(tag: &'static str) -> Release {
    Release::of(tag)
        .edit("order        = \"stop-first\"", "order        = \"start-first\"\ndrain = \"10s\"")
        .edit("[secret.redis]", "[bake]\nduration = \"1s\"\n\n[secret.redis]")
}

impl Whole {
    fn clients(&self, path: &str) -> Result<Load> {
        let url = format!("http://{}:8000{path}", self.world.web.ip());
        self.world.lab.load(&url, &["--rate", "100", "--seconds", "600", "--timeout-ms", "15000"])
    }

    /// Clients that keep their connections open, are idle for 20 ms at most, and try nothing twice.
    fn pool(&self, path: &str) -> Result<Load> {
        let url = format!("http://{}:8000{path}", self.world.web.ip());
        let options = ["--rate", "200", "--seconds", "600", "--keep-alive", "--no-retry", "--workers", "4"];
        self.world.lab.load(&url, &options)
    }
}

/// The releases that answered, each once; none failed.
fn answered(load: Load) -> Result<Vec<String>> {
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && seen["total"].as_u64() > Some(50), "{seen}");
    let releases = seen["releases"].as_array().context("no releases")?;
    let names = releases.iter().map(|one: &Value| one["release"].as_str().unwrap_or_default().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[test]
fn an_update_and_a_refused_one_lose_no_request() -> Result<()> {
    let whole = Whole::up()?;
    let first = whole.deploy("d-000000001", start_first("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let before = whole.live()?;

    let (pages, files) = (whole.clients("/ping")?, whole.clients("/static/release.txt")?);
    let pools = [whole.pool("/ping")?, whole.pool("/static/release.txt")?];
    let updated = whole.deploy("d-000000002", start_first("v2").with("SCHEMA", "2"))?;
    ensure!(updated.succeeded(), "{updated:?}");
    ensure!(answered(pages)? == ["v1", "v2"]);
    answered(files)?;
    for pool in pools {
        answered(pool)?;
    }
    whole.assert_settled("v2")?;
    let after = whole.live()?;
    ensure!(before.iter().all(|(process, id)| after[process] != *id), "{before:?} {after:?}");
    ensure!(!whole.shared()?.iter().any(|name| name.ends_with(".bridge")), "{:?}", whole.shared()?);

    // The worker is bad: by then the candidates have the traffic, and give it back.
    let pages = whole.clients("/ping")?;
    let refused = whole.deploy("d-000000003", start_first("v3").with("VARIANT", "worker:crash"))?;
    let failure = refused.failure().context("it was not refused")?;
    ensure!(failure.exit == Some(1), "{failure:?}");
    ensure!(answered(pages)?.contains(&"v2".to_owned()));
    whole.assert_settled("v2")?;
    ensure!(whole.live()? == after, "{:?}", whole.live()?);
    let rules = whole.world.rules()?;
    ensure!(!rules.iter().any(|rule| rule.contains("HANDOVER")), "{rules:#?}");
    whole.assert_unharmed()
}
