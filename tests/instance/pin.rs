//! A pinned bundle means the same image wherever and whenever it is deployed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use anyhow::{Result, ensure};
use lab::{ImageSpec, names};
use world::{Bundle, World, text};

const NOBODY: &str = "65534";

/// `handover pin` as a runner of CI has it: nobody special, and no Docker.
fn pin(world: &World, bundle: &str) -> Result<String> {
    fs::set_permissions(world.web.path(bundle), Permissions::from_mode(0o777))?;
    let mut command = world.web.command("setpriv");
    command.args(["--reuid", NOBODY, "--clear-groups", "handover", "pin", bundle]);
    command.env("DOCKER_HOST", "unix:///nonexistent").stdin(Stdio::null());
    let output = command.output()?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    Ok(text(&output.stdout))
}

fn move_tag(world: &World, to: &str) -> Result<String> {
    world.lab.registry().push_image(names::REPOSITORY, "moving", &ImageSpec::new(to))
}

#[test]
fn a_tag_that_moves_between_two_hosts_means_one_image() -> Result<()> {
    let one = World::up()?;
    let tested = move_tag(&one, "tested")?;
    let bundle = one.bundle(&Bundle::of("moving"))?;
    let said = pin(&one, &bundle)?;
    ensure!(said.trim() == format!("default moving {tested} (linux/amd64)"), "{said}");
    move_tag(&one, "untested")?;
    let report = one.deploy_folder("d-000000001", &bundle)?;
    ensure!(report.succeeded() && one.release()? == "tested", "{report:?}");

    let two = one.another("web-2")?;
    let pinned = fs::read_to_string(one.web.path(&format!("{bundle}/handover.pin")))?;
    let same = two.bundle(&Bundle::of("moving").file("handover.pin", &pinned))?;
    let report = two.deploy_folder("d-000000001", &same)?;
    ensure!(report.succeeded() && two.release()? == "tested", "{report:?}");
    // Without the pin it is the tag that counts.
    fs::remove_file(two.web.path(&format!("{same}/handover.pin")))?;
    let report = two.deploy_folder("d-000000002", &same)?;
    ensure!(report.succeeded() && two.release()? == "untested", "{report:?}");

    // A lifecycle policy has removed it: whoever has it needs no registry, and whoever has not is told.
    one.lab.registry().delete_manifest(names::REPOSITORY, &tested)?;
    let changed = Bundle::of("moving").edit("[environment]\n", "[environment]\nANOTHER = \"1\"\n");
    let changed = one.bundle(&changed.file("handover.pin", &pinned))?;
    let report = one.deploy_folder("d-000000003", &changed)?;
    ensure!(report.succeeded() && one.release()? == "tested", "{report:?}");
    let three = one.another("web-3")?;
    let missing = three.bundle(&Bundle::of("moving").file("handover.pin", &pinned))?;
    let planned = three.handover(&["plan", &missing, "--group", "test"])?;
    let said = text(&planned.stdout);
    ensure!(
        planned.status.code() == Some(1) && said.contains("the bundle is pinned to this image"),
        "{said}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_pinned_is_named() -> Result<()> {
    let world = World::up()?;
    let bundle = world.bundle(&Bundle::of("v9"))?;
    let output = world.handover(&["pin", &bundle])?;
    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("tag 'v9' is not in") && said.contains("push the image first"), "{said}");
    ensure!(!world.web.path(&format!("{bundle}/handover.pin")).exists());
    // Another group's repository does not have the image.
    let production = "[group.production]\nimage.repository = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/production\"\n";
    let two_repositories = Bundle::of("v1").edit("[process.web]\n", &format!("{production}[process.web]\n"));
    let output = world.handover(&["pin", &world.bundle(&two_repositories)?])?;
    let said = text(&output.stderr);
    ensure!(said.contains("/production of group 'production' does not have that"), "{said}");
    ensure!(said.contains("push the very same image there, too"), "{said}");
    Ok(())
}
