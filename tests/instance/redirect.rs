//! The redirect on a real Engine: on each path of a client new connections go to the candidate while it is there, and none is
//! lost when it comes and goes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use handover::host::iptables::{Iptables, Tables};
use handover::host::redirect::{Redirect, Route, Surroundings};
use handover::model::AppName;
use jiff::{SignedDuration, Timestamp};
use lab::names::REPOSITORY_URL;
use lab::{registry_authorization, wait_until};
use serde_json::{Value, json};
use world::{PATIENCE, World};

/// An instance with v1 live, and v2 beside it as a candidate: published on a port that the Engine has picked.
struct Rig {
    world: World,
    app: AppName,
    iptables: Iptables,
    routes: Vec<Route>,
    surroundings: Surroundings,
    /// Of its own, for the calls.
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn up() -> Result<Self> {
        let world = World::with_v1()?;
        let docker = world.web.docker()?;
        docker.pull(&format!("{REPOSITORY_URL}:v2"), Some(&registry_authorization()))?;
        docker.post("/networks/create", &json!({ "Name": "elsewhere", "CheckDuplicate": true }))?;
        let live = docker.inspect("status-page-web")?.context("nothing is live")?;
        let environment: Vec<&Value> =
            live["Config"]["Env"].as_array().into_iter().flatten().filter(|one| !of_image(one)).collect();
        let port = json!({ "8000/tcp": [{ "HostPort": "" }] });
        let settings = json!({
            "Image": format!("{REPOSITORY_URL}:v2"), "Env": environment,
            "ExposedPorts": { "8000/tcp": {} }, "HostConfig": { "PortBindings": port },
        });
        docker.run("candidate", &settings)?;
        let candidate = docker.inspect("candidate")?.context("no candidate")?;
        let network = &candidate["NetworkSettings"];
        let address: std::net::IpAddr =
            network["Networks"]["bridge"]["IPAddress"].as_str().context("no address")?.parse()?;
        let bound = network["Ports"]["8000/tcp"].as_array().context("no port")?;
        let route = |bound: &Value| {
            let number = bound["HostPort"].as_str().context("no port")?.parse()?;
            let at = bound["HostIp"].as_str().context("no address")?.parse()?;
            Ok(Route { address: at, port: 8000, candidate: (address, 8000).into(), picked: number })
        };
        let routes = bound.iter().map(route).collect::<Result<Vec<_>>>()?;
        wait_until("the candidate answers", PATIENCE, || {
            let url = format!("http://{}:{}/", world.web.ip(), routes[0].picked);
            Ok(world.lab.http_get(&url).is_ok_and(|answer| answer.status == 200))
        })?;
        let elsewhere = docker.get("/networks/elsewhere")?["Id"].as_str().context("no id")?[..12].to_owned();
        let bridges = vec!["docker0".to_owned(), format!("br-{elsewhere}")];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pid = world.web.pid()?.to_string();
        let through = ["nsenter", "--target", &pid, "--net", "--mount", "--"].map(Into::into).to_vec();
        let iptables = runtime.block_on(Iptables::find(&Tables::Through(through)))?;
        let surroundings = Surroundings { bridges, userland_proxy: true };
        Ok(Self { world, app: "status-page".parse().unwrap(), iptables, routes, surroundings, runtime })
    }

    fn put(&self, until: Option<Timestamp>) -> Result<()> {
        let redirect = Redirect::of(&self.app, &self.iptables);
        Ok(self.runtime.block_on(redirect.put(&self.routes, &self.surroundings, "d-000000002", until))?)
    }

    fn unhook(&self) -> Result<()> {
        Ok(self.runtime.block_on(Redirect::of(&self.app, &self.iptables).unhook())?)
    }

    fn remove(&self) -> Result<()> {
        Ok(self.runtime.block_on(Redirect::of(&self.app, &self.iptables).remove())?)
    }

