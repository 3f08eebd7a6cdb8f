//! Containers that really answer, or really do not.

use std::time::{Duration, Instant};

use crate::common::{Bench, body, create, http_status, image, refusal, run, start, stocked, stop};
use bollard::{
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    models::{HealthConfig, HealthStatusEnum, RestartPolicyNameEnum as Policy},
    query_parameters::{LogsOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions},
};
use fake_docker::{Behaviour, ExecOutcome, HostPort, Image, LogLine, Stream};
use futures_util::StreamExt;

async fn address(bench: &Bench, name: &str) -> std::net::Ipv4Addr {
    let inspect = bench.docker.inspect_container(name, None).await.unwrap();
    let bridge = inspect.network_settings.unwrap().networks.unwrap().remove("bridge").unwrap();
    bridge.ip_address.unwrap().parse().unwrap()
}

async fn behaving(behaviour: Behaviour) -> Bench {
    let bench = stocked(image().behaving(behaviour)).await;
    run(&bench.docker, "web", Policy::NO, None).await;
    bench
}

#[tokio::test]
async fn a_healthy_one_answers_until_it_is_stopped() {
    let bench = behaving(Behaviour::Healthy).await;
    let ip = address(&bench, "web").await;
    assert!(ip.is_loopback());
    assert_eq!(http_status(ip, 8000).await.unwrap(), 200);
    assert_eq!(bench.engine.container("web").unwrap().probes, 1);
    stop(&bench.docker, "web").await.unwrap();
    assert!(http_status(ip, 8000).await.is_err());
    let inspect = bench.docker.inspect_container("web", None).await.unwrap();
    assert_eq!(inspect.network_settings.unwrap().ports.unwrap().len(), 0);
}

#[tokio::test]
async fn two_at_once_have_an_address_each() {
    let bench = behaving(Behaviour::Healthy).await;
    run(&bench.docker, "two", Policy::NO, None).await;
    let (one, two) = (address(&bench, "web").await, address(&bench, "two").await);
    assert_ne!(one, two);
    assert_eq!(http_status(two, 8000).await.unwrap(), 200);
}

#[tokio::test]
async fn the_other_behaviours() {
    let bench = behaving(Behaviour::Answers(500)).await;
    assert_eq!(http_status(address(&bench, "web").await, 8000).await.unwrap(), 500);

    let bench = behaving(Behaviour::NeverListens).await;
    assert!(http_status(address(&bench, "web").await, 8000).await.is_err());

    let bench = behaving(Behaviour::HealthyAfterProbes(2)).await;
    let ip = address(&bench, "web").await;
    for expected in [503, 503, 200, 200] {
        assert_eq!(http_status(ip, 8000).await.unwrap(), expected);
    }

    let bench = behaving(Behaviour::ExitsAtOnce(3)).await;
    let web = bench.engine.container("web").unwrap();
    assert_eq!((web.status.as_str(), web.exit_code), ("exited", 3));

    let bench = behaving(Behaviour::IgnoresTerm).await;
    let at_once = StopContainerOptionsBuilder::default().t(0).build();
    bench.docker.stop_container("web", Some(at_once)).await.unwrap();
    assert_eq!(bench.engine.container("web").unwrap().exit_code, 137);

    let bench = behaving(Behaviour::Hangs).await;
    let probe = http_status(address(&bench, "web").await, 8000);
    assert!(tokio::time::timeout(Duration::from_millis(100), probe).await.is_err());

    let bench = behaving(Behaviour::ExitsAfterProbes(1, 9)).await;
    let _ = http_status(address(&bench, "web").await, 8000).await;
    let mut waiting = bench.docker.wait_container("web", None::<WaitContainerOptions>);
    let ended = waiting.next().await.unwrap();
    assert!(format!("{ended:?}").contains('9'), "{ended:?}");
}

#[tokio::test]
async fn one_image_two_commands() {
    let bench = stocked(image().command(&["migrate"], Behaviour::ExitsAtOnce(0))).await;
    run(&bench.docker, "web", Policy::NO, None).await;
    let mut task = body(Policy::NO, None);
    task.cmd = Some(vec!["migrate".to_owned()]);
    create(&bench.docker, "task", task).await.unwrap();
    start(&bench.docker, "task").await.unwrap();
    assert!(bench.engine.container("web").unwrap().running);
    assert_eq!(bench.engine.container("task").unwrap().status, "exited");
}

#[tokio::test]
async fn a_crash_under_a_policy_restarts() {
    let bench = stocked(image().behaving(Behaviour::ExitsAtOnce(1))).await;
    run(&bench.docker, "loop", Policy::UNLESS_STOPPED, None).await;
    let state = bench.docker.inspect_container("loop", None).await.unwrap().state.unwrap();
    assert_eq!((state.running, state.restarting, state.exit_code), (Some(true), Some(true), Some(1)));

    let bench = stocked(image()).await;
    run(&bench.docker, "web", Policy::UNLESS_STOPPED, Some(80)).await;
    bench.engine.runs_out_of_memory("web");
    let web = bench.engine.container("web").unwrap();
    assert_eq!((web.status.as_str(), web.restart_count, web.host_ports), ("running", 1, vec![80]));
}

