//! What a container is made of: Docker takes much that it then cannot start.

use bollard::Docker;

use crate::world::{World, cause};

const KEY: &str = "stop-timeout = \"1s\"";

/// What the Engine says of the host's part of live.
async fn host_config(world: &World) -> serde_json::Value {
    let socket = world.engine.socket().to_str().unwrap();
    let docker = Docker::connect_with_unix(socket, 5, bollard::API_DEFAULT_VERSION).unwrap();
    let live = docker.inspect_container("status-page-web", None).await.unwrap();
    serde_json::to_value(live.host_config.unwrap()).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn every_option_reaches_the_engine() {
    let world = World::new().await;
    let options = r#"
log = { max-size = "1m" }
cpus = 1.5
read-only = true
tmpfs = ["/tmp:size=1m"]
volumes = ["/etc:/etc-of-the-host:ro", "media:/media"]
extra-hosts = ["db.internal:10.0.0.5"]
capabilities = { add = ["KILL"], drop = ["ALL"] }
ulimits = { nofile = 1024 }
shm-size = "32m"
init = true
no-new-privileges = true
labels = { "com.example.team" = "web", shard = 3 }
hostname = "web.internal"
working-dir = "/tmp"
devices = ["/dev/null:/dev/nothing:r"]
dns = ["10.0.0.2"]
pids-limit = 200
security-opt = ["seccomp=unconfined", "systempaths=unconfined"]
"#;
    world.edit(KEY, &format!("{KEY}{options}"));
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    world.assert_settled("v1");
    let host = host_config(&world).await;
    let logs = serde_json::json!({ "max-size": "1m", "max-file": "3" });
    assert_eq!((&host["LogConfig"]["Type"], &host["LogConfig"]["Config"]), (&"json-file".into(), &logs));
    assert_eq!(host["NanoCpus"], 1_500_000_000);
    assert_eq!(host["Mounts"].as_array().map(Vec::len), Some(2), "{host}");
    for (key, value) in [("CapAdd", "KILL"), ("CapDrop", "ALL"), ("SecurityOpt", "no-new-privileges:true")] {
        assert_eq!(host[key][0], value, "{key}");
    }
    assert_eq!((&host["Tmpfs"]["/tmp"], &host["Ulimits"][0]["Hard"]), (&"size=1m".into(), &1024.into()));
    assert_eq!(host["SecurityOpt"].as_array().map(Vec::len), Some(2), "{host}");
    assert_eq!(
        (&host["MaskedPaths"], &host["ReadonlyPaths"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    let device = serde_json::json!([
        { "PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r" }
    ]);
    assert_eq!(
        (&host["Devices"], &host["PidsLimit"], &host["Dns"][0]),
        (&device, &200.into(), &"10.0.0.2".into())
    );
    for key in ["ReadonlyRootfs", "Init"] {
        assert_eq!(host[key], true, "{key}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn logs_are_limited_when_nobody_says_anything() {
    let world = World::with_v1().await;
    let logs = &host_config(&world).await["LogConfig"]["Config"];
    assert_eq!(*logs, serde_json::json!({ "max-size": "10m", "max-file": "3" }));
}

/// A container on a network that is not there can be created: Docker says so when it is started.
#[tokio::test(flavor = "current_thread")]
async fn a_network_that_is_not_there_is_noticed_before_live_is_touched() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    world.edit(KEY, &format!("{KEY}\nnetwork = \"apps\""));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let cause = cause(&report);
    assert!(cause.contains("docker network create apps"), "{cause}");
    assert_eq!(world.live_hash(), before);
    assert!(world.engine.calls().iter().all(|call| !call.mutating || call.path.contains("/images/")));
}
