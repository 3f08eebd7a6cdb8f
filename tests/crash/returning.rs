//! A revision that comes back with a tag that nobody has pinned.

use fake_docker::Image;
use handover::deploy::{DeployError, Request};
use handover::model::{ImageName, Revision};
use handover::report::Report;
use handover::state::{Record, Releases};

use crate::world::{REPOSITORY, World, cause};

/// One hook's deployment of the bundle with this etag, which says `v1`.
async fn deploy(world: &World, id: &str, etag: &str) -> Result<Report, DeployError> {
    let revision = Revision {
        bucket: Some("releases".to_owned()),
        key: Some("status-page.zip".to_owned()),
        etag: Some(etag.to_owned()),
        ..Revision::default()
    };
    world.run(Request { revision, ..world.request(id, "v1") }).await
}

async fn good(world: &World, id: &str, etag: &str) -> Report {
    let report = deploy(world, id, etag).await.unwrap();
    assert_eq!(report.exit().code(), 0, "{report:?}");
    report
}

fn means(world: &World, tag: &str) {
    world.engine.retag(REPOSITORY, "v1", &Image::digest_of(tag));
}

fn last(world: &World) -> Record {
    Releases::of(&world.state()).records().pop().unwrap()
}

fn digest_of_last(world: &World) -> String {
    last(world).images[&ImageName::default_image()].digest.to_string()
}

fn has_note(report: &Report, words: &str) -> bool {
    report.notes.iter().any(|note| note.contains(words))
}

/// As the first users were hurt: `latest` is bad, and `CodeDeploy`'s rollback to the former revision pulls it once more.
#[tokio::test(flavor = "current_thread")]
async fn a_former_revision_gets_the_digest_that_it_had() {
    let world = World::new().await;
    good(&world, "d-1", "a").await;
    means(&world, "crash");
    let refused = deploy(&world, "d-2", "b").await.unwrap();
    assert_eq!(refused.exit().code(), 1, "{refused:?}");
    world.aws.take_calls();
    let report = good(&world, "d-3", "a").await;
    assert!(!world.aws.take_calls().contains(&"GetDeployment".to_owned()), "nobody has to be asked");
    assert!(
        has_note(&report, "was deployed here before, as r1: its tags mean what they meant then"),
        "{report:?}"
    );
    assert_eq!(report.outcome.word(), "unchanged");
    world.assert_settled("v1");
    // A new revision is none that comes back.
    means(&world, "v3");
    good(&world, "d-4", "c").await;
    assert_eq!(digest_of_last(&world), Image::digest_of("v3"));
}

/// The same bundle each time, as many pipelines do.
#[tokio::test(flavor = "current_thread")]
async fn the_same_revision_is_a_rollback_where_codedeploy_says_so() {
    for (creator, rolls_back) in [("codeDeployRollback", true), ("user", false), ("autoscaling", false)] {
        let world = World::new().await;
        good(&world, "d-1", "a").await;
        means(&world, "crash");
        assert_eq!(deploy(&world, "d-2", "a").await.unwrap().exit().code(), 1);
        world.aws.created_by(creator);
        world.aws.take_calls();
        world.aws.take_asked();
        let report = deploy(&world, "d-3", "a").await.unwrap();
        assert!(world.aws.take_calls().contains(&"GetDeployment".to_owned()));
        assert_eq!(world.aws.take_asked()[0]["deploymentId"], "d-3");
        if rolls_back {
            assert_eq!(report.exit().code(), 0, "{creator}: {report:?}");
            assert!(has_note(&report, "CodeDeploy rolls back to it"), "{report:?}");
        } else {
            // Somebody tries again; that it failed before is said.
            assert_eq!(report.exit().code(), 1, "{creator}: {report:?}");
            assert!(has_note(&report, "were refused here at"), "{report:?}");
            assert!(!has_note(&report, "rolls back"), "{report:?}");
        }
        world.assert_settled("v1");
    }
}

/// The instances of a fleet that never saw the bad release: `CodeDeploy` rolls back on them, too.
#[tokio::test(flavor = "current_thread")]
async fn a_rollback_of_what_was_never_here_pulls_nothing_new() {
    let world = World::new().await;
    good(&world, "d-1", "a").await;
    means(&world, "crash");
    world.aws.created_by("codeDeployRollback");
    let report = good(&world, "d-2", "a").await;
    assert_eq!(report.outcome.word(), "unchanged");
    assert!(has_note(&report, "CodeDeploy rolls back to it"), "{report:?}");
    // Where it cannot be asked, the tag counts, as for anybody who deploys the same once more.
    world.aws.refuse("GetDeployment", 400, "AccessDeniedException", "not authorized to perform this");
    means(&world, "v3");
    let report = good(&world, "d-3", "a").await;
    assert_eq!(digest_of_last(&world), Image::digest_of("v3"));
    assert!(report.notes.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn where_codedeploy_cannot_be_asked_the_tag_counts_and_it_is_said() {
    let world = World::new().await;
    good(&world, "d-1", "a").await;
    means(&world, "crash");
    assert_eq!(deploy(&world, "d-2", "a").await.unwrap().exit().code(), 1);
    let denied = "User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform: codedeploy:GetDeployment";
    world.aws.refuse("GetDeployment", 400, "AccessDeniedException", denied);
    let report = deploy(&world, "d-3", "a").await.unwrap();
    assert_eq!(report.exit().code(), 1, "{report:?}");
    for words in
        ["was refused here a while ago, as r2", "cannot be asked", "codedeploy:GetDeployment", "handover pin"]
    {
        assert!(has_note(&report, words), "{words}: {report:?}");
    }
    assert!(!cause(&report).is_empty());
    world.assert_settled("v1");
    // With a tag that was mended meanwhile it is as good as any.
    means(&world, "v3");
    assert_eq!(good(&world, "d-4", "a").await.outcome.word(), "deployed");
    assert_eq!(digest_of_last(&world), Image::digest_of("v3"));
}

/// What the tags mean is in the journal: a hook that was killed before it knew the images goes on with the same ones.
#[tokio::test(flavor = "current_thread")]
async fn a_killed_hook_goes_on_with_what_was_meant() {
    let world = World::new().await;
    good(&world, "d-1", "a").await;
    means(&world, "v3");
    good(&world, "d-2", "b").await;
    let again = async |world: &World| deploy(world, "d-3", "a").await;
    let run = world.killed(crate::world::Site::BeforeCall(1), again(&world)).await;
    assert!(matches!(run, crate::world::Run::Killed));
    let report = good(&world, "d-3", "a").await;
    assert_eq!(report.outcome.word(), "deployed");
    assert_eq!(digest_of_last(&world), Image::digest_of("v1"));
    world.assert_settled("v1");
}
