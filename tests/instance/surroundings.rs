//! Start-first on a host that is used by others, too: another app at the same time, somebody who holds the lock of iptables, no port
//! left; and what a host is like afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Load, wait_until};
use serde_json::Value;
use world::{Bundle, PATIENCE, World, releases};

use crate::held::Deploying;

fn clients(world: &World, port: u16) -> Result<Load> {
    let url = format!("http://{}:{port}/ping", world.web.ip());
    world.lab.load(&url, &["--rate", "100", "--seconds", "900", "--timeout-ms", "15000"])
}

/// Clients that keep their connections, and try nothing twice.
fn kept(world: &World, port: u16) -> Result<Load> {
    let url = format!("http://{}:{port}/ping", world.web.ip());
    let options = [
        "--rate",
        "100",
        "--workers",
        "4",
        "--seconds",
        "900",
        "--timeout-ms",
        "15000",
        "--keep-alive",
        "--no-retry",
    ];
    world.lab.load(&url, &options)
}

/// Nothing was lost, and just these releases answered.
fn assert_answered(load: Load, by: &[&str]) -> Result<()> {
    let seen = load.stop()?;
    ensure!(seen["failed"] == 0 && releases(&seen) == by, "{seen}");
    Ok(())
}

#[test]
fn two_apps_at_once() -> Result<()> {
    let world = World::up()?;
    let second = |tag| {
        let other = Bundle::of(tag).start_first().edit("app    = \"status-page\"", "app    = \"second\"");
        other.edit("[\"8000:8000\"]", "[\"8001:8000\"]")
    };
    for (id, bundle) in [("d-000000001", Bundle::of("v1").start_first()), ("d-000000002", second("v1"))] {
        let report = world.deploy(id, &bundle)?;
        ensure!(report.succeeded(), "{report:?}");
    }
    let before = world.rules()?.len();
    let loads = [8000, 8001].map(|port| Ok((clients(&world, port)?, kept(&world, port)?)));
    let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    // Twice, to and fro: the second time they find what the first has left.
    for (tags, ids) in
        [(["v2", "v3"], ["d-000000003", "d-000000004"]), (["v3", "v2"], ["d-000000005", "d-000000006"])]
    {
        let bundles = [Bundle::of(tags[0]).start_first(), second(tags[1])];
        std::thread::scope(|scope| {
            let both: Vec<_> = std::iter::zip(&bundles, ids)
                .map(|(bundle, id)| scope.spawn(|| world.deploy(id, bundle)))
                .collect();
            for one in both {
                let report = one.join().map_err(|_| anyhow!("a deployment panicked"))??;
                ensure!(report.succeeded(), "{report:?}");
            }
            Ok(())
        })?;
    }
    for (new, kept) in loads {
        assert_answered(new, &["v1", "v2", "v3"])?;
        assert_answered(kept, &["v1", "v2", "v3"])?;
    }
    world.assert_no_rules()?;
    ensure!(world.rules()?.len() == before, "{:#?}", world.rules()?);
    Ok(())
}

/// As long as this runs on the instance, Docker finds no port for a container that asks for any: it looks in the range that the kernel
/// had when it was started.
const EVERY_PORT: &str = r#"
import socket, sys
sockets = []
for port in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        one = socket.socket(family)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen()
        sockets.append(one)
print("all", flush=True)
sys.stdin.read()
"#;

