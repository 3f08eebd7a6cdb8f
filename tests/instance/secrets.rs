//! Files with secrets in them: rendered for the container, and gone with the release. Where secrets must not be is searched
//! by `tests/faults/canary.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Result, ensure};
use lab::names::CACHE_PASSWORD;
use world::{Bundle, World};

fn with_a_file(tag: &'static str) -> Bundle {
    let file =
        "[file.\"/etc/settings.py\"]\ntemplate = \"templates/settings.py\"\nowner = 999\nmode = \"0400\"\n";
    Bundle::of(tag)
        .edit("[environment]", &format!("{file}\n[environment]"))
        .file("templates/settings.py", "CACHE = {{ redis.value | python }}\n")
}

#[test]
fn a_file_is_there_for_its_release_only() -> Result<()> {
    let world = World::up()?;
    let first = world.deploy("d-000000001", &with_a_file("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let refused = world.deploy("d-000000002", &with_a_file("crash"))?;
    ensure!(!refused.succeeded());

    let releases = world.web.path("/var/lib/handover/status-page/releases");
    let file = releases.join("1/files/etc/settings.py");
    let text = fs::read_to_string(&file)?;
    ensure!(text == format!("CACHE = '{CACHE_PASSWORD}'\n"), "{text}");
    let metadata = fs::metadata(&file)?;
    ensure!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777) == (999, 0, 0o400), "{metadata:?}");
    ensure!(!releases.join("2/files").exists(), "the refused release keeps its files");
    let docker = world.web.docker()?;
    let mounts = docker.inspect("status-page-web")?.expect("v1 is live")["Mounts"].clone();
    ensure!(mounts[0]["Destination"] == "/etc/settings.py" && mounts[0]["RW"] == false, "{mounts}");
    Ok(())
}
