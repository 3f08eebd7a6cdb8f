//! What the app needs of others: what is required and fails is a refusal before live is touched, and a verdict at the end; what
//! fails for live, too, and what is not ours, is reported.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use fake_docker::HostPort;
use handover::deploy::Request;
use handover::deploy::preview::preview;
use handover::model::Phase;
use handover::report::Report;
use handover::signal::Termination;

use crate::world::{Run, Site, World, cause};

const SOON: &str = "timeout = \"5s\"\ndeadline = \"1ms\"";

/// A backend of the app at a port of its own.
struct Backend {
    port: HostPort,
    up: Mutex<Option<TcpListener>>,
}

impl Backend {
    fn down() -> Self {
        Self { port: HostPort::take().unwrap(), up: Mutex::default() }
    }

    fn up() -> Self {
        let backend = Self::down();
        backend.start();
        backend
    }

    fn start(&self) {
        *self.up.lock().unwrap() = Some(TcpListener::bind(("127.0.0.1", self.port.number())).unwrap());
    }

    fn stop(&self) {
        self.up.lock().unwrap().take();
    }

    /// From now on it is checked, with these further keys.
    fn is_checked(&self, world: &World, keys: &str) {
        let port = self.port.number();
        let check = format!("[check.backend]\ntcp = \"127.0.0.1:{port}\"\n{keys}\n[process.web]");
        world.edit("[process.web]", &check);
    }
}

fn required() -> String {
    format!("required = true\n{SOON}")
}

async fn deployed(world: &World, id: &str, tag: &str) -> Report {
    let report = world.deploy(id, tag).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("deployed", 0), "{report:?}");
    world.assert_settled(tag);
    report
}

fn note_of(report: &Report) -> &str {
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    note
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_required_and_down_is_a_refusal_before_live_is_touched() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(&world, &required());
    let before = world.live_hash();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    let (why, port) = (cause(&report), backend.port.number());
    assert!(why.contains(&format!("check.backend: connect: 127.0.0.1:{port}: Connection refused")), "{why}");
    assert!(why.contains("nothing listens"), "{why}");
    assert_eq!(world.live_hash(), before);
    backend.start();
    deployed(&world, "d-3", "v2").await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_fails_for_live_too_is_reported() {
    let (world, backend) = (World::new().await, Backend::up());
    backend.is_checked(&world, &required());
    deployed(&world, "d-1", "v1").await;
    backend.stop();
    let report = deployed(&world, "d-2", "v2").await;
    assert!(note_of(&report).starts_with("it fails for the live release, too: check.backend: connect: "));
    // And where nothing changes, it is what serves that lacks it.
    let report = world.deploy("d-3", "v2").await.unwrap();
    assert_eq!(report.outcome.word(), "unchanged", "{report:?}");
    assert!(note_of(&report).contains("check.backend: connect: "));
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_ours_is_reported() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(&world, SOON);
    let report = deployed(&world, "d-2", "v2").await;
    assert!(note_of(&report).starts_with("not required: check.backend: connect: "));
}

#[tokio::test(flavor = "current_thread")]
async fn on_a_first_boot_it_is_waited_for_and_then_reported() {
    let (world, backend) = (World::new().await, Backend::down());
    backend.is_checked(&world, &required());
    let report = deployed(&world, "d-1", "v1").await;
    assert!(note_of(&report).starts_with("no release serves yet: check.backend: connect: "));
}

#[tokio::test(flavor = "current_thread")]
async fn what_comes_up_before_the_deadline_is_waited_for() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(&world, "required = true\ndeadline = \"1m\"");
    let comes_up = async {
        // It was asked once, at least.
        while !world.heard.all().contains("check what the app needs of others") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        backend.start();
    };
    let (report, ()) = tokio::join!(deployed(&world, "d-2", "v2"), comes_up);
    assert_eq!(report.notes, [""; 0]);
    let heard = world.heard.all();
    assert_eq!(heard.matches("check.backend: fine").count(), 2 * 2, "told and logged, twice:\n{heard}");
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_is_asked_to_stop_does_not_wait_for_the_deadline() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(&world, "required = true\ndeadline = \"24h\"");
    let (tell, asked) = tokio::sync::watch::channel(false);
    let stopped = async {
        while !world.heard.all().contains("check what the app needs of others") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tell.send(true).unwrap();
    };
    let request = Request { termination: Termination::when(asked), ..world.request("d-2", "v2") };
    let (report, ()) = tokio::join!(world.run(request), stopped);
    assert_eq!(report.unwrap().outcome.word(), "reverted");
    world.assert_settled("v1");
}

