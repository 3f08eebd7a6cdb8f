//! Secrets that change between deployments: live is made again with them, and with nothing else that is new.

use fake_docker::Image;
use handover::deploy::refresh::{Changed, Look, RefreshError, look};
use handover::deploy::rollback::{RollbackError, Wanted, choose};
use handover::deploy::{DeployError, Request};
use handover::model::{Explain as _, Phase, ReleaseNumber};
use handover::report::Report;
use handover::state::{Record, Releases, Verdict};

use crate::kills::tell_only_other_panics;
use crate::origin::Origin;
use crate::rollback::back;
use crate::world::{REPOSITORY, Run, SECRET, Site, World, cause};

const ROTATED: &str = "R0tated-canary";

fn rotate(world: &World, password: &str) {
    let secret = serde_json::json!({ "username": "sp", "password": password, "port": 5432 });
    world.aws.set_secret(&secret.to_string());
}

async fn looked(world: &World) -> Result<Look, RefreshError> {
    look(&"status-page".parse().unwrap(), &world.host()).await
}

async fn changed(world: &World) -> Changed {
    match looked(world).await.unwrap() {
        Look::Changed(changed) => *changed,
        Look::Same { .. } => panic!("nothing has changed"),
    }
}

fn request(world: &World, id: &str, changed: Changed) -> Request {
    Request {
        config: changed.config,
        group: changed.group,
        rollback: Some(changed.rollback),
        command: "refresh".to_owned(),
        hook: false,
        ..world.request(id, "v1")
    }
}

async fn refresh(world: &World, id: &str) -> Result<Report, DeployError> {
    let changed = changed(world).await;
    world.run(request(world, id, changed)).await
}

fn records(world: &World) -> Vec<Record> {
    Releases::of(&world.state()).records()
}

fn password_of_live(world: &World) -> String {
    let live = world.engine.container("status-page-web").unwrap();
    let mut variables = live.env.iter();
    variables.find_map(|variable| variable.strip_prefix("DATABASE_PASSWORD=")).unwrap().to_owned()
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_happens_as_long_as_nothing_has_changed() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    world.aws.take_calls();
    let look = looked(&world).await.unwrap();
    assert!(matches!(look, Look::Same { live: ReleaseNumber(1), asked: 1 }), "{look:?}");
    assert_eq!(world.aws.take_calls(), ["GetSecretValue"]);
    assert_eq!(world.live_hash(), before);
}

#[tokio::test(flavor = "current_thread")]
async fn a_rotated_secret_is_handed_over_to_and_nothing_else_that_is_new() {
    let world = World::with_v1().await;
    rotate(&world, ROTATED);
    world.engine.retag(REPOSITORY, "v1", &Image::digest_of("v3"));
    assert!(changed(&world).await.secrets.into_keys().eq(["database"]));
    let result = refresh(&world, "op-1").await;
    world.assert_no_secret(&result);
    let report = result.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (0, "deployed"), "{report:?}");
    world.assert_settled("v1");
    assert_eq!(password_of_live(&world), ROTATED);
    let record = records(&world).pop().unwrap();
    assert!(record.refresh && record.rollback_to == Some(ReleaseNumber(1)), "{record:?}");
    assert!(matches!(looked(&world).await.unwrap(), Look::Same { live: ReleaseNumber(2), .. }));
}

/// What served before a refresh is the same code with a dead password: it is no way back, and takes none's place.
#[tokio::test(flavor = "current_thread")]
async fn however_often_a_secret_rotates_the_ways_back_stay() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    for n in 1..=4 {
        rotate(&world, &format!("{ROTATED}-{n}"));
        refresh(&world, &format!("op-{n}")).await.unwrap();
        world.assert_settled("v2");
        assert_eq!(password_of_live(&world), format!("{ROTATED}-{n}"));
        let kept: Vec<u64> = records(&world).iter().map(|record| record.release.0).collect();
        assert_eq!(kept, [1, 2 + n], "the first release, and live");
    }
    let app = "status-page".parse().unwrap();
    let chosen = choose(&app, &world.host(), Wanted::default()).await.unwrap();
    assert_eq!(chosen.rollback.to, ReleaseNumber(1), "not what live was before its refresh");
}

/// Somebody has gone back from `v2`, and then a secret has rotated: `v2` is no earlier release than what is live.
#[tokio::test(flavor = "current_thread")]
async fn who_has_gone_back_before_a_refresh_does_not_come_out_where_it_began() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    let app = "status-page".parse().unwrap();
    back(&world, "op-1", Wanted::default()).await;
    world.assert_settled("v1");
    rotate(&world, ROTATED);
    refresh(&world, "op-2").await.unwrap();
    world.assert_settled("v1");
    let error = choose(&app, &world.host(), Wanted::default()).await.unwrap_err();
    assert!(matches!(error, RollbackError::NothingEarlier { .. }), "{error}");
}