    fn deployment(&self) -> Result<Option<String>> {
        Ok(self.runtime.block_on(Redirect::of(&self.app, &self.iptables).deployment())?)
    }

    /// How many connections live has.
    fn connections_of_live(&self) -> Result<usize> {
        let live = self.world.web.docker()?.inspect("status-page-web")?.context("nothing is live")?;
        let tables = ["tcp", "tcp6"].map(|table| {
            std::fs::read_to_string(
                self.world.web.path(&format!("/proc/{}/net/{table}", live["State"]["Pid"])),
            )
        });
        let tables = tables.into_iter().collect::<Result<String, _>>()?;
        // The port in hexadecimal digits, and the kernel's number for what is established.
        let is_one = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1).is_some_and(|local| local.ends_with(":1F40")) && words.get(3) == Some(&"01")
        };
        Ok(tables.lines().filter(is_one).count())
    }

    /// Which releases answer a client, by where it is and whom it asks.
    fn who_answers(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let outside = self.world.web.ip();
        let mut answers = BTreeMap::new();
        let url = |address: &str| format!("http://{address}:8000/");
        let load = self.world.lab.load(&url(&outside.to_string()), &SHORT)?.finish()?;
        answers.insert("from outside".to_owned(), releases(&load)?);
        for address in ["127.0.0.1", "[::1]", &outside.to_string(), "172.17.0.1"] {
            let mut command = self.world.web.command("/usr/local/bin/client");
            let output = command.args(["load", &url(address)]).args(SHORT).output()?;
            let load = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
            answers.insert(format!("from the host to {address}"), releases(&load)?);
        }
        let docker = self.world.web.docker()?;
        for network in ["bridge", "elsewhere"] {
            for address in ["172.17.0.1", &outside.to_string()] {
                let target = url(address);
                let words: Vec<&str> = ["load", target.as_str()].into_iter().chain(SHORT).collect();
                let settings = json!({
                    "Image": format!("{REPOSITORY_URL}:v2"), "Cmd": words, "HostConfig": { "NetworkMode": network },
                });
                docker.run("client", &settings)?;
                docker.post("/containers/client/wait", &Value::Null)?;
                let said = docker.logs("client")?;
                docker.delete("/containers/client?force=true")?;
                let load = serde_json::from_str(said.trim()).context(said)?;
                answers.insert(format!("from network {network} to {address}"), releases(&load)?);
            }
        }
        Ok(answers)
    }

    fn assert_all_paths_lead_to(&self, release: &str) -> Result<()> {
        let answers = self.who_answers()?;
        ensure!(answers.len() == 9 && answers.values().all(|seen| *seen == [release]), "{answers:?}");
        Ok(())
    }
}

const SHORT: [&str; 6] = ["--rate", "20", "--seconds", "0.3", "--workers", "4"];

/// What the image says of itself is not the other one's.
fn of_image(variable: &Value) -> bool {
    ["RELEASE=", "VARIANT="].iter().any(|name| variable.as_str().is_some_and(|one| one.starts_with(name)))
}

/// The releases that answered, of a load where nothing failed.
fn releases(load: &Value) -> Result<Vec<String>> {
    ensure!(load["failed"] == 0 && load["total"] != 0, "{load}");
    let seen = load["releases"].as_array().context("no releases")?;
    Ok(seen.iter().filter_map(|one| Some(one["release"].as_str()?.to_owned())).collect())
}

