//! `publish = ["8000"]`: a port of the host that Docker picks, at each start anew.

use fake_docker::Race;
use handover::report::{Report, tail};
use handover::status;

use crate::world::World;

async fn world() -> World {
    let world = World::new().await;
    let fixed = format!("127.0.0.1:{}:8000", world.port);
    world.edit(&fixed, "127.0.0.1::8000");
    world.edit("deadline = \"30s\"", "deadline = \"10s\"");
    world
}

/// The one port that a report tells.
fn told(report: &Report) -> u16 {
    let [port] = report.serving[0].picked_ports.as_slice() else { panic!("{report:?}") };
    assert_eq!((port.port.as_str(), port.address.to_string().as_str()), ("8000/tcp", "127.0.0.1"));
    let last = tail::of(report).join("\n");
    assert!(last.contains(&format!("port 8000/tcp at 127.0.0.1:{}", port.host)), "{last}");
    port.host
}

#[tokio::test(flavor = "current_thread")]
async fn it_is_told_and_asked_there() {
    let world = world().await;
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let port = told(&report);
    assert_eq!(world.engine.container("status-page-web").unwrap().host_ports, [port]);
    let apps = status::of_all(&world.host()).await.unwrap();
    assert!(status::text(&apps).contains(&format!("status-page-web: port 8000/tcp at 127.0.0.1:{port}")));
    let json = serde_json::to_value(&apps).unwrap();
    let ports = serde_json::json!([{ "port": "8000/tcp", "address": "127.0.0.1", "host": port }]);
    assert_eq!(json[0]["containers"][0]["picked_ports"], ports);
    // The same is asked for: the other port of the next start would be no change of the release.
    assert_eq!(world.deploy("d-2", "v1").await.unwrap().outcome.word(), "unchanged");
}

#[tokio::test(flavor = "current_thread")]
async fn after_a_boot_the_port_of_now_is_told() {
    let world = world().await;
    world.deploy("d-1", "v1").await.unwrap();
    world.engine.power_cut();
    world.engine.boot(&Race::OldestFirst).unwrap();
    let [port] = world.engine.container("status-page-web").unwrap().host_ports[..] else { panic!() };
    let told = status::text(&status::of_all(&world.host()).await.unwrap());
    assert!(told.contains(&format!("port 8000/tcp at 127.0.0.1:{port} of the host")), "{told}");
    world.assert_settled("v1");
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_put_back_tells_the_port_that_it_has_now() {
    let world = world().await;
    world.deploy("d-1", "v1").await.unwrap();
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    let port = told(&report);
    assert_eq!(world.engine.container("status-page-web").unwrap().host_ports, [port]);
    world.assert_settled("v1");
}

/// It answers at its own address, and not at the port of the host.
#[tokio::test(flavor = "current_thread")]
async fn two_processes_take_the_same_port_of_theirs_without_a_clash() {
    let world = world().await;
    world.edit(
        "[process.web]\n",
        "[process.worker]\npublish = [\"127.0.0.1::8000\"]\norder = \"stop-first\"\n[process.web]\n",
    );
    world.edit("deadline = \"10s\"", "deadline = \"10s\"\n[process.worker.health]\ntcp = true\ninterval = \"1ms\"\nsuccesses = 1\nmin-healthy = \"0s\"");
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let ports: Vec<u16> = report.serving.iter().flat_map(|s| &s.picked_ports).map(|port| port.host).collect();
    assert!(ports.len() == 2 && ports[0] != ports[1], "{ports:?}");
}