#[test]
fn no_port_is_left_for_a_candidate() -> Result<()> {
    let world = World::up()?;
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let usual = world.by_hand(&format!("cat {range}; echo '29000 29019' > {range}"))?;
    world.web.restart_docker()?;
    world.by_hand(&format!("echo '{}' > {range}", usual.trim()))?;
    ensure!(world.release_that_comes_up()? == "v1");
    let before = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;

    let mut others = world.web.command("python3");
    others.args(["-c", EVERY_PORT, "29000", "29019"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut others = others.spawn()?;
    let mut said = BufReader::new(others.stdout.take().context("no output")?).lines();
    ensure!(said.next().context("it has not all")?? == "all");

    let load = clients(&world, 8000)?;
    let refused = world.deploy("d-000000002", &Bundle::of("v2").start_first())?;
    let failure = refused.failure().context("it was not refused")?;
    ensure!(failure.exit == Some(1), "{failure:?}");
    for words in ["address already in use", "net.ipv4.ip_local_port_range"] {
        ensure!(failure.log.contains(words), "{}", failure.log);
    }
    assert_answered(load, &["v1"])?;
    let after = world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
    ensure!(before["State"] == after["State"], "live was touched: {after}");
    world.assert_settled("v1")?;
    world.assert_no_rules()?;

    drop(others.stdin.take());
    others.wait()?;
    let report = world.deploy("d-000000003", &Bundle::of("v2").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v2")
}

/// iptables has one lock for all where it does not go by nftables: who has it makes everybody else wait.
#[test]
fn the_lock_of_iptables_is_held() -> Result<()> {
    let world = World::up_with_failpoints()?;
    // As where the older backend is what iptables is; what Docker has put into the other one would still drop packets.
    world.web.stop_docker()?;
    world.by_hand(
        "for name in iptables ip6tables; do for table in raw mangle nat filter; do \
           $name-nft -t $table -F; $name-nft -t $table -X; done; $name-nft -P FORWARD ACCEPT; done
         for name in iptables ip6tables; do for what in '' -save -restore; do \
           ln -s /usr/sbin/$name-legacy$what /usr/local/bin/$name$what; done; done",
    )?;
    world.web.start_docker()?;
    let version = world.by_hand("iptables --version; iptables -t nat -S DOCKER")?;
    ensure!(version.contains("legacy"), "{version}");
    let report = world.deploy("d-000000001", &Bundle::of("v1").start_first())?;
    ensure!(report.succeeded(), "{report:?}");
    let before = world.rules()?.len();
    let load = clients(&world, 8000)?;
    let deploying = Deploying::up_to(&world, "redirect", &Bundle::of("v2").start_first(), "d-000000002")?;
    let mut holder = world.web.command("flock").args(["/run/xtables.lock", "sleep", "5"]).spawn()?;
    wait_until("it is held", PATIENCE, || {
        Ok(!world.web.command("flock").args(["-n", "/run/xtables.lock", "true"]).status()?.success())
    })?;
    let report = deploying.ended()?;
    holder.wait()?;
    ensure!(report.succeeded(), "{report:?}");
    assert_answered(load, &["v1", "v2"])?;
    world.assert_settled("v2")?;
    world.assert_no_rules()?;
    ensure!(world.rules()?.len() == before, "{:#?}", world.rules()?);
    Ok(())
}

/// What there is on an instance, a line for each thing; without what differs from one moment to the next.
fn snapshot(world: &World) -> Result<BTreeSet<String>> {
    let docker = world.web.docker()?;
    let mut lines: Vec<String> = vec![];
    for container in docker.containers()? {
        let one = docker.inspect(container["Id"].as_str().context("no id")?)?.context("it is gone")?;
        let (host, network) = (&one["HostConfig"], &one["NetworkSettings"]);
        let networks: Vec<_> =
            network["Networks"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
        lines.push(format!(
            "container {} {} {} {} {} {networks:?} {}",
            one["Name"],
            one["Image"],
            one["State"]["Running"],
            host["RestartPolicy"],
            host["Memory"],
            host["Binds"]
        ));
    }
    let mut list = |kind: &str, all: &Value, keys: &[&str]| {
        let told = |one: &Value| keys.iter().map(|key| format!(" {}", one[key])).collect::<String>();
        let all = all.as_array().into_iter().flatten();
        lines.extend(all.map(|one| format!("{kind}{}", told(one))));
    };
    list("image", &docker.images()?.into(), &["Id", "RepoTags", "RepoDigests"]);
    list("network", &docker.get("/networks")?, &["Name"]);
    list("volume", &docker.get("/volumes")?["Volumes"], &["Name"]);
    lines.extend(world.rules()?.into_iter().map(|rule| format!("rule {rule}")));
    let folders =
        "/var/lib/handover /run/handover /opt/handover /etc/handover /etc/systemd/system /var/log/handover";
    let files = world.by_hand(&format!("find {folders} -printf 'file %p %M %u\\n' 2>/dev/null || true"))?;
    lines.extend(files.lines().map(str::to_owned));
    let sysctl = world.by_hand(
        "for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/netfilter/*; do echo sysctl $f $(cat $f); done",
    )?;
    lines.extend(sysctl.lines().filter(|line| !line.contains("_count ")).map(str::to_owned));
    // With how many files each has open: but for Docker's, whose connections come and go.
    let processes = world.by_hand(
        "for p in /proc/[0-9]*; do c=$(cat $p/comm) || continue; case $c in sh|find|cat|sed|sort) ;; \
           dockerd*|containerd*|docker-proxy) echo process $c ;; *) echo process $c $(ls $p/fd | wc -l) ;; esac; done 2>/dev/null",
    )?;
    lines.extend(processes.lines().map(str::to_owned));
    Ok(lines.into_iter().collect())
}

/// The same with `N` for the number of each release.
fn without_numbers(line: &str) -> String {
    [".r", ":r", "releases/", "history/"].iter().fold(line.to_owned(), |line, before| {
        let mut parts = line.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |line, part| {
            let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{line}{before}{}{rest}", if rest.len() < part.len() { "N" } else { "" })
        })
    })
}

#[test]
fn what_is_left_on_the_instance() -> Result<()> {
    let world = World::up()?;
    let deploy = |id: &str, tag| world.deploy(id, &Bundle::of(tag).start_first());
    for (n, tag) in ["v1", "v2", "v1", "v2"].into_iter().enumerate() {
        let report = deploy(&format!("d-00000001{n}"), tag)?;
        ensure!(report.succeeded(), "{report:?}");
    }
    let before = snapshot(&world)?;
    let refused = deploy("d-000000020", "crash")?;
    ensure!(refused.failure().is_some(), "{refused:?}");
    let after = snapshot(&world)?;
    // What it was and what it said, and its image, until the next good one.
    let of_it = |line: &&String| {
        line.starts_with("file /var/lib/handover/status-page/releases/5")
            || line.contains("\"handover/status-page:r5\"")
    };
    let more: Vec<_> = after.difference(&before).filter(|line| !of_it(line)).collect();
    let less: Vec<_> = before.difference(&after).collect();
    ensure!(more.is_empty() && less.is_empty(), "refused: too much: {more:#?}\ntoo little: {less:#?}");

    // To and fro: as it was, but for the history.
    for (id, tag) in [("d-000000021", "v1"), ("d-000000022", "v2")] {
        let report = deploy(id, tag)?;
        ensure!(report.succeeded(), "{report:?}");
    }
    let is_history = |line: &String| line.contains("/history/");
    let [before, last] = [before, snapshot(&world)?].map(|lines| -> BTreeSet<String> {
        lines.iter().filter(|line| !is_history(line)).map(|line| without_numbers(line)).collect()
    });
    let more: Vec<_> = last.difference(&before).collect();
    let less: Vec<_> = before.difference(&last).collect();
    ensure!(more.is_empty() && less.is_empty(), "updated: too much: {more:#?}\ntoo little: {less:#?}");
    Ok(())
}