#[tokio::test]
async fn a_published_port_can_be_real() {
    let held = HostPort::take().unwrap();
    let free = held.number();
    let bench = stocked(image()).await;
    bench.engine.host_ports_are_real(true);
    run(&bench.docker, "old", Policy::NO, Some(free)).await;
    create(&bench.docker, "new", body(Policy::NO, Some(free))).await.unwrap();
    for _ in 0..20 {
        assert_eq!(http_status([127, 0, 0, 1].into(), free).await.unwrap(), 200);
        stop(&bench.docker, "old").await.unwrap();
        assert!(http_status([127, 0, 0, 1].into(), free).await.is_err());
        start(&bench.docker, "new").await.unwrap();
        stop(&bench.docker, "new").await.unwrap();
        start(&bench.docker, "old").await.unwrap();
    }
}

#[tokio::test]
async fn a_port_that_is_not_exposed_is_not_published() {
    let mut image = image();
    image.config.exposed_ports.clear();
    let bench = stocked(image).await;
    run(&bench.docker, "web", Policy::NO, Some(80)).await;
    assert!(bench.engine.serving().is_empty());
    let mut exposing = body(Policy::NO, Some(80));
    exposing.exposed_ports = Some(vec!["8000/tcp".to_owned()]);
    create(&bench.docker, "two", exposing).await.unwrap();
    start(&bench.docker, "two").await.unwrap();
    assert_eq!(bench.engine.serving()[0].container.name, "two");
}

#[tokio::test]
async fn the_images_own_healthcheck() {
    for (behaviour, expected) in [
        (Behaviour::Healthy, HealthStatusEnum::HEALTHY),
        (Behaviour::HealthcheckUnhealthy, HealthStatusEnum::UNHEALTHY),
    ] {
        let bench = stocked(image().behaving(behaviour)).await;
        let with_check = async |name: &str, interval: Duration| {
            let mut checked = body(Policy::NO, None);
            checked.healthcheck = Some(HealthConfig {
                test: Some(vec!["CMD".to_owned(), "/app".to_owned()]),
                interval: Some(interval.as_nanos().try_into().unwrap()),
                retries: Some(1),
                ..HealthConfig::default()
            });
            create(&bench.docker, name, checked).await.unwrap();
            start(&bench.docker, name).await.unwrap();
        };
        let health = async |name: &str| {
            let state = bench.docker.inspect_container(name, None).await.unwrap().state.unwrap();
            state.health.unwrap().status.unwrap()
        };
        with_check("late", Duration::from_hours(1)).await;
        assert_eq!(health("late").await, HealthStatusEnum::STARTING);
        with_check("soon", Duration::from_millis(1)).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while health("soon").await == HealthStatusEnum::STARTING && Instant::now() < deadline {}
        assert_eq!(health("soon").await, expected);
    }
}

#[tokio::test]
async fn execs_run_and_logs_are_framed() {
    let argv = vec!["check".to_owned()];
    let outcome = ExecOutcome { code: 3, stdout: "out\n".to_owned(), stderr: "err\n".to_owned() };
    let bench = stocked(Image {
        execs: vec![(argv.clone(), outcome)],
        logs: vec![
            LogLine { stream: Stream::Stdout, bytes: b"booting".to_vec() },
            LogLine { stream: Stream::Stderr, bytes: b"bad \xff".to_vec() },
        ],
        ..image()
    })
    .await;
    run(&bench.docker, "web", Policy::NO, None).await;
    let options = CreateExecOptions {
        cmd: Some(argv),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = bench.docker.create_exec("web", options.clone()).await.unwrap().id;
    let StartExecResults::Attached { output, .. } = bench.docker.start_exec(&exec, None).await.unwrap()
    else {
        panic!("detached");
    };
    let lines: Vec<_> = output.map(|line| line.unwrap().to_string()).collect().await;
    assert_eq!(lines, ["out\n", "err\n"]);
    assert_eq!(bench.docker.inspect_exec(&exec).await.unwrap().exit_code, Some(3));

    let exec = bench.docker.create_exec("web", options.clone()).await.unwrap().id;
    let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
    bench.docker.start_exec(&exec, Some(detached)).await.unwrap();
    assert_eq!(bench.docker.inspect_exec(&exec).await.unwrap().exit_code, Some(3));

    let options_for_logs = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("5").build();
    let logs: Vec<_> = bench.docker.logs("web", Some(options_for_logs)).collect().await;
    let text: Vec<_> = logs.into_iter().map(|line| line.unwrap().into_bytes().to_vec()).collect();
    assert_eq!(text, [b"booting\n".to_vec(), b"bad \xff\n".to_vec()]);

    stop(&bench.docker, "web").await.unwrap();
    assert_eq!(refusal(bench.docker.create_exec("web", options).await).0, 409);
    bench.engine.assert_no_complaints();
}
