//! The first table: what a boot makes of each situation at the power cut, row by row.

use crate::common::{Bench, body, client, create, image, refusal, run, start, stocked, stop};
use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum as Policy};
use fake_docker::Race;

fn cut_and_boot(bench: &Bench) {
    bench.engine.power_cut();
    bench.engine.boot(&Race::OldestFirst).unwrap();
}

fn state(bench: &Bench, name: &str) -> (String, i64) {
    let one = bench.engine.container(name).unwrap();
    (one.status, one.exit_code)
}

#[tokio::test]
async fn a_running_one_with_a_policy_runs_again() {
    let bench = stocked(image()).await;
    for (name, policy) in [("us", Policy::UNLESS_STOPPED), ("al", Policy::ALWAYS)] {
        run(&bench.docker, name, policy, None).await;
    }
    let before = bench.engine.container("us").unwrap().started_at;
    cut_and_boot(&bench);
    for name in ["us", "al"] {
        assert_eq!(state(&bench, name), ("running".to_owned(), 0));
        let ip = bench.engine.container(name).unwrap().address.unwrap();
        assert_eq!(crate::common::http_status(ip, 8000).await.unwrap(), 200);
    }
    assert_ne!(bench.engine.container("us").unwrap().started_at, before);
}

#[tokio::test]
async fn a_running_one_without_a_policy_is_exited_255_and_still_lists_its_ports() {
    let bench = stocked(image()).await;
    run(&bench.docker, "web", Policy::NO, Some(80)).await;
    cut_and_boot(&bench);
    assert_eq!(state(&bench, "web"), ("exited".to_owned(), 255));
    assert!(bench.engine.serving().is_empty());
    let inspect = client(&bench.engine).inspect_container("web", None).await.unwrap();
    assert_eq!(inspect.state.unwrap().running, Some(false));
    assert!(inspect.network_settings.unwrap().ports.unwrap().contains_key("8000/tcp"));
    run(&client(&bench.engine), "other", Policy::NO, Some(80)).await;
}

#[tokio::test]
async fn a_stopped_one_stays_down_with_unless_stopped_only() {
    let bench = stocked(image()).await;
    for (name, policy) in [("us", Policy::UNLESS_STOPPED), ("al", Policy::ALWAYS), ("no", Policy::NO)] {
        run(&bench.docker, name, policy, None).await;
        stop(&bench.docker, name).await.unwrap();
    }
    run(&bench.docker, "late", Policy::UNLESS_STOPPED, None).await;
    stop(&bench.docker, "late").await.unwrap();
    let always = RestartPolicy { name: Some(Policy::ALWAYS), maximum_retry_count: None };
    let update = ContainerUpdateBody { restart_policy: Some(always), ..ContainerUpdateBody::default() };
    bench.docker.update_container("late", update).await.unwrap();
    cut_and_boot(&bench);
    assert_eq!(state(&bench, "us"), ("exited".to_owned(), 0));
    assert_eq!(state(&bench, "no"), ("exited".to_owned(), 0));
    assert_eq!(state(&bench, "al"), ("running".to_owned(), 0));
    assert_eq!(state(&bench, "late"), ("running".to_owned(), 0));
}

#[tokio::test]
async fn a_created_one_stays_created() {
    let bench = stocked(image()).await;
    for (name, policy) in [("us", Policy::UNLESS_STOPPED), ("al", Policy::ALWAYS), ("no", Policy::NO)] {
        create(&bench.docker, name, body(policy, None)).await.unwrap();
    }
    run(&bench.docker, "owner", Policy::NO, Some(80)).await;
    create(&bench.docker, "refused", body(Policy::ALWAYS, Some(80))).await.unwrap();
    refusal(start(&bench.docker, "refused").await);
    cut_and_boot(&bench);
    for name in ["us", "al", "no", "refused"] {
        assert_eq!(state(&bench, name).0, "created");
    }
}

