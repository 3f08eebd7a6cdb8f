//! What only Docker has left down is started again. Docker itself is restarted for it once, and not for anything else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fake_docker::Fate;
use handover::deploy::{Revived, revive};

use crate::world::World;

/// For a moment of the clock that begins with the machine, in microseconds: later than any test.
const NOT_YET: u64 = 9_000_000_000_000;

/// A systemd by which Docker has come up from the machine's start until `ready`, and that notes what it is told.
fn systemd(world: &World, ready: u64) {
    let dir = world.dir.path();
    fs::create_dir_all(dir.join("systemd")).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*show*) printf 'ActiveState=active\\nExecMainStartTimestampMonotonic=1\\n\
         ActiveEnterTimestampMonotonic={ready}\\n' ;;\n*) echo \"$*\" >>{} ;;\nesac\n",
        dir.join("told").display()
    );
    fs::write(dir.join("systemctl"), script).unwrap();
    fs::set_permissions(dir.join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// How often Docker was restarted.
fn restarts(world: &World) -> usize {
    let told = fs::read_to_string(world.dir.path().join("told")).unwrap_or_default();
    assert!(told.lines().all(|line| line.ends_with("restart docker.service")), "{told}");
    told.lines().count()
}

async fn stop_live(world: &World) {
    world.host().docker.stop("status-page-web", Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.serving(), None);
}

async fn revived(world: &World) -> Revived {
    let apps = ["status-page".parse().unwrap()];
    revive(&apps, &world.host(), &world.heard).await.unwrap()
}

/// Starts are refused, as by an Engine that holds the port for nobody, until it is restarted.
fn hold_the_port(world: &World, for_good: bool) {
    let (told, port) = (world.dir.path().join("told"), world.port);
    world.engine.on_call(Box::new(move |call| {
        if !call.path.ends_with("/start") || (!for_good && told.exists()) {
            return Fate::Proceed;
        }
        let message = format!("driver failed: Bind for 0.0.0.0:{port} failed: port is already allocated");
        Fate::Refuse(500, message)
    }));
}

#[tokio::test]
async fn what_docker_stopped_as_it_came_up_is_started_again_and_nothing_else() {
    let world = World::with_v1().await;
    systemd(&world, 2);
    stop_live(&world).await;
    assert_eq!(revived(&world).await, Revived::Done);
    assert_eq!(world.serving(), None, "somebody has stopped it");
    systemd(&world, NOT_YET);
    assert_eq!(revived(&world).await, Revived::Done);
    assert_eq!(world.serving().as_deref(), Some("v1"));
    assert_eq!(restarts(&world), 0);
    world.assert_settled("v1");
}

#[tokio::test]
async fn a_port_that_docker_holds_for_nobody_takes_one_restart() {
    let world = World::with_v1().await;
    systemd(&world, NOT_YET);
    stop_live(&world).await;
    hold_the_port(&world, false);
    revived(&world).await;
    assert_eq!((restarts(&world), world.serving().as_deref()), (1, Some("v1")));
    // There is no second one before the next boot.
    stop_live(&world).await;
    hold_the_port(&world, true);
    revived(&world).await;
    assert_eq!((restarts(&world), world.serving()), (1, None));
}

#[tokio::test]
async fn a_service_that_docker_stopped_as_it_came_up_is_started_again() {
    let world = crate::services::with_v1().await;
    systemd(&world, NOT_YET);
    stop_live(&world).await;
    world.host().docker.stop(crate::services::NAME, Duration::from_secs(1)).await.unwrap();
    assert_eq!(revived(&world).await, Revived::Done);
    assert_eq!(world.serving().as_deref(), Some("v1"));
    assert!(world.engine.container(crate::services::NAME).unwrap().running);
    assert_eq!(restarts(&world), 0);
}
