//! What a container is made of, as the Engine says it, against what was asked for.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use world::{Bundle, World};

const PUBLISH: &str = "publish      = [\"8000:8000\"]";

const EVERYTHING: &str = r#"publish      = ["8000:8000"]
stop-signal  = "int"
log          = { driver = "local", max-size = "1m", max-file = 2, options = { compress = "false" } }
cpus         = 0.5
user         = "1000:1000"
read-only    = true
tmpfs        = ["/tmp:size=16m,mode=1777", "/run"]
volumes      = ["/etc/ssl:/certificates:ro", "media:/media"]
extra-hosts  = ["metrics.internal:10.66.0.9", "host.docker.internal:host-gateway"]
network      = "apps"
capabilities = { add = ["cap_net_bind_service"], drop = ["ALL"] }
ulimits      = { nofile = { soft = 1024, hard = 4096 }, core = 0 }
shm-size     = "32m"
init         = true
no-new-privileges = true
labels       = { "com.example.team" = "web", shard = 3 }
hostname     = "web.internal"
entrypoint   = ["/app"]
working-dir  = "/tmp"
devices      = ["/dev/null:/dev/nothing:r"]
dns          = ["10.66.0.1"]
pids-limit   = 200
security-opt = ["seccomp=unconfined", "systempaths=unconfined"]
"#;

fn live(world: &World) -> Result<Value> {
    world.web.docker()?.inspect("status-page-web")?.context("nothing is live")
}

/// Compares the members of `expected` only.
fn assert_has(what: &str, seen: &Value, expected: &Value) -> Result<()> {
    for (key, value) in expected.as_object().context("an object")? {
        ensure!(seen[key] == *value, "{what}.{key} is {}, not {value}", seen[key]);
    }
    Ok(())
}

#[test]
fn a_container_is_made_of_what_was_asked_for() -> Result<()> {
    let world = World::up()?;
    world.web.docker()?.post("/networks/create", &json!({ "Name": "apps", "CheckDuplicate": true }))?;
    let bundle = Bundle::of("v1").edit(PUBLISH, EVERYTHING).edit("\"2m\"", "\"10s\"");
    let report = world.deploy("d-000000001", &bundle)?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v1")?;
    let container = live(&world)?;
    let config = json!({
        "StopSignal": "SIGINT",
        "StopTimeout": 35,
        "User": "1000:1000",
        "Hostname": "web.internal",
        "Entrypoint": ["/app"],
        "WorkingDir": "/tmp",
    });
    assert_has("Config", &container["Config"], &config)?;
    let options = json!({ "max-size": "1m", "max-file": "2", "compress": "false" });
    let host = json!({
        "LogConfig": { "Type": "local", "Config": options },
        "NanoCpus": 500_000_000,
        // That of [group.test].
        "Memory": 256 << 20,
        "ReadonlyRootfs": true,
        "Tmpfs": { "/tmp": "size=16m,mode=1777", "/run": "" },
        "ExtraHosts": ["metrics.internal:10.66.0.9", "host.docker.internal:host-gateway"],
        "NetworkMode": "apps",
        "CapAdd": ["NET_BIND_SERVICE"],
        "CapDrop": ["ALL"],
        "Ulimits": [
            { "Name": "core", "Soft": 0, "Hard": 0 },
            { "Name": "nofile", "Soft": 1024, "Hard": 4096 },
        ],
        "ShmSize": 32 << 20,
        "Init": true,
        "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Devices": [
            { "PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r" },
        ],
        "Dns": ["10.66.0.1"],
        "PidsLimit": 200,
    });
    assert_has("HostConfig", &container["HostConfig"], &host)?;
    let labels = json!({ "com.example.team": "web", "shard": "3", "handover.app": "status-page" });
    assert_has("Config.Labels", &container["Config"]["Labels"], &labels)?;
    let mounts = container["Mounts"].as_array().context("no mounts")?;
    for (target, typ, writable) in [("/certificates", "bind", false), ("/media", "volume", true)] {
        let mount = mounts.iter().find(|m| m["Destination"] == target).context("it is not mounted")?;
        ensure!(mount["Type"] == typ && mount["RW"] == writable, "{mount}");
    }
    // The same again is no change.
    let again = world.handover(&["deploy"])?;
    ensure!(String::from_utf8_lossy(&again.stderr).contains("nothing to change"), "{again:?}");
    Ok(())
}