#[test]
fn every_path_of_a_client_is_taken_and_given_back() -> Result<()> {
    let rig = Rig::up()?;
    world::copy(&lab::application::binary()?, &rig.world.web.path("/usr/local/bin/client"))?;
    let before = rig.world.rules()?;
    let outside = format!("http://{}:8000/", rig.world.web.ip());
    let options = ["--rate", "50", "--seconds", "600", "--keep-alive", "--workers", "8"];
    let established = rig.world.lab.load(&outside, &options)?;
    wait_until("all are connected", PATIENCE, || Ok(rig.connections_of_live()? >= 8))?;
    let new = rig.world.lab.load(&outside, &["--rate", "200", "--seconds", "600"])?;
    wait_until("new ones come", PATIENCE, || Ok(rig.connections_of_live()? > 8))?;

    rig.put(Some(Timestamp::now() + SignedDuration::from_mins(10)))?;
    ensure!(rig.deployment()?.as_deref() == Some("d-000000002"));
    rig.assert_all_paths_lead_to("v2")?;
    // Renewed, as bake does, and then without an end.
    for _ in 0..5 {
        rig.put(Some(Timestamp::now() + SignedDuration::from_mins(10)))?;
    }
    rig.put(None)?;
    ensure!(rig.world.release()? == "v2");
    rig.unhook()?;
    ensure!(rig.deployment()?.is_none());
    rig.assert_all_paths_lead_to("v1")?;
    rig.remove()?;
    ensure!(rig.world.release()? == "v1");

    // None of them was lost, and those that were established stayed where they were.
    let new = releases(&new.stop()?)?;
    ensure!(new.first().is_some_and(|one| one == "v1") && new.contains(&"v2".to_owned()), "{new:?}");
    let established = releases(&established.stop()?)?;
    ensure!(established == ["v1"], "{established:?}");
    let after = rig.world.rules()?;
    ensure!(before == after, "{before:#?}\nis not\n{after:#?}");
    Ok(())
}

#[test]
fn it_ends_by_itself() -> Result<()> {
    let rig = Rig::up()?;
    rig.put(Some(Timestamp::now() + SignedDuration::from_secs(4)))?;
    ensure!(rig.world.release()? == "v2");
    wait_until("traffic is back", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(50));
        Ok(rig.world.release()? == "v1")
    })?;
    // The rule is there, and does nothing any more.
    ensure!(rig.deployment()?.is_some());
    rig.remove()
}

#[test]
fn it_is_removed_whatever_is_there_of_it() -> Result<()> {
    let rig = Rig::up()?;
    let chain = "HANDOVER-status-page";
    let theirs = "iptables -t nat -N THEIRS; iptables -t nat -A THEIRS -p tcp --dport 9 -j RETURN; \
                  iptables -t nat -I PREROUTING -p tcp --dport 9 -m comment --comment \"not ours\" -j THEIRS";
    rig.world.by_hand(theirs)?;
    let before = rig.world.rules()?;
    let put = |until| rig.put(until);
    let cases: [(&str, &dyn Fn() -> Result<()>); 5] = [
        ("nothing", &|| Ok(())),
        ("a chain", &|| rig.world.by_hand(&format!("iptables -t nat -N {chain}")).map(drop)),
        ("all of it", &|| put(None)),
        ("hooks twice", &|| {
            put(None)?;
            rig.world.by_hand(&format!(
                "for one in PREROUTING OUTPUT; do iptables -t nat -I $one -p tcp --dport 8000 -j {chain}; done"
            )).map(drop)
        }),
        ("half of it", &|| {
            put(Some(Timestamp::now() + SignedDuration::from_mins(1)))?;
            rig.world.by_hand("iptables -t nat -D PREROUTING 1").map(drop)
        }),
    ];
    for (what, make) in cases {
        make().context(what)?;
        rig.remove().context(what)?;
        let after = rig.world.rules()?;
        ensure!(before == after, "{what}: {before:#?}\nis not\n{after:#?}");
        // Put over whatever is there, it is there once.
        make().context(what)?;
        put(None).context(what)?;
        let rules = rig.world.rules()?;
        let hooks = rules.iter().filter(|rule| rule.ends_with(&format!("-j {chain}"))).count();
        ensure!(hooks == 2 * rig.routes.len(), "{what}: {rules:#?}");
        ensure!(rig.world.release()? == "v2", "{what}");
        rig.remove().context(what)?;
    }
    ensure!(rig.world.release()? == "v1");
    Ok(())
}