/// A timeout that leaves nothing for waiting leaves one attempt.
#[tokio::test(flavor = "current_thread")]
async fn the_time_for_the_switch_is_not_waited_away() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(&world, "required = true\ndeadline = \"24h\"");
    let timeout = world.config("v2").settings.shortest_switch() + Duration::from_secs(1);
    let clock = handover::deploy::clock::Clock::until(std::time::Instant::now(), timeout);
    let report = world.run(Request { clock, ..world.request("d-2", "v2") }).await.unwrap();
    assert!(cause(&report).contains("check.backend: connect"), "{report:?}");
    world.assert_settled("v1");
}

/// The old release was made when nobody asked for it.
#[tokio::test(flavor = "current_thread")]
async fn what_goes_down_during_the_switch_is_a_verdict() {
    let (world, backend) = (World::with_v1().await, Backend::up());
    backend.is_checked(&world, &required());
    assert_eq!(world.hook("d-2", "v2", Phase::Settle).await.unwrap().exit().code(), 0);
    backend.stop();
    let report = world.hook("d-2", "v2", Phase::Finish).await.unwrap();
    assert_eq!((report.outcome.word(), report.exit().code()), ("reverted", 1), "{report:?}");
    assert!(cause(&report).contains("check.backend: connect"), "{report:?}");
    world.assert_settled("v1");
}

/// Wherever it is killed: with its checks, a run comes to one of its two ends.
#[tokio::test(flavor = "current_thread")]
async fn a_run_with_checks_settles_wherever_it_is_killed() {
    let backend = Backend::up();
    let with_checks = async || {
        let world = World::with_v1().await;
        backend.is_checked(&world, &required());
        world
    };
    let world = with_checks().await;
    deployed(&world, "d-2", "v2").await;
    let sites: Vec<Site> = Site::all(&world.engine.calls(), world.entries()).collect();
    let mut killed = 0;
    // The matrix has all of them: here it is about the steps in between.
    for site in sites.into_iter().step_by(3) {
        let world = with_checks().await;
        killed += usize::from(matches!(world.deploy_killed(site, "d-2", "v2").await, Run::Killed));
        world.recover().await.unwrap();
        let serving = world.serving().unwrap_or_else(|| panic!("nothing serves after {site:?}"));
        world.assert_settled(&serving);
    }
    assert!(killed > 15, "{killed}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_secret_that_lacks_what_a_check_needs_is_found_at_once() {
    let world = World::with_v1().await;
    let check = "[check.database]\npostgres = { secret = \"database\", dbname = \"x\", host = \"other\" }\n";
    world.edit("[process.web]", &format!("{check}[process.web]"));
    world.engine.forget_calls();
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert!(cause(&report).contains("check.database: 'host' clashes with secret 'database'"), "{report:?}");
    assert!(world.engine.calls().iter().all(|call| !call.mutating));
}

#[tokio::test(flavor = "current_thread")]
async fn plan_makes_them_too() {
    let (world, backend) = (World::with_v1().await, Backend::down());
    backend.is_checked(
        &world,
        &format!("required = true\n{SOON}\n[check.inside]\nfrom = \"container\"\ndns = \"x\""),
    );
    let seen = preview(&world.config("v2"), &world.host()).await.unwrap();
    let [finding] = seen.findings.as_slice() else { panic!("{:?}", seen.findings) };
    assert!(finding.what.starts_with("check.backend: connect: "), "{finding}");
    assert!(seen.changes.is_none() && seen.notes.iter().any(|note| note.starts_with("check.inside is made")));
    backend.start();
    let seen = preview(&world.config("v2"), &world.host()).await.unwrap();
    let steps = seen.changes.unwrap().to_string();
    assert!(steps.contains("\n  check what the app needs of others"), "{steps}");
}
