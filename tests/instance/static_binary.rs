//! The release binary: static, small, and able to run in an empty root. `scripts/build` makes it; `HANDOVER_STATIC` says where.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use world::{Bundle, World, copy, text};

fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("HANDOVER_STATIC")
        .context("HANDOVER_STATIC is not set: run this by scripts/test")?;
    Ok(PathBuf::from(path))
}

/// 12 MB were the design's budget; real logins to PostgreSQL and Redis take it over that.
const LARGEST: u64 = 14_000_000;
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
    in_little_memory(&world)
}

/// What each process of handover took; none of them more memory than it may.
fn in_little_memory(world: &World) -> Result<()> {
    let runs = fs::read_to_string(world.web.path("/var/log/handover/runs.jsonl"))?;
    for line in runs.lines() {
        let run: serde_json::Value = serde_json::from_str(line)?;
        let peak = run["peak_rss_kib"].as_u64().context("no peak in the line")?;
        let total = run["duration_ms"].as_u64().context("no duration in the line")?;
        // Pulls, stops, boots, gates and tasks take the time of others.
        let steps: Vec<(String, u64)> = serde_json::from_value(run["steps"].clone())?;
        let others = ["pull", "start-new", "stop-live", "gate", "verify", "run-task"];
        let waited: u64 = steps
            .iter()
            .filter(|(step, _)| others.iter().any(|other| step.starts_with(other)))
            .map(|(_, took)| took)
            .sum();
        println!(
            "{} r{}: {peak} KiB, {} ms of a processor, {} ms without pulls, stops, boots, gates and tasks, {total} ms in all",
            run["command"],
            run["release"],
            run["cpu_ms"],
            total - waited
        );
        ensure!(peak <= MOST_MEMORY_KIB, "{peak} KiB in {}", run["command"]);
    }
    Ok(())
}

/// Ten processes and twenty secrets, all of them in the environment of each; first deployed, then updated.
#[test]
fn it_deploys_ten_processes_with_twenty_secrets_in_little_memory() -> Result<()> {
    let world = World::up()?;
    let (mut secrets, mut variables, mut processes) = (String::new(), String::new(), String::new());
    for n in 1..=20 {
        world.lab.aws()?.put_secret(&format!("prod/status-page/{n}"), &format!("value-of-{n}"))?;
        writeln!(secrets, "[secret.s{n}]\nid = \"prod/status-page/{n}\"\nformat = \"text\"")?;
        writeln!(variables, "SECRET_{n} = {{ secret = \"s{n}.value\" }}")?;
    }
    for n in 1..=9 {
        writeln!(
            processes,
            "[process.worker-{n}]\ncommand = [\"worker\"]\nstop-timeout = \"5s\"\nhealth.min-healthy = \"200ms\""
        )?;
    }
    for (id, tag) in [("d-000000001", "v1"), ("d-000000002", "v2")] {
        let bundle = Bundle::of(tag)
            .edit("[environment]\n", &format!("{secrets}[environment]\n{variables}"))
            .edit("[process.web]\n", &format!("{processes}[process.web]\n"))
            .edit("timeout: 300", "timeout: 900");
        let path = world.bundle(&bundle)?;
        copy(&binary()?, &world.web.path(&format!("{path}/bin/handover")))?;
        let deployed = world.deploy_folder(id, &path)?;
        ensure!(deployed.succeeded(), "{deployed:?}");
        world.assert_settled(tag)?;
    }
    in_little_memory(&world)
}

/// On the network of the release's containers, with their names, from an image that has nothing but the application; and what it
/// needs for that is gone afterwards.
#[test]
fn it_checks_from_inside_a_container() -> Result<()> {
    let world = World::up()?;
    let checks = |name: &str| {
        format!(
            "extra-hosts = [\"only.inside:10.66.0.4\"]\n[check.inside]\nfrom = \"container\"\ntcp = \"{name}:5432\"\nrequired = true\n\
             deadline = \"1s\"\n[check.database]\nfrom = \"container\"\npostgres = {{ secret = \"database\", ca = \"/etc/ssl/certs/ca-certificates.crt\" }}\n\
             [check.cache]\nfrom = \"container\"\nredis = {{ secret = \"redis\", host = \"cache.internal\", tls = true, ca = \"/etc/ssl/certs/ca-certificates.crt\" }}\n\
             [check.outside]\ndns = \"only.inside\"\ndeadline = \"1s\"\n"
        )
    };
    let deploy = |id: &str, tag: &'static str, name: &str| -> Result<String> {
        let memory = "memory       = \"512m\"\n";
        let path = world.bundle(&Bundle::of(tag).edit(memory, &checks(name)))?;
        copy(&binary()?, &world.web.path(&format!("{path}/bin/handover")))?;
        let output =
            world.agent("v1", &[]).args(["deploy", "--bundle", &path, "--deployment-id", id]).output()?;
        let left = world.containers()?;
        ensure!(left.keys().all(|name| !name.contains("run-")), "{left:?}");
        Ok(text(&output.stdout))
    };
    let said = deploy("d-000000001", "v1", "only.inside")?;
    world.assert_settled("v1").context(said)?;
    let log = fs::read_to_string(world.web.path("/var/log/handover/handover.log"))?;
    for words in
        ["check.inside: fine", "check.database: fine", "check.cache: fine", "check.outside: failed at DNS"]
    {
        ensure!(log.contains(words), "no '{words}' in {log}");
    }
    let said = deploy("d-000000002", "v2", "nowhere.inside")?;
    ensure!(said.contains("check.inside: DNS: there is no 'nowhere.inside'"), "{said}");
    world.assert_settled("v1")
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