/// A deployment came and went while AWS was asked.
#[tokio::test(flavor = "current_thread")]
async fn what_is_not_live_any_more_is_not_made_again() {
    let world = World::with_v1().await;
    rotate(&world, ROTATED);
    let changed = changed(&world).await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    let error = world.run(request(&world, "op-1", changed)).await.unwrap_err();
    assert!(error.to_string().contains("r1 is not live any more"), "{error}");
    world.assert_settled("v2");
}

#[tokio::test(flavor = "current_thread")]
async fn a_secret_that_is_denied_leaves_alone_what_runs() {
    let world = World::with_v1().await;
    let before = world.live_hash();
    rotate(&world, ROTATED);
    let denied = "User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform this";
    let changed = changed(&world).await;
    world.aws.refuse("GetSecretValue", 400, "AccessDeniedException", denied);
    let error = looked(&world).await.unwrap_err();
    assert!(error.to_string().contains("secretsmanager:GetSecretValue"), "{error}");
    // And where that comes between the look and the run: nothing that is kept stands in for it.
    let report = world.run(request(&world, "op-1", changed)).await.unwrap();
    assert_eq!((report.exit().code(), report.outcome.word()), (1, "reverted"), "{report:?}");
    assert!(cause(&report).contains("secretsmanager:GetSecretValue"), "{report:?}");
    assert_eq!(world.live_hash(), before);
    assert_eq!(password_of_live(&world), SECRET);
}

#[tokio::test(flavor = "current_thread")]
async fn a_deployment_that_waits_for_its_next_hook_is_not_displaced() {
    let world = World::with_v1().await;
    rotate(&world, ROTATED);
    let changed = changed(&world).await;
    world.hook("d-2", "v2", Phase::Prepare).await.unwrap();
    let error = looked(&world).await.unwrap_err();
    assert!(error.to_string().contains("deployment d-2 of status-page is not over"), "{error}");
    let error = world.run(request(&world, "op-1", changed)).await.unwrap_err();
    assert!(error.to_string().contains("deployment d-2 is not over"), "{error}");
    assert!(error.fix().unwrap().contains("recover --abandon"));
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    world.assert_settled("v2");
    assert_eq!(password_of_live(&world), ROTATED);
}

#[tokio::test(flavor = "current_thread")]
async fn where_nothing_good_is_live_there_is_nothing_to_refresh() {
    let world = World::new().await;
    let error = looked(&world).await.unwrap_err();
    assert!(error.to_string().contains("no good release of status-page is live"), "{error}");
    assert_eq!(world.deploy("d-1", "v1").await.unwrap().exit().code(), 0);
    std::fs::remove_file(world.state().join("releases/1/handover.toml")).unwrap();
    rotate(&world, ROTATED);
    let error = looked(&world).await.unwrap_err();
    assert!(error.to_string().contains("the configuration of status-page r1 is lost"), "{error}");
}

/// A release that was gone back to without AWS has secrets of no known version: they are looked at as soon as AWS answers.
#[tokio::test(flavor = "current_thread")]
async fn what_was_kept_counts_as_changed() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    world.aws.refuse("GetSecretValue", 400, "AccessDeniedException", "not authorized to perform this");
    back(&world, "op-1", Wanted::default()).await;
    world.aws.allow("GetSecretValue");
    assert_eq!(refresh(&world, "op-2").await.unwrap().outcome.word(), "deployed");
    world.assert_settled("v1");
    let last = records(&world).pop().unwrap();
    assert!(last.kept_secrets.is_empty() && last.secret_versions.len() == 1, "{last:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn killed_at_every_step() {
    tell_only_other_panics();
    let undisturbed = World::with_v1().await;
    rotate(&undisturbed, ROTATED);
    let wanted = changed(&undisturbed).await;
    undisturbed.engine.forget_calls();
    undisturbed.run(request(&undisturbed, "op-1", wanted)).await.unwrap();
    let (calls, entries) = (undisturbed.engine.calls(), undisturbed.entries());
    let (mut origin, mut killed) = (Origin::of(World::with_v1().await), 0);
    for site in Site::all(&calls, entries) {
        let world = origin.world();
        rotate(world, ROTATED);
        let run = world.killed(site, async { refresh(world, "op-1").await }).await;
        killed += usize::from(matches!(run, Run::Killed));
        world.recover().await.unwrap();
        world.assert_settled("v1");
        let refreshed = password_of_live(world) == ROTATED;
        let good = records(world).into_iter().any(|record| record.refresh && record.verdict == Verdict::Good);
        assert_eq!(refreshed, good, "{site:?}");
        // Whoever looks next time comes to the same end.
        if !refreshed {
            assert_eq!(refresh(world, "op-2").await.unwrap().exit().code(), 0, "{site:?}");
            assert_eq!(password_of_live(world), ROTATED);
        }
    }
    assert!(killed > 70, "only {killed} sites were reached");
    origin.world();
}
