//! Preflight: everything that would make a deployment fail is told at once, and nothing is touched for it.

use std::path::Path;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use fake_docker::HostPort;
use handover::deploy::preview::preview;
use handover::host::machine::disk::Space;
use handover::model::Phase;
use handover::report::{Report, tail};
use jiff::SignedDuration;

use crate::world::{REPOSITORY, Site, World, cause};

/// The deployment is refused before anything is touched: not one call changed anything, and live is as it was.
async fn refused(world: &World, id: &str, tag: &str) -> Report {
    let (before, containers) = (world.live_hash(), world.engine.containers());
    world.engine.forget_calls();
    let result = world.deploy(id, tag).await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert_eq!((world.live_hash(), world.engine.containers()), (before, containers));
    let changing: Vec<_> = world.engine.calls().into_iter().filter(|call| call.mutating).collect();
    assert_eq!(changing, [], "{report:?}");
    report
}

fn whats(report: &Report) -> Vec<&str> {
    report.findings().iter().map(|finding| finding.what.as_str()).collect()
}

/// As if a process of this machine listened at a port of 127.0.0.1.
fn listen(world: &World, port: u16) {
    let net = world.dir.path().join("proc/self/net");
    std::fs::create_dir_all(&net).unwrap();
    let address = u32::from_ne_bytes([127, 0, 0, 1]);
    let line = format!("0: {address:08X}:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n");
    std::fs::write(net.join("tcp"), format!("sl local_address\n{line}")).unwrap();
    let process = world.dir.path().join("proc/42");
    std::fs::create_dir_all(process.join("fd")).unwrap();
    std::fs::write(process.join("comm"), "python3\n").unwrap();
    let _ = std::os::unix::fs::symlink("socket:[4711]", process.join("fd/3"));
}

fn with_memory(world: &World, kib: u64) {
    std::fs::create_dir_all(world.dir.path().join("proc")).unwrap();
    let text = format!("MemTotal: {kib} kB\nMemAvailable: {kib} kB\n");
    std::fs::write(world.dir.path().join("proc/meminfo"), text).unwrap();
}

