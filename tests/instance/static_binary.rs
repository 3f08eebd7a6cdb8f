//! The release binary: static, small, and able to run in an empty root. `scripts/build` makes it; `HANDOVER_STATIC` says where.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use world::{Bundle, World, copy, text};

fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("HANDOVER_STATIC")
        .context("HANDOVER_STATIC is not set: run this by scripts/test")?;
    Ok(PathBuf::from(path))
}

/// At most 12 MB (a budget of the design).
const LARGEST: u64 = 12_000_000;
/// At most 20 MB for a whole deployment.
const MOST_MEMORY_KIB: u64 = 20_000;

#[test]
fn it_is_small() -> Result<()> {
    let size = fs::metadata(binary()?)?.len();
    ensure!(size <= LARGEST, "{size} bytes");
    Ok(())
}

#[test]
fn it_deploys_in_little_memory() -> Result<()> {
    let world = World::up()?;
    let path = world.bundle(&Bundle::of("v1"))?;
    copy(&binary()?, &world.web.path(&format!("{path}/bin/handover")))?;
    let output = world
        .agent("v1", &[])
        .args(["deploy", "--bundle", &path, "--deployment-id", "d-000000001"])
        .output()?;
    ensure!(output.status.success(), "{}", text(&output.stdout));
    world.assert_settled("v1")?;
    let runs = fs::read_to_string(world.web.path("/var/log/handover/runs.jsonl"))?;
    for line in runs.lines() {
        let run: serde_json::Value = serde_json::from_str(line)?;
        let peak = run["peak_rss_kib"].as_u64().context("no peak in the line")?;
        println!("{}: {peak} KiB, {} ms", run["command"], run["duration_ms"]);
        ensure!(peak <= MOST_MEMORY_KIB, "{peak} KiB in {}", run["command"]);
    }
    Ok(())
}

/// A root with nothing in it but the binary, the bundle and the Engine's socket: no libc, no CA files, no resolv.conf.
#[test]
fn it_runs_in_an_empty_root() -> Result<()> {
    let world = World::up()?;
    let path = world.bundle(&Bundle::of("v1"))?;
    let root = "/var/lib/handover/empty-root";
    let folder = world.web.path(root);
    for inside in ["bundle/bin", "run", "var/run", "var/lib/handover", "var/log", "proc", "etc"] {
        fs::create_dir_all(folder.join(inside))?;
    }
    copy(&binary()?, &folder.join("bundle/bin/handover"))?;
    for file in ["appspec.yml", "handover.toml"] {
        fs::copy(world.web.path(&format!("{path}/{file}")), folder.join("bundle").join(file))?;
    }
    let enter = |script: &str| -> Result<std::process::Output> {
        let script = format!(
            "mount --bind /proc {root}/proc; touch {root}/var/run/docker.sock; mount --bind /run/docker.sock {root}/var/run/docker.sock; {script}"
        );
        Ok(world.web.command("unshare").args(["--mount", "sh", "-c", &script]).output()?)
    };
    let version = enter(&format!("chroot {root} /bundle/bin/handover --version"))?;
    ensure!(version.status.success(), "{}", text(&version.stderr));
    // Without a resolver it says so, and does not panic.
    let lost = enter(&format!(
        "exec env AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x chroot {root} /bundle/bin/handover deploy /bundle --group test"
    ))?;
    // As one line: the closing lines are wrapped.
    let said = text(&lost.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(
        lost.status.code() == Some(3)
            && said.contains("it is not in /etc/hosts, and /etc/resolv.conf cannot be read"),
        "{:?} {said}",
        lost.status
    );
    // With names in /etc/hosts, and certificates in AWS_CA_BUNDLE, it deploys.
    let hosts = "10.66.0.3 api.ecr.eu-west-1.amazonaws.com secretsmanager.eu-west-1.amazonaws.com\n";
    fs::write(folder.join("etc/hosts"), hosts)?;
    fs::copy(world.lab.dir().join("vpc/ca.pem"), folder.join("ca.pem"))?;
    let deployed = enter(&format!(
        "exec env AWS_CA_BUNDLE=/ca.pem AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x chroot {root} /bundle/bin/handover deploy /bundle --group test"
    ))?;
    ensure!(deployed.status.success(), "{}", text(&deployed.stderr));
    world.assert_settled("v1")
}