#[tokio::test]
async fn two_on_different_ports_both_run() {
    let bench = stocked(image()).await;
    run(&bench.docker, "old", Policy::ALWAYS, Some(80)).await;
    stop(&bench.docker, "old").await.unwrap();
    run(&bench.docker, "new", Policy::UNLESS_STOPPED, Some(81)).await;
    cut_and_boot(&bench);
    let serving: Vec<_> =
        bench.engine.serving().into_iter().map(|one| (one.host_port, one.container.name)).collect();
    assert_eq!(serving, [(80, "old".to_owned()), (81, "new".to_owned())]);
}

#[tokio::test]
async fn two_on_one_port_race() {
    let races = [
        (Race::OldestFirst, "old", "new", 255),
        (Race::NewestFirst, "new", "old", 137),
        (Race::First("new".to_owned()), "new", "old", 137),
    ];
    for (race, winner, loser, code) in races {
        let bench = stocked(image()).await;
        run(&bench.docker, "old", Policy::ALWAYS, Some(80)).await;
        bench.docker.kill_container("old", None).await.unwrap();
        run(&bench.docker, "new", Policy::UNLESS_STOPPED, Some(80)).await;
        bench.engine.power_cut();
        bench.engine.boot(&race).unwrap();
        assert_eq!(state(&bench, winner).0, "running");
        assert_eq!(state(&bench, loser), ("exited".to_owned(), code));
        let error = bench.engine.container(loser).unwrap().error;
        assert!(error.ends_with("port is already allocated"), "{error}");
    }
}

#[tokio::test]
async fn a_graceful_restart_gives_the_same() {
    let bench = stocked(image()).await;
    run(&bench.docker, "al", Policy::ALWAYS, None).await;
    run(&bench.docker, "us", Policy::UNLESS_STOPPED, None).await;
    for name in ["al", "us"] {
        stop(&bench.docker, name).await.unwrap();
    }
    run(&bench.docker, "live", Policy::UNLESS_STOPPED, None).await;
    run(&bench.docker, "no", Policy::NO, None).await;
    bench.engine.restart_daemon(&Race::OldestFirst).unwrap();
    assert_eq!(state(&bench, "al").0, "running");
    assert_eq!(state(&bench, "live").0, "running");
    assert_eq!(state(&bench, "us").0, "exited");
    assert_eq!(state(&bench, "no"), ("exited".to_owned(), 0));
}

#[tokio::test]
async fn a_kill_counts_as_a_stop_by_hand() {
    let bench = stocked(image()).await;
    run(&bench.docker, "us", Policy::UNLESS_STOPPED, None).await;
    let options = bollard::query_parameters::KillContainerOptionsBuilder::default().signal("KILL").build();
    bench.docker.kill_container("us", Some(options)).await.unwrap();
    assert_eq!(state(&bench, "us"), ("exited".to_owned(), 137));
    let (status, message) = refusal(bench.docker.kill_container("us", None).await);
    assert_eq!(status, 409);
    assert!(message.starts_with("Cannot kill container: us: Container "), "{message}");
    cut_and_boot(&bench);
    assert_eq!(state(&bench, "us"), ("exited".to_owned(), 137));
}

#[tokio::test]
async fn a_started_one_forgets_that_it_was_stopped() {
    let bench = stocked(image()).await;
    run(&bench.docker, "us", Policy::UNLESS_STOPPED, None).await;
    stop(&bench.docker, "us").await.unwrap();
    start(&bench.docker, "us").await.unwrap();
    cut_and_boot(&bench);
    assert_eq!(state(&bench, "us").0, "running");
}

#[tokio::test]
async fn between_cut_and_boot_nobody_answers() {
    let bench = stocked(image()).await;
    run(&bench.docker, "web", Policy::UNLESS_STOPPED, None).await;
    let ip = bench.engine.container("web").unwrap().address.unwrap();
    bench.engine.power_cut();
    assert!(client(&bench.engine).ping().await.is_err());
    assert!(crate::common::http_status(ip, 8000).await.is_err());
    bench.engine.boot(&Race::OldestFirst).unwrap();
    client(&bench.engine).ping().await.unwrap();
}