#[test]
fn what_is_not_said_is_dockers_default_but_the_log_is_limited() -> Result<()> {
    let world = World::with_v1()?;
    let container = live(&world)?;
    assert_has("Config", &container["Config"], &json!({ "StopTimeout": 35, "User": "" }))?;
    let host = json!({
        "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m", "max-file": "3" } },
        "NanoCpus": 0,
        "ReadonlyRootfs": false,
        "Tmpfs": null,
        "Mounts": null,
        "ExtraHosts": null,
        "CapAdd": null,
        "CapDrop": null,
        "Ulimits": null,
        "ShmSize": 64 << 20,
        "Init": null,
        "SecurityOpt": null,
    });
    assert_has("HostConfig", &container["HostConfig"], &host)?;
    // The bridge: 26.1 and 28.5 call it by its name, 20.10 does not.
    let network = &container["HostConfig"]["NetworkMode"];
    let engine = world.engine()?;
    ensure!(network == if engine.major < 26 { "default" } else { "bridge" }, "{engine:?} says {network}");
    Ok(())
}

/// As `docker run --log-opt` without a driver, and limited all the same where the Engine's driver is not.
#[test]
fn options_for_the_engines_own_log_driver() -> Result<()> {
    let world = World::up()?;
    let log = "log = { options = { max-size = \"2m\", labels = \"shard\" } }";
    let bundle = Bundle::of("v1").edit(PUBLISH, &format!("{PUBLISH}\n{log}"));
    let report = world.deploy("d-000000001", &bundle)?;
    ensure!(report.succeeded(), "{report:?}");
    let options = json!({ "max-size": "2m", "max-file": "3", "labels": "shard" });
    let log = json!({ "LogConfig": { "Type": "json-file", "Config": options } });
    assert_has("HostConfig", &live(&world)?["HostConfig"], &log)
}

#[test]
fn the_engines_own_log_driver_stays() -> Result<()> {
    let world = World::up()?;
    let report = world.deploy(
        "d-000000001",
        &Bundle::of("v1").edit(PUBLISH, &format!("{PUBLISH}\nlog = {{ driver = \"engine\" }}")),
    )?;
    ensure!(report.succeeded(), "{report:?}");
    let log = json!({ "LogConfig": { "Type": "json-file", "Config": {} } });
    assert_has("HostConfig", &live(&world)?["HostConfig"], &log)
}

/// A container on the host's network is asked at the host's loopback, and found sick there.
#[test]
fn a_gate_on_the_network_of_the_host() -> Result<()> {
    let world = World::up()?;
    let on_the_host = |tag| {
        let health = "http        = \"/health\"";
        Bundle::of(tag)
            .edit(PUBLISH, "network = \"host\"")
            .edit(health, &format!("{health}\nport = 8000"))
            .edit("deadline    = \"2m\"", "deadline = \"6s\"")
    };
    let report = world.deploy("d-000000001", &on_the_host("v1"))?;
    ensure!(report.succeeded(), "{report:?}");
    world.assert_settled("v1")?;
    let refused = world.deploy("d-000000002", &on_the_host("silent"))?;
    ensure!(refused.failure().is_some_and(|f| f.exit == Some(1)), "{refused:?}");
    world.assert_settled("v1")
}

/// Docker takes such a container, and fails when it is started: live would have been stopped for nothing.
#[test]
fn what_the_instance_lacks_is_noticed_before_live_is_touched() -> Result<()> {
    let world = World::with_v1()?;
    let before = live(&world)?;
    let lacking = [
        ("network = \"apps\"", "Docker has no network 'apps'"),
        ("volumes = [\"/srv/nowhere:/media\"]", "bind source path does not exist: /srv/nowhere"),
        ("cpus = 1000", "as there are only"),
        ("devices = [\"/dev/nowhere\"]", "there is no '/dev/nowhere' on this host"),
    ];
    for (n, (line, says)) in (2..).zip(lacking) {
        let bundle = Bundle::of("v2").edit(PUBLISH, &format!("{PUBLISH}\n{line}"));
        let refused = world.deploy(&format!("d-00000000{n}"), &bundle)?;
        let failure = refused.failure().context("it is refused")?;
        ensure!(failure.exit == Some(1) && failure.log.contains(says), "{line}: {}", failure.log);
        ensure!(live(&world)? == before, "{line}: live was touched");
    }
    ensure!(!world.web.path("/srv/nowhere").exists(), "a folder was made");
    Ok(())
}
