//! Crashes and refusals at single calls.

use std::time::Duration;

use crate::common::{bench, body, client, create, image, refusal, run, start, stocked};
use bollard::models::RestartPolicyNameEnum as Policy;
use fake_docker::{Call, Fate};

/// Lets the first mutating call on a path that ends so have this fate.
fn at(ending: &'static str, fate: Fate) -> Box<dyn Fn(&Call) -> Fate + Send> {
    Box::new(
        move |call| {
            if call.mutating && call.path.ends_with(ending) { fate.clone() } else { Fate::Proceed }
        },
    )
}

#[tokio::test]
async fn a_crash_before_leaves_no_effect_and_one_after_does() {
    for (fate, expected) in [(Fate::CrashBefore, "created"), (Fate::CrashAfter, "running")] {
        let bench = stocked(image()).await;
        create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
        bench.engine.on_call(at("/start", fate));
        tokio::select! {
            () = bench.engine.crashed() => {}
            outcome = start(&bench.docker, "web") => panic!("an answer came: {outcome:?}"),
        }
        assert_eq!(bench.engine.container("web").unwrap().status, expected);
        assert_eq!(bench.engine.calls().last().unwrap().status, None);
        bench.engine.let_all_proceed();
        assert_eq!(client(&bench.engine).inspect_container("web", None).await.unwrap().name.unwrap(), "/web");
    }
}

#[tokio::test]
async fn a_dead_client_does_nothing_more() {
    let bench = stocked(image()).await;
    create(&bench.docker, "one", body(Policy::NO, None)).await.unwrap();
    create(&bench.docker, "two", body(Policy::NO, None)).await.unwrap();
    bench.engine.on_call(at("/one/start", Fate::CrashBefore));
    let both = async {
        let _ = tokio::join!(start(&bench.docker, "one"), async {
            bench.engine.crashed().await;
            start(&bench.docker, "two").await
        });
    };
    assert!(tokio::time::timeout(Duration::from_millis(300), both).await.is_err());
    assert_eq!(bench.engine.container("two").unwrap().status, "created");
    bench.engine.next_client();
    start(&client(&bench.engine), "two").await.unwrap();
}

#[tokio::test]
async fn a_refused_call_has_no_effect() {
    let bench = stocked(image()).await;
    create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
    bench.engine.on_call(at("/start", Fate::Refuse(500, "no".to_owned())));
    assert_eq!(refusal(start(&bench.docker, "web").await), (500, "no".to_owned()));
    assert_eq!(bench.engine.container("web").unwrap().status, "created");
    bench.engine.assert_no_complaints();
}

#[tokio::test]
async fn calls_are_numbered_and_told_apart() {
    let bench = stocked(image()).await;
    bench.engine.forget_calls();
    run(&bench.docker, "web", Policy::NO, None).await;
    bench.docker.inspect_container("web", None).await.unwrap();
    let calls = bench.engine.calls();
    let seen: Vec<_> = calls.iter().map(|c| (c.n, c.method.as_str(), c.mutating, c.status)).collect();
    assert_eq!(
        seen,
        [(0, "POST", true, Some(201)), (1, "POST", true, Some(204)), (2, "GET", false, Some(200))]
    );
    assert_eq!(bench.engine.calls_made(), 3);
}

#[tokio::test]
async fn what_the_fake_does_not_know_is_refused_and_kept() {
    let bench = bench().await;
    let (status, message) =
        refusal(bench.docker.prune_volumes(None::<bollard::query_parameters::PruneVolumesOptions>).await);
    assert_eq!((status, message.as_str()), (501, "fake: not implemented: POST /volumes/prune"));
    assert_eq!(bench.engine.complaints(), ["fake: not implemented: POST /volumes/prune"]);
}