/// A container of somebody else's, running, with a port.
async fn foreign(world: &World, name: &str, port: u16) {
    let docker = bollard::Docker::connect_with_unix(
        world.engine.socket().to_str().unwrap(),
        60,
        bollard::API_DEFAULT_VERSION,
    )
    .unwrap();
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
    let body = ContainerCreateBody {
        image: Some(format!("{REPOSITORY}@{}", fake_docker::Image::digest_of("v1"))),
        exposed_ports: Some(vec!["80/tcp".to_owned()]),
        host_config: Some(HostConfig {
            port_bindings: Some([("80/tcp".to_owned(), Some(vec![binding]))].into()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    docker.create_container(Some(options), body).await.unwrap();
    docker.start_container(name, None).await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn everything_that_is_wrong_is_told_at_once() {
    let mut world = World::with_v1().await;
    // Another port than live's, so that the report reads the same each time.
    let port = format!("127.0.0.1:{}:8000", world.port);
    world.edit(&port, "127.0.0.1:8000:8000");
    world.edit("stop-timeout = \"1s\"", "stop-timeout = \"1s\"\nmemory = \"2g\"");
    listen(&world, 8000);
    with_memory(&world, 1 << 20);
    world.space = |_: &Path| Ok(Space { device: 1, bytes: 20 << 20, files: None });
    world.aws.refuse("GetSecretValue", 400, "ResourceNotFoundException", "Secrets Manager can't find it.");
    world.aws.fall_behind(SignedDuration::from_hours(-1));
    let report = refused(&world, "d-2", "nope").await;
    assert_eq!(report.failure.as_ref().map(|failure| failure.what.as_str()), Some("6 findings"));
    let lines = tail::of(&report).join("\n");
    // To the second, this one is not the same each time.
    let lines = lines.replace("3599 s", "3600 s").replace(&world.dir.path().display().to_string(), "");
    insta::assert_snapshot!(lines, @r"
    why:   6 findings
      1.   port 127.0.0.1:8000 is held by 'python3' (pid 42)
      fix: stop it, or publish another port in [process.web]
      2.   the disk of '/state' has 20 MiB free, and 32 MiB are needed (handover itself)
      fix: make room: 'docker system df' says what Docker keeps, 'handover prune' removes old releases
      3.   [process.web] memory is 2.0 GiB, and this machine has 1.0 GiB
      fix: lower memory in [process.web], or take a larger instance
      4.   Docker refuses to find '123456789012.dkr.ecr.eu-west ... in its registry: manifest unknown: manifest unknown
      fix: tag 'nope' is not in 123456789012.dkr.ecr.eu-west-1. ... was it pushed to account 123456789012 in eu-west-1?
      5.   AWS refuses to read secret 'prod/database' (secretsm ... rceNotFoundException: Secrets Manager can't find it.
      fix: asked in eu-west-1: check its name with 'aws secrets ... nother account or region than the image's repository
      6.   the clock of this instance is 3600 s behind that of AWS
      fix: set it: 'timedatectl' says whether it is kept in time, 'chronyc makestep' sets it
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    let journal = std::fs::read_to_string(world.journal()).unwrap();
    for what in whats(&report) {
        let what = what.replace('"', "\\\"");
        assert!(journal.contains(&what), "the journal lacks: {what}\n{journal}");
        assert!(world.heard.all().contains(&what), "the log lacks: {what}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_foreign_container_is_refused_by_its_name_before_live_is_touched() {
    let world = World::with_v1().await;
    let held = HostPort::take().unwrap();
    let port = held.number();
    foreign(&world, "old-web", port).await;
    let own = format!("127.0.0.1:{}:8000", world.port);
    world.edit(&own, &format!("{port}:8000"));
    let report = refused(&world, "d-2", "v2").await;
    let held = format!("port {port} is held by container 'old-web', which handover did not make");
    assert_eq!(whats(&report), [held]);
    assert!(report.findings()[0].fix.contains("replaces = \"old-web\" in [process.web]"), "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn the_port_of_another_app_of_ours_is_refused_with_its_name() {
    let world = World::with_v1().await;
    world.edit("app = \"status-page\"", "app = \"shop\"");
    let result = world.deploy("d-2", "v2").await.unwrap();
    let held =
        format!("port 127.0.0.1:{} is held by container 'status-page-web' of app 'status-page'", world.port);
    assert_eq!(whats(&result), [held]);
    world.assert_settled("v1");
}

/// The state folder is lost in the middle of a switch: the new container serves under its trial's name, and no journal
/// knows it.
#[tokio::test(flavor = "current_thread")]
async fn a_candidate_that_no_journal_knows_is_explained_and_the_way_out_helps() {
    let world = World::with_v1().await;
    let killed = world.killed_by(
        Box::new(|call| {
            let started = call.path.ends_with("/start");
            if started { fake_docker::Fate::CrashAfter } else { fake_docker::Fate::Proceed }
        }),
        world.deploy("d-2", "v2"),
    );
    killed.await;
    assert_eq!(world.serving().as_deref(), Some("v2"), "it was cut off in the switch");
    std::fs::remove_dir_all(world.state()).unwrap();
    let report = world.deploy("d-3", "v3").await.unwrap();
    assert_eq!(report.findings().len(), 1, "{report:?}");
    let found = &report.findings()[0];
    assert!(
        found.what.contains("'status-page-web.r2', of r2 of this app, which no journal knows"),
        "{found:?}"
    );
    assert_eq!(
        found.fix,
        "docker stop status-page-web.r2; docker start status-page-web (if it is there); deploy again"
    );
    let docker = world.host().docker;
    docker.stop("status-page-web.r2", std::time::Duration::from_secs(1)).await.unwrap();
    docker.start("status-page-web").await.unwrap();
    assert_eq!(world.deploy("d-4", "v3").await.unwrap().exit().code(), 0);
    world.assert_settled("v3");
}

#[tokio::test(flavor = "current_thread")]
async fn a_port_that_is_taken_between_two_hooks_does_not_bring_live_down() {
    let world = World::with_v1().await;
    // From one address to another: the second one is free when it is looked at first.
    let own = format!("127.0.0.1:{}:8000", world.port);
    let held = HostPort::take().unwrap();
    let port = held.number();
    world.edit(&own, &format!("127.0.0.1:{port}:8000"));
    let before = world.live_hash();
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    listen(&world, port);
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!(whats(&report), [format!("port 127.0.0.1:{port} is held by 'python3' (pid 42)")]);
    assert_eq!(world.live_hash(), before, "live was neither stopped nor protected");
    assert_eq!(world.engine.containers().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn each_check_is_made() {
    type Break = fn(&mut World);
    let cases: [(&str, Break); 6] = [
        ("Docker 20.10.24 speaks API 1.26 at most, and 1.30 is needed", |w| {
            w.engine.api_versions((1, 12), (1, 26));
        }),
        (
            "has 20 MiB free, and 182 MiB are needed (the image: 3 times the 50 MiB that are to be pulled)",
            |w| {
                w.space = |_| Ok(Space { device: 1, bytes: 20 << 20, files: None });
            },
        ),
        ("has room for 7 more files", |w| {
            w.space = |_| Ok(Space { device: 1, bytes: 1 << 40, files: Some(7) });
        }),
        ("[process.web] memory is 1.0 GiB, and this machine has 512 MiB", |w| {
            w.edit("stop-timeout = \"1s\"", "stop-timeout = \"1s\"\nmemory = \"1g\"");
            with_memory(w, 512 << 10);
        }),
        ("s ahead of that of AWS", |w| w.aws.fall_behind(SignedDuration::from_mins(6))),
        ("Docker refuses to describe itself: out of order", |w| {
            w.engine.on_call(Box::new(|call| {
                let refuse = call.path.ends_with("/info");
                if refuse {
                    fake_docker::Fate::Refuse(500, "out of order".to_owned())
                } else {
                    fake_docker::Fate::Proceed
                }
            }));
        }),
    ];
    for (what, break_it) in cases {
        let mut world = World::with_v1().await;
        break_it(&mut world);
        let report = refused(&world, "d-2", "v2").await;
        assert_eq!(report.findings().len(), 1, "{what}: {report:?}");
        assert!(cause(&report).contains(what), "{what}: {report:?}");
        assert!(report.findings()[0].what.contains(what), "{what}: {report:?}");
    }
}

/// What may go well is not refused.
#[tokio::test(flavor = "current_thread")]
async fn doubts_are_notes() {
    let world = World::with_v1().await;
    world.aws.fall_behind(SignedDuration::from_mins(2));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.outcome.word(), report.findings().len()), ("deployed", 0), "{report:?}");
    assert!(
        tail::of(&report).iter().any(|line| line.starts_with("note:  the clock of this instance")),
        "{report:?}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_same_cause_is_told_once() {
    let world = World::with_v1().await;
    world.edit("[environment]", "[secret.redis]\nid = \"prod/redis\"\nformat = \"text\"\n[environment]");
    for action in ["GetAuthorizationToken", "GetSecretValue"] {
        world.aws.refuse(action, 400, "RequestTimeTooSkewed", "the time is off");
    }
    let report = refused(&world, "d-2", "v2").await;
    assert_eq!(whats(&report).len(), 1, "{report:?}");
    assert!(whats(&report)[0].starts_with("the clock of this instance is wrong"), "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_finds_the_same_and_changes_nothing() {
    let world = World::with_v1().await;
    let own = format!("127.0.0.1:{}:8000", world.port);
    world.edit(&own, "127.0.0.1:8000:8000");
    listen(&world, 8000);
    world.aws.refuse("GetSecretValue", 400, "ResourceNotFoundException", "Secrets Manager can't find it.");
    let report = refused(&world, "d-2", "v2").await;
    let (before, state) = (world.live_hash(), std::fs::read_to_string(world.journal()).unwrap());
    world.engine.forget_calls();
    let found = preview(&world.config("v2"), &world.host()).await.unwrap();
    assert_eq!(found.findings, report.findings());
    assert!(found.changes.is_none());
    // Without findings it says what would change.
    world.edits.lock().unwrap().clear();
    world.aws.allow("GetSecretValue");
    let found = preview(&world.config("v2"), &world.host()).await.unwrap();
    assert_eq!(found.findings, []);
    let changes = found.changes.unwrap().to_string();
    assert!(
        changes.contains("live     status-page-web (r1)") && changes.contains("to be pulled"),
        "{changes}"
    );
    assert!(world.engine.calls().iter().all(|call| !call.mutating));
    assert_eq!(world.live_hash(), before);
    assert_eq!(std::fs::read_to_string(world.journal()).unwrap(), state);
}

/// A run that the version before began, whose steps this one does not have.
#[tokio::test(flavor = "current_thread")]
async fn an_interrupted_run_of_an_older_version_is_undone() {
    let world = World::with_v1().await;
    // Live is stopped, and the new container is started.
    let started = World::entry("\"began\",\"step\":\"start-new web\"", "v2").await;
    world.deploy_killed(Site::AfterEntry(started), "d-2", "v2").await;
    let path = world.journal();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"began\",\"step\":\"start-new web\""), "{text}");
    let older = text.replace("\"preflight\"", "\"resolve-image\"");
    std::fs::write(&path, older).unwrap();
    let report = world.recover().await.unwrap().unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 0), "{report:?}");
    world.assert_settled("v1");
    assert_eq!(world.deploy("d-3", "v3").await.unwrap().exit().code(), 0);
    world.assert_settled("v3");
}
