//! Services of a disposable group: made once, left alone by deployments, and on the network of every release that has one.

use std::time::Duration;

use fake_docker::{Behaviour, ContainerView, Image, LogLine, Race, Stream};
use handover::deploy::preview::preview;
use handover::report::tail;

use crate::kills::{Then, killed_then, tell_only_other_panics};
use crate::origin::Origin;
use crate::world::{REPOSITORY, SECRET, Site, World, cause};

pub const NAME: &str = "status-page-service-database";

const SERVICE: &str = r#"[image.side]
repository = "REPOSITORY"
tag = "v4"
[service.database]
image = "side"
volumes = ["status-page-data:/data"]
environment = { PASSWORD = { secret = "database.password" } }
health = { tcp = true, port = 8000, interval = "1ms", successes = 2, min-healthy = "0s" }
[process.web]
"#;

/// Nothing is deployed yet.
async fn nothing_yet() -> World {
    let world = World::new().await;
    world.edit("app = \"status-page\"\n", "app = \"status-page\"\ndisposable = true\n");
    world.edit("[process.web]\n", &SERVICE.replace("REPOSITORY", REPOSITORY));
    world
}

/// With `v1` deployed.
pub async fn with_v1() -> World {
    let world = nothing_yet().await;
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    world.engine.forget_calls();
    world
}

fn service(world: &World) -> ContainerView {
    world.engine.container(NAME).unwrap_or_else(|| panic!("no service: {:?}", world.engine.containers()))
}

/// The release of `tag` serves, the service runs and is found by its name on every network there is.
fn assert_settled(world: &World, tag: &str) {
    assert_eq!(world.serving().as_deref(), Some(tag), "{:?}", world.engine.containers());
    let service = service(world);
    assert!(service.running && service.restart_policy == "unless-stopped", "{service:?}");
    let mut networks = world.engine.networks();
    networks.sort();
    let on: Vec<String> = service.others.keys().cloned().collect();
    assert_eq!(on, networks, "{:?}", world.engine.containers());
    assert!(service.others.values().all(|names| names == &["database"]), "{:?}", service.others);
    for other in world.engine.containers() {
        if other.id != service.id && other.name != "status-page-web" {
            assert!(!other.running && other.restart_policy == "no", "{other:?}");
        }
    }
    world.engine.assert_no_complaints();
}

#[tokio::test(flavor = "current_thread")]
async fn it_is_made_once_and_left_alone_by_the_next_deployments() {
    let world = nothing_yet().await;
    let report = world.deploy("d-1", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(tail::of(&report).join("\n").contains("'database' was made, and stays"), "{report:?}");
    assert_settled(&world, "v1");
    let first = service(&world);
    assert_eq!((first.labels["handover.kind"].as_str(), world.engine.networks().len()), ("service", 1));
    assert!(first.env.contains(&format!("PASSWORD={SECRET}")), "{first:?}");
    assert!(!first.env.iter().any(|pair| pair.starts_with("DATABASE_HOST=")), "that is the app's: {first:?}");
    for (n, tag) in ["v2", "v3", "v1", "v2", "v3"].into_iter().enumerate() {
        let report = world.deploy(&format!("d-{}", n + 2), tag).await.unwrap();
        assert_eq!((report.exit().code(), &report.notes), (0, &vec![]), "{report:?}");
        assert_settled(&world, tag);
    }
    let last = service(&world);
    assert_eq!((last.id, last.started_at), (first.id, first.started_at));
    // Old releases went, with their networks; what the service is made of did not.
    assert_eq!(world.engine.networks().len(), 3);
    assert!(world.engine.images().iter().any(|image| image.contains(&Image::digest_of("v4"))));
    let report = world.deploy("d-9", "v3").await.unwrap();
    assert_eq!(report.outcome.word(), "unchanged", "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn it_stays_when_the_first_deployment_is_refused() {
    let world = nothing_yet().await;
    let report = world.deploy("d-1", "crash").await.unwrap();
    assert_ne!(report.exit().code(), 0, "{report:?}");
    assert!(tail::of(&report).join("\n").contains("'database' was made, and stays"), "{report:?}");
    let made = service(&world);
    assert!(made.running && made.others.is_empty() && world.engine.networks().is_empty(), "{made:?}");
    let report = world.deploy("d-2", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, "v1");
    assert_eq!(service(&world).id, made.id);
}

#[tokio::test(flavor = "current_thread")]
async fn a_refused_update_leaves_it_to_the_old_release() {
    let world = with_v1().await;
    let before = service(&world);
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert_settled(&world, "v1");
    assert_eq!(service(&world), before);
    assert_eq!(world.engine.networks(), ["status-page.r1"]);
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_does_not_become_healthy_refuses_the_deployment_with_what_it_printed() {
    let world = nothing_yet().await;
    let mut image = Image::new(REPOSITORY, "v4", &Image::digest_of("v4")).behaving(Behaviour::NeverListens);
    let line = format!("FATAL: no such role, password {SECRET}");
    image.logs = vec![LogLine { stream: Stream::Stderr, bytes: line.into_bytes() }];
    world.engine.forget_image(REPOSITORY, &image.digest);
    world.engine.add_image(image.guarded("AWS", "canary-token"));
    world.edit("successes = 2, min-healthy", "deadline = \"500ms\", timeout = \"100ms\", min-healthy");
    let report = world.deploy("d-1", "v1").await;
    world.assert_no_secret(&report);
    let report = report.unwrap();
    assert_ne!(report.exit().code(), 0, "{report:?}");
    let told = tail::of(&report).join("\n");
    assert!(cause(&report).contains(&format!("container '{NAME}' is not healthy")), "{told}");
    assert!(cause(&report).contains(&format!("docker rm -f {NAME}")), "{told}");
    assert!(told.contains("FATAL: no such role, password ***"), "{told}");
    assert!(world.engine.container("status-page-web").is_none() && world.engine.networks().is_empty());
    assert!(service(&world).running, "somebody may want to look at it");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_somebody_has_stopped_is_started_again() {
    let world = with_v1().await;
    world.host().docker.stop(NAME, Duration::from_secs(1)).await.unwrap();
    let report = world.deploy("d-2", "v1").await.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (0, "deployed"), "{report:?}");
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_somebody_has_removed_is_made_again_for_the_old_release_too() {
    let world = with_v1().await;
    let docker = world.host().docker;
    docker.kill(NAME).await.unwrap();
    docker.remove(NAME).await.unwrap();
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    assert_settled(&world, "v1");
    assert_eq!(service(&world).others.len(), 1, "the network of what serves");
}

#[tokio::test(flavor = "current_thread")]
async fn a_changed_configuration_is_a_note_and_nothing_else() {
    let world = with_v1().await;
    let before = service(&world);
    world.edit("environment = { PASSWORD", "environment = { LEVEL = \"debug\", PASSWORD");
    let report = world.deploy("d-2", "v1").await.unwrap();
    assert_eq!(report.outcome.word(), "unchanged", "{report:?}");
    let note = report.notes.join("\n");
    assert!(note.contains("left as it was made") && note.contains(&format!("docker rm -f {NAME}")), "{note}");
    assert_eq!(service(&world), before);

    // Whoever follows it gets it made anew.
    let docker = world.host().docker;
    docker.kill(NAME).await.unwrap();
    docker.remove(NAME).await.unwrap();
    let report = world.deploy("d-3", "v1").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(!report.notes.join("\n").contains("left as it was made"), "{report:?}");
    assert!(service(&world).env.contains(&"LEVEL=debug".to_owned()));
    assert_settled(&world, "v1");
    assert!(world.engine.volumes().contains(&"status-page-data".to_owned()));
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_left_the_configuration_runs_on_and_is_told() {
    let world = with_v1().await;
    let before = service(&world);
    world.edit(&SERVICE.replace("REPOSITORY", REPOSITORY), "[process.web]\n");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert!(report.notes.join("\n").contains("no longer has"), "{report:?}");
    let status = handover::status::of_all(&world.host()).await.unwrap();
    let told = handover::status::text(&status);
    assert!(status[0].serving && !status[0].services[0].configured, "{status:?}");
    assert!(told.contains(&format!("service database: {NAME}, running since")), "{told}");
    assert!(told.contains(&format!("docker rm -f {NAME}, when nobody needs it")), "{told}");
    let after = service(&world);
    assert_eq!((after.id, after.running), (before.id, true));
    world.engine.assert_no_complaints();
}

#[tokio::test(flavor = "current_thread")]
async fn a_network_that_is_made_again_has_it() {
    let world = with_v1().await;
    // Somebody's clean-up takes what does not run, and then the networks that nobody is on.
    let docker = world.host().docker;
    docker.stop(NAME, Duration::from_secs(1)).await.unwrap();
    docker.stop("status-page-web", Duration::from_secs(1)).await.unwrap();
    world.engine.lose_network("status-page.r1");
    let report = world.deploy("d-2", "crash").await.unwrap();
    assert_eq!(report.serving.len(), 1, "{report:?}");
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    assert_settled(&world, "v2");
}

#[tokio::test(flavor = "current_thread")]
async fn the_old_network_is_made_again_with_it_for_the_way_back() {
    let world = with_v1().await;
    let pruned = |call: &fake_docker::Call| {
        if call.path.ends_with("/stop") { fake_docker::Fate::CrashAfter } else { fake_docker::Fate::Proceed }
    };
    world.killed_by(Box::new(pruned), world.deploy("d-2", "v2")).await;
    let docker = world.host().docker;
    docker.disconnect(NAME, "status-page.r1").await.unwrap();
    world.engine.lose_network("status-page.r1");
    world.recover().await.unwrap();
    assert_settled(&world, "v1");
}

#[tokio::test(flavor = "current_thread")]
async fn somebody_elses_container_of_that_name_is_a_finding() {
    let world = World::with_v1().await;
    world.host().docker.rename("status-page-web", NAME).await.unwrap();
    world.edit("app = \"status-page\"\n", "app = \"status-page\"\ndisposable = true\n");
    world.edit("[process.web]\n", &SERVICE.replace("REPOSITORY", REPOSITORY));
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert!(cause(&report).contains("somebody else's container has the name that service"), "{report:?}");
    assert_eq!(world.serving().as_deref(), Some("v1"));
}

/// Its server still wants the old password, and the app is given the new one.
#[tokio::test(flavor = "current_thread")]
async fn one_whose_secret_has_changed_since_it_was_made_is_named() {
    let world = with_v1().await;
    let made = service(&world);
    world.aws.set_secret("{\"username\":\"sp\",\"password\":\"another-canary\"}");
    let report = world.deploy("d-2", "v2").await;
    world.assert_no_secret(&report);
    let report = report.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    for words in [
        "service 'database' was made with another secret than it has now (PASSWORD)",
        "ALTER ROLE",
        "docker rm -f status-page-service-database && docker volume rm status-page-data",
    ] {
        assert!(note.contains(words), "{note}");
    }
    assert!(!note.contains("canary"), "{note}");
    assert_eq!(service(&world).id, made.id);
    // Made anew, it has it, and nothing more is said.
    let docker = world.host().docker;
    docker.kill(NAME).await.unwrap();
    docker.remove(NAME).await.unwrap();
    let report = world.deploy("d-3", "v3").await.unwrap();
    assert!(report.notes.iter().all(|note| !note.contains("another secret")), "{:?}", report.notes);
    let report = world.deploy("d-4", "v2").await.unwrap();
    assert_eq!(report.notes, [""; 0]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_shows_it_and_touches_nothing() {
    let world = nothing_yet().await;
    let plan = preview(&world.config("v1"), &world.host()).await.unwrap();
    let shown = plan.changes.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(shown.contains("database: see that the service runs"), "{plan:?}");
    assert!(world.engine.containers().is_empty());
}

async fn killed_anywhere(first: bool, tag: &str, ends_with: Option<&str>) {
    tell_only_other_panics();
    let world = if first { nothing_yet().await } else { with_v1().await };
    world.deploy("d-2", tag).await.unwrap();
    let sites: Vec<Site> = Site::all(&world.engine.calls(), world.entries()).collect();
    let thens = [Then::SameId, Then::Recover, Then::Boot];
    let mut origin = Origin::of(if first { nothing_yet().await } else { with_v1().await });
    for (n, site) in sites.into_iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        let world = origin.world();
        let before = world.engine.container(NAME);
        let then = thens[(n / 3) % thens.len()];
        if matches!(then, Then::SameId) || !first {
            killed_then(world, site, "d-2", tag, then, |_| {}).await;
        } else {
            world.deploy_killed(site, "d-2", tag).await;
            world.engine.power_cut();
            world.engine.boot(&Race::OldestFirst).unwrap();
            world.recover().await.unwrap();
        }
        if let Some(before) = before {
            assert_eq!(service(world).id, before.id);
        }
        // Whatever it ended with, the next deployment finds everything as it should be.
        match (ends_with, world.serving()) {
            (Some("v1"), _) => assert_settled(world, "v1"),
            (_, Some(serving)) => assert_settled(world, &serving),
            (_, None) => assert!(world.engine.networks().is_empty(), "{:?}", world.engine.networks()),
        }
        let report = world.deploy("d-3", "v3").await.unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
        assert_settled(world, "v3");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn killed_in_a_first_deployment() {
    killed_anywhere(true, "v1", None).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_in_a_good_update() {
    killed_anywhere(false, "v2", None).await;
}

#[tokio::test(flavor = "current_thread")]
async fn killed_in_a_refused_update() {
    killed_anywhere(false, "crash", Some("v1")).await;
}
